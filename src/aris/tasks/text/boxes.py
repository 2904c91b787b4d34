"""Boxes as MedGemma writes them: found in whatever surrounds them, and mapped to the pixels of the image.

The trained form is fenced JSON, `[{"box_2d": [y0, x0, y1, x1], "label": "..."}]`, in thousandths of the side of the
image padded to a square (MedGemma 1.5 model card and anatomy-localisation notebook). Models miss that form in many
ways; what can be read without guessing is read, and every box that is dropped is reported.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

SCALE = 1000
_FINAL = re.compile(r"final\s+answer\s*(?:is)?\s*:", re.IGNORECASE)
_FENCE = re.compile(r"```[A-Za-z0-9_]*")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_COORDINATES = re.compile(rf"[\[(]\s*({_NUMBER})\s*,\s*({_NUMBER})\s*,\s*({_NUMBER})\s*,\s*({_NUMBER})\s*,?\s*[\])]")
# The keys under which models put the coordinates, and the label.
_BOX_KEY = re.compile(r"""["']?\b(?:box_2d|box2d|box|bbox|bbox_2d|bounding_box|coordinates)\b["']?\s*[:=]\s*""", re.I)
_LABEL_KEY = re.compile(
    r"""["']?\b(?:label|name|class|object|description)\b["']?\s*[:=]\s*(?:"((?:[^"\\\n]|\\.)*)"|'((?:[^'\\\n]|\\.)*)')""",
    re.I,
)
_POSITIONS = 4


@dataclass(frozen=True)
class WrittenBox:
    """A box as the model wrote it, in order: top, left, bottom, right, each 0..1000 of the padded square's side."""

    top: float
    left: float
    bottom: float
    right: float
    label: str
    repaired: str = ""


@dataclass(frozen=True)
class DroppedBox:
    """A box that could not be used: what was written, at most 80 characters of it, and why not."""

    written: str
    reason: str


def parse_boxes(text: str) -> tuple[tuple[WrittenBox, ...], tuple[DroppedBox, ...]]:
    """The boxes of an answer, in its order, and those that were dropped.

    What stands after the last "Final Answer:" counts, if it holds a box; else the whole text. Read without loss: no
    fence, prose around, single quotes, trailing commas, floats, other keys, truncated JSON up to the last whole box.
    Repaired and noted in the box: corners in the wrong order, coordinates a little out of range (up to 5 %). Dropped:
    coordinates further out, not four numbers, no area, and a box that was given before.

    Args:
        text: the model's answer, without its reasoning.
    """
    last = [match.end() for match in _FINAL.finditer(text)]
    answer = text[last[-1] :] if last and _BOX_KEY.search(text[last[-1] :]) else text
    boxes: list[WrittenBox] = []
    dropped: list[DroppedBox] = []
    seen: set[tuple[float, float, float, float, str]] = set()
    for written, values, label in _objects(_FENCE.sub(" ", answer)):
        box = _box(values, label)
        if isinstance(box, str):
            dropped.append(DroppedBox(_short(written), box))
            continue
        key = (box.top, box.left, box.bottom, box.right, box.label.lower())
        if key in seen:
            dropped.append(DroppedBox(_short(written), "the same box as before"))
            continue
        seen.add(key)
        boxes.append(box)
    return tuple(boxes), tuple(dropped)


def _objects(text: str) -> list[tuple[str, list[Any] | None, str]]:
    """(as written, its coordinates or None, label) for every object that speaks of a box."""
    whole = _as_json(text)
    if whole is not None:
        return whole
    found: list[tuple[str, list[Any] | None, str]] = []
    starts = [match for match in _BOX_KEY.finditer(text)]
    for index, match in enumerate(starts):
        end = starts[index + 1].start() if index + 1 < len(starts) else len(text)
        # The object around the key: a label may stand before the box or after it.
        opening = text.rfind("{", starts[index - 1].end() if index else 0, match.start())
        closing = text.find("}", match.end(), end)
        begin = opening if opening >= 0 else match.start()
        piece = text[begin : closing + 1 if closing >= 0 else end]
        numbers = _COORDINATES.match(text, match.end())
        label = _LABEL_KEY.search(piece)
        said = (label[1] or label[2] or "") if label else ""
        if numbers is None:
            values = re.match(r"[\[(]([^\])]*)[\])]", text[match.end() :])
            if values is None and closing < 0 and index + 1 == len(starts):
                found.append((piece, None, "the answer was cut within it"))
                continue
            found.append((piece, [] if values is None else _loose(values[1]), said))
        else:
            found.append((piece, [float(numbers[part]) for part in range(1, 5)], said))
    return found


def _as_json(text: str) -> list[tuple[str, list[Any] | None, str]] | None:
    """The objects of well-formed JSON, alone in the text or after prose; None if there is none."""
    decoder = json.JSONDecoder()
    for match in re.finditer(r"[\[{]", text):
        try:
            value, _ = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        objects = value if isinstance(value, list) else value.get("boxes", value) if isinstance(value, dict) else []
        objects = objects if isinstance(objects, list) else [objects]
        if not objects or not all(isinstance(each, dict) for each in objects):
            continue
        if not any(_BOX_KEY.match(f"{key}:") for each in objects for key in each):
            continue
        # A second list further on would be lost: then the text is searched instead.
        if len(_BOX_KEY.findall(text)) != sum(bool(_BOX_KEY.match(f"{key}:")) for each in objects for key in each):
            return None
        return [_entry(each) for each in objects]
    return None


def _entry(each: dict[str, Any]) -> tuple[str, list[Any] | None, str]:
    box: Any = next((value for key, value in each.items() if _BOX_KEY.match(f"{key}:")), [])
    names = ("label", "name", "class", "object", "description")
    label = next((value for key, value in each.items() if key.lower() in names and isinstance(value, str)), "")
    if isinstance(box, list) and len(box) == 1 and isinstance(box[0], list):
        box = box[0]
    return json.dumps(each), box if isinstance(box, list) else [], label


def _loose(text: str) -> list[Any]:
    return [part.strip().strip("\"'") for part in text.split(",") if part.strip()]


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError
    return float(value)


def _box(values: list[Any] | None, label: str) -> WrittenBox | str:
    if values is None:
        return label
    if len(values) != 4:
        return f"{len(values)} numbers, not 4"
    try:
        numbers = [_number(value) for value in values]
    except (TypeError, ValueError):
        return "its coordinates are not numbers"
    if not all(map(math.isfinite, numbers)):
        return "its coordinates are not numbers"
    notes = []
    # Fractions of the side instead of thousandths: nothing in an image is under a thousandth of its side.
    if all(0 <= value <= 1 for value in numbers) and any(0 < value < 1 for value in numbers):
        numbers = [value * SCALE for value in numbers]
        notes.append("fractions were taken as such")
    if min(numbers) < -0.05 * SCALE or max(numbers) > 1.05 * SCALE:
        return "coordinates outside 0 to 1000"
    if min(numbers) < 0 or max(numbers) > SCALE:
        numbers = [min(max(value, 0.0), float(SCALE)) for value in numbers]
        notes.append("clipped to the image")
    y0, x0, y1, x1 = (round(value, _POSITIONS) for value in numbers)
    if y0 > y1 or x0 > x1:
        notes.append("corners were swapped")
        y0, y1, x0, x1 = min(y0, y1), max(y0, y1), min(x0, x1), max(x0, x1)
    if y0 == y1 or x0 == x1:
        return "it has no area"
    return WrittenBox(y0, x0, y1, x1, " ".join(label.split())[:200], "; ".join(notes))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:77]}..."


def source_box(box: WrittenBox, height: int, width: int) -> tuple[float, float, float, float] | None:
    """Left, top, right, bottom in pixels of the image before it was padded; None where it lies in the padding alone.

    The image sits in the middle of the square, an odd pixel of padding below or right of it, as
    `prompting.processor.pad_to_square` puts it. (0, 0) is the outer corner of the first pixel.

    Args:
        box: in thousandths of the square's side.
        height, width: of the image in pixels.
    """
    side = max(height, width)
    above, before = (side - height) // 2, (side - width) // 2
    left, right = (min(max(x / SCALE * side - before, 0.0), float(width)) for x in (box.left, box.right))
    top, bottom = (min(max(y / SCALE * side - above, 0.0), float(height)) for y in (box.top, box.bottom))
    return (left, top, right, bottom) if left < right and top < bottom else None
