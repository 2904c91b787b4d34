"""A run's losses as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from aris.tuning.resume import write_whole

_WIDTH, _HEIGHT, _LEFT, _EDGE = 900, 480, 70, 30
_SERIES = (("loss", "training", (31, 119, 180)), ("validation_loss", "validation", (214, 39, 40)))


def draw_curves(entries: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw training and validation loss over the steps as a PNG; nothing if the log has no loss."""
    series = [
        (said, colour, [(entry["step"], entry[name]) for entry in entries if name in entry])
        for name, said, colour in _SERIES
    ]
    points = [point for _, _, each in series for point in each]
    if not points:
        return
    last = max(1, *(step for step, _ in points))
    low, high = min(loss for _, loss in points), max(loss for _, loss in points)
    room = (high - low) or 1.0
    image = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    draw = ImageDraw.Draw(image)

    def place(step: float, loss: float) -> tuple[float, float]:
        x = _LEFT + step / last * (_WIDTH - _LEFT - _EDGE)
        return x, _EDGE + (high - loss) / room * (_HEIGHT - 2 * _EDGE)

    for part in range(5):
        loss = low + room * part / 4
        (left, y), (right, _) = place(0, loss), place(last, loss)
        draw.line((left, y, right, y), fill=(220, 220, 220))
        draw.text((8, y - 6), f"{loss:.4g}", fill="black")
        draw.text((place(last * part / 4, low)[0] - 8, _HEIGHT - _EDGE + 8), f"{last * part / 4:.0f}", fill="black")
    for number, (said, colour, each) in enumerate(series):
        spots = [place(*point) for point in each]
        if len(spots) > 1:
            draw.line(spots, fill=colour, width=2)
        for x, y in spots:
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=colour)
        draw.text((_WIDTH - 220 + 110 * number, 8), said, fill=colour)
    data = io.BytesIO()
    image.save(data, "PNG")
    write_whole(path, lambda file: file.write(data.getvalue()))
