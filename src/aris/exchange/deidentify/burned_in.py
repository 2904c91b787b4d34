"""Text that is burned into pixels: found by an OCR library (extra `ocr`), and blanked.

No OCR finds all text. What was found is blanked and looked for again; whoever shares images looks at them too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from aris.errors import ExchangeError

# Tiles at their full resolution: the library shrinks large images, and small text with them.
_TILE, _OVERLAP, _SMALL = 960, 160, 640
_SCORE = 0.45
# Of what is seen only once contrast was made even, which raises grain and edges too.
_SURE = 0.6
_NEAR = 12
# Marks of sides and views, which readers need and which name nobody.
_MARKS = re.compile(r"[LR]|PA|AP|LAT|LL|RL|SUPINE|ERECT|UPRIGHT|PORTABLE|MOBILE|SITTING|STANDING|[LR] ?(PA|AP|LAT)")


@dataclass(frozen=True)
class TextBox:
    """Text in an image: left, top, right, bottom in pixels, and how sure the library is of it."""

    left: int
    top: int
    right: int
    bottom: int
    score: float


@cache
def trouble() -> str:
    """Return why text cannot be looked for; "" where it can."""
    try:
        import rapidocr_onnxruntime  # noqa: F401
    except ModuleNotFoundError as error:
        what = "no OCR library is installed" if error.name == "rapidocr_onnxruntime" else f"{error.name} is missing"
        return f"{what}, so burned-in text cannot be looked for; pip install 'aris-medgemma[ocr]'"
    except (ImportError, OSError) as error:
        # OpenCV's usual build wants libraries of a desktop, which a bare server does not have.
        library = str(error).partition(":")[0][:60]
        return (
            f"the OCR library cannot be loaded ({library}), so burned-in text cannot be looked for; on Debian: "
            "apt-get install libgl1 libglib2.0-0, or put opencv-python-headless in place of opencv-python"
        )
    return ""


def find_text(pixels: npt.NDArray[Any]) -> list[TextBox]:
    """Text in one image, marks of sides and views left out.

    Args:
        pixels: (H, W) of any integer type, or (H, W, 3) uint8.

    Raises:
        ExchangeError: no OCR library can be used.
    """
    grey = _levels(pixels)
    height, width = grey.shape
    boxes = []
    for top in _starts(height):
        for left in _starts(width):
            tile = grey[top : top + _TILE, left : left + _TILE]
            # Text in a bright or dark place differ little from it: there they stand out in the second look.
            for look, score in ((tile, _SCORE), (_evened(tile), _SURE)):
                boxes += [_moved(box, left, top) for box in _read(look) if box.score >= score]
    return boxes


def legible(pixels: npt.NDArray[Any]) -> int:
    """Count the pieces of text that can be read on an image at the size that models see (896 pixels, MedGemma's).

    One look at a reduced image: some tenths of a second, where `find_text` takes many. Marks of sides and views do not
    count, nor does text that only the full resolution shows.

    Args:
        pixels: (H, W) of any integer type, or (H, W, 3) uint8.

    Raises:
        ExchangeError: no OCR library can be used.
    """
    from PIL import Image

    shrunk = Image.fromarray(_levels(pixels))
    shrunk.thumbnail((_TILE, _TILE))
    return sum(box.score >= _SURE for box in _read(np.asarray(shrunk)))


def blank(pixels: npt.NDArray[Any], boxes: list[TextBox]) -> None:
    """Paint over the boxes, and a rim about them, with the image's lowest value; in place."""
    fill = pixels.min()
    for box in boxes:
        rim = max(2, (box.bottom - box.top) // 3)
        pixels[max(0, box.top - rim) : box.bottom + rim, max(0, box.left - rim) : box.right + rim] = fill


def cleaned(pixels: npt.NDArray[Any], rounds: int = 3) -> int | None:
    """Blank text in one image, in place, until none is found.

    Returns:
        how many boxes were blanked; None where some was still found in the end.
    """
    count = 0
    for _ in range(rounds):
        boxes = find_text(pixels)
        if not boxes:
            return count
        blank(pixels, boxes)
        count += len(boxes)
    return None if find_text(pixels) else count


def _levels(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Grey levels (H, W), stretched over what the image holds: text is mostly at an end of it."""
    grey = pixels.mean(axis=2) if pixels.ndim == 3 else pixels.astype(np.float32)
    low, high = np.percentile(grey, (0.2, 99.8))
    if high <= low:
        low, high = float(grey.min()), float(grey.max())
    if high <= low:
        return np.zeros(grey.shape, dtype=np.uint8)
    return np.clip((grey - low) * (255 / (high - low)), 0, 255).astype(np.uint8)


def _evened(tile: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The tile with its local mean taken away and its local contrast made even."""
    levels = tile.astype(np.float64)
    detail = levels - _mean(levels, _NEAR)
    spread = np.sqrt(np.maximum(_mean(detail * detail, 2 * _NEAR), 0)) + 4
    return np.clip(128 + detail / spread * 40, 0, 255).astype(np.uint8)


def _mean(values: npt.NDArray[np.float64], radius: int) -> npt.NDArray[np.float64]:
    """Each pixel's mean over the square of `radius` pixels about it, by sums of sums."""
    wide = 2 * radius + 1
    sums = np.pad(values, ((radius + 1, radius), (radius + 1, radius)), mode="edge").cumsum(0).cumsum(1)
    result: npt.NDArray[np.float64] = (
        sums[wide:, wide:] - sums[:-wide, wide:] - sums[wide:, :-wide] + sums[:-wide, :-wide]
    ) / wide**2
    return result


def _starts(length: int) -> list[int]:
    if length <= _TILE:
        return [0]
    count = -(-(length - _OVERLAP) // (_TILE - _OVERLAP))
    return [round(i * (length - _TILE) / (count - 1)) for i in range(count)]


def _moved(box: TextBox, left: int, top: int) -> TextBox:
    return TextBox(box.left + left, box.top + top, box.right + left, box.bottom + top, box.score)


def _read(tile: npt.NDArray[np.uint8]) -> list[TextBox]:
    """Text in a tile, of which a small one is read at twice its size."""
    scale = 2 if max(tile.shape) <= _SMALL else 1
    tile = tile.repeat(scale, 0).repeat(scale, 1)
    found, _ = _reader()(np.ascontiguousarray(np.stack([tile] * 3, axis=-1)), use_cls=False)
    boxes = []
    for corners, text, score in found or ():
        characters = "".join(c for c in text if c.isalnum())
        if float(score) < _SCORE or not characters or _MARKS.fullmatch(text.strip().upper()):
            continue
        x, y = [float(point[0]) for point in corners], [float(point[1]) for point in corners]
        right, bottom = int(max(x)) + 1, int(max(y)) + 1
        boxes.append(
            TextBox(int(min(x)) // scale, int(min(y)) // scale, -(-right // scale), -(-bottom // scale), float(score))
        )
    return boxes


@cache
def _reader() -> Any:
    import logging

    if why := trouble():
        raise ExchangeError(why)
    from rapidocr_onnxruntime import RapidOCR

    reader = RapidOCR(text_score=_SCORE, intra_op_num_threads=2)
    logging.getLogger("root").setLevel(logging.WARNING)
    return reader
