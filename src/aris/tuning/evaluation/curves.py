"""A plot of a run's losses and metrics."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from aris.checkpoints.writing import write_whole
from aris.tuning.metrics import METRICS

_WIDTH, _HEIGHT, _LEFT, _EDGE = 900, 480, 70, 30
_COLOURS = ((31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189), (255, 127, 14), (23, 190, 207),
            (140, 86, 75), (227, 119, 194))  # fmt: skip


@dataclass(frozen=True)
class _Series:
    label: str
    points: list[tuple[float, float]]


def draw_curves(entries: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw training and validation loss over the steps as a PNG, and each task's metrics under them.

    Without a loss in the log nothing is drawn.
    """
    losses = [
        _Series(label, [(entry["step"], entry[name]) for entry in entries if _is_number(entry.get(name))])
        for name, label in (("loss", "training loss"), ("validation_loss", "validation loss"))
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
    """Collect the metrics between 0 and 1 in one panel, perplexities in another; none if there are none."""
    found: dict[str, list[tuple[float, float]]] = {}
    for entry in entries:
        for task, values in entry.get("validation", {}).items():
            for name, value in values.items():
                if name in METRICS and _is_number(value):
                    found.setdefault(f"{name} of {task}", []).append((entry["step"], value))
    shares = [_Series(label, points) for label, points in found.items() if not label.startswith("perplexity")]
    others = [_Series(label, points) for label, points in found.items() if label.startswith("perplexity")]
    return [panel for panel in (shares, others) if panel]


def _panel(draw: ImageDraw.ImageDraw, series: Sequence[_Series], last: float, top: int) -> None:
    values = [value for each in series for _, value in each.points]
    low, high = min(values), max(values)
    extent = (high - low) or 1.0

    def to_pixel(step: float, value: float) -> tuple[float, float]:
        x = _LEFT + step / last * (_WIDTH - _LEFT - _EDGE)
        return x, top + _EDGE + (high - value) / extent * (_HEIGHT - 2 * _EDGE)

    for tick in range(5):
        value = low + extent * tick / 4
        (left, y), (right, _) = to_pixel(0, value), to_pixel(last, value)
        draw.line((left, y, right, y), fill=(220, 220, 220))
        draw.text((8, y - 6), f"{value:.4g}", fill="black")
        step = to_pixel(last * tick / 4, low)[0]
        draw.text((step - 8, top + _HEIGHT - _EDGE + 8), f"{last * tick / 4:.0f}", fill="black")
    x = float(_LEFT)
    for number, each in enumerate(series):
        colour = _COLOURS[number % len(_COLOURS)]
        pixels = [to_pixel(*point) for point in each.points]
        if len(pixels) > 1:
            draw.line(pixels, fill=colour, width=2)
        for at, y in pixels:
            draw.ellipse((at - 2, y - 2, at + 2, y + 2), fill=colour)
        label = f"{each.label:.60}".encode("latin-1", "replace").decode("latin-1")  # what the built-in font has
        draw.text((x, top + 8), label, fill=colour)
        x += draw.textlength(label) + 16


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
