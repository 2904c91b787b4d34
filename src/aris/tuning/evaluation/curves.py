"""A run's losses and metrics as a picture."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from aris.checkpoints.writing import write_whole
from aris.tuning.evaluation.metrics import METRICS

_WIDTH, _HEIGHT, _LEFT, _EDGE = 900, 480, 70, 30
_COLOURS = ((31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189), (255, 127, 14), (23, 190, 207),
            (140, 86, 75), (227, 119, 194))  # fmt: skip


@dataclass(frozen=True)
class _Series:
    said: str
    points: list[tuple[float, float]]


def draw_curves(entries: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw training and validation loss over the steps as a PNG, and under them each task's metrics; nothing if the
    log has no loss."""
    losses = [
        _Series(said, [(entry["step"], entry[name]) for entry in entries if _is_number(entry.get(name))])
        for name, said in (("loss", "training loss"), ("validation_loss", "validation loss"))
    ]
    panels = [[each for each in losses if each.points], *_metrics(entries)]
    if not panels[0]:
        return
    last = max(1, *(step for panel in panels for each in panel for step, _ in each.points))
    image = Image.new("RGB", (_WIDTH, _HEIGHT * len(panels)), "white")
    draw = ImageDraw.Draw(image)
    for number, panel in enumerate(panels):
        _panel(draw, panel, last, _HEIGHT * number)
    data = io.BytesIO()
    image.save(data, "PNG")
    write_whole(path, lambda file: file.write(data.getvalue()))


def _metrics(entries: Sequence[dict[str, Any]]) -> list[list[_Series]]:
    """The metrics that lie between 0 and 1 in one panel, perplexities in another; none if there are none."""
    found: dict[str, list[tuple[float, float]]] = {}
    for entry in entries:
        for task, values in entry.get("validation", {}).items():
            for name, value in values.items():
                if name in METRICS and _is_number(value):
                    found.setdefault(f"{name} of {task}", []).append((entry["step"], value))
    shares = [_Series(said, points) for said, points in found.items() if not said.startswith("perplexity")]
    others = [_Series(said, points) for said, points in found.items() if said.startswith("perplexity")]
    return [panel for panel in (shares, others) if panel]


def _panel(draw: ImageDraw.ImageDraw, series: Sequence[_Series], last: float, top: int) -> None:
    values = [value for each in series for _, value in each.points]
    low, high = min(values), max(values)
    room = (high - low) or 1.0

    def place(step: float, value: float) -> tuple[float, float]:
        x = _LEFT + step / last * (_WIDTH - _LEFT - _EDGE)
        return x, top + _EDGE + (high - value) / room * (_HEIGHT - 2 * _EDGE)

    for part in range(5):
        value = low + room * part / 4
        (left, y), (right, _) = place(0, value), place(last, value)
        draw.line((left, y, right, y), fill=(220, 220, 220))
        draw.text((8, y - 6), f"{value:.4g}", fill="black")
        step = place(last * part / 4, low)[0]
        draw.text((step - 8, top + _HEIGHT - _EDGE + 8), f"{last * part / 4:.0f}", fill="black")
    x = float(_LEFT)
    for number, each in enumerate(series):
        colour = _COLOURS[number % len(_COLOURS)]
        spots = [place(*point) for point in each.points]
        if len(spots) > 1:
            draw.line(spots, fill=colour, width=2)
        for at, y in spots:
            draw.ellipse((at - 2, y - 2, at + 2, y + 2), fill=colour)
        said = f"{each.said:.60}".encode("latin-1", "replace").decode("latin-1")  # what the built-in font has
        draw.text((x, top + 8), said, fill=colour)
        x += draw.textlength(said) + 16


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
