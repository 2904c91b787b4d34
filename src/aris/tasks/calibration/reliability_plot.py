"""A reliability diagram as a PNG: probabilities against how often they were right, and how many films had which."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw

from aris.tasks.calibration.reliability import bins
from aris.tasks.calibration.site import FittedFinding

_SIDE, _LEFT, _TOP, _EDGE, _BARS = 360, 56, 56, 24, 60
_BLUE, _GREY, _LIGHT = (31, 119, 180), (120, 120, 120), (222, 222, 222)


def reliability_png(fitted: Sequence[FittedFinding]) -> bytes:
    """Draw a panel for each finding, up to four in a row: held-out probabilities, in bins of equal size.

    Returns:
        the PNG's bytes.
    """
    columns = min(4, len(fitted))
    width, height = _LEFT + _SIDE + _EDGE, _TOP + _SIDE + _BARS + 40
    canvas = Image.new("RGB", (columns * width, -(-len(fitted) // columns) * height), "white")
    draw = ImageDraw.Draw(canvas)
    for index, each in enumerate(fitted):
        _panel(draw, each, index % columns * width, index // columns * height)
    data = io.BytesIO()
    canvas.save(data, "PNG")
    return data.getvalue()


def _panel(draw: ImageDraw.ImageDraw, each: FittedFinding, x0: int, y0: int) -> None:
    left, top = x0 + _LEFT, y0 + _TOP

    def position(p: float, share: float) -> tuple[float, float]:
        return left + p * _SIDE, top + (1 - share) * _SIDE

    draw.text((left, y0 + 8), f"{each.name}: {each.method}, {each.films} films, {each.positives} with it", fill="black")
    draw.text((left, y0 + 24), f"AUC {each.auc}", fill="black")
    draw.text((left, y0 + 38), f"ECE {each.ece}   Brier {each.brier}", fill="black")
    for tick in range(0, 11, 2):
        value = tick / 10
        draw.line((*position(value, 0), *position(value, 1)), fill=_LIGHT)
        draw.line((*position(0, value), *position(1, value)), fill=_LIGHT)
        draw.text((position(value, 0)[0] - 8, top + _SIDE + 4), f"{value:.1f}", fill="black")
        draw.text((left - 26, position(0, value)[1] - 6), f"{value:.1f}", fill="black")
    draw.line((*position(0, 0), *position(1, 1)), fill=_GREY)
    cut = each.calibration.threshold
    draw.line((*position(cut, 0), *position(cut, 1)), fill=(214, 39, 40))
    spots = [position(mean, share) for mean, share, _ in bins(each.probabilities, each.truth)]
    if len(spots) > 1:
        draw.line(spots, fill=_BLUE, width=2)
    for x, y in spots:
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=_BLUE)
    _histogram(draw, each, left, top + _SIDE + 22)
    draw.text((left, top + _SIDE + 22 + _BARS), "probability (line: operating point); bars: films", fill=_GREY)


def _histogram(draw: ImageDraw.ImageDraw, each: FittedFinding, left: int, top: int) -> None:
    counts = [0] * 20
    for p in each.probabilities:
        counts[min(19, int(p * 20))] += 1
    most = max(counts)
    for index, count in enumerate(counts):
        x = left + index * _SIDE / 20
        draw.rectangle((x, top + _BARS * (1 - count / most), x + _SIDE / 20 - 2, top + _BARS), fill=_BLUE)
