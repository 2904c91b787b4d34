"""Checks of pixels alone: images that cannot be a chest film, whatever a model says of them.

The limits were set on the training and validation films of the project's data (2,500 films of children and adults)
and hold with room to spare: the least of all films had an autocorrelation of 0.82 and a span of 57 grey levels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import PIL.Image

MIN_SIDE = 64  # pixels
MAX_ASPECT = 2.5
MIN_SPAN = 20  # grey levels of 256 between the 2nd and the 98th percentile
MIN_AUTOCORRELATION = 0.65
CHROMA = 50  # levels between the strongest and the weakest channel: a sepia scan stays under it
MAX_COLOURED_AREA = 0.1
_GRID = 64


def not_a_film(pixels: npt.NDArray[np.uint8]) -> str | None:
    """Return why these pixels cannot be a chest film, in a few words; None if they can.

    Args:
        pixels: uint8, (H, W) grey or (H, W, 3) RGB.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        return f"{width} x {height} pixels are too few"
    if max(height, width) > MAX_ASPECT * min(height, width):
        return f"{width} x {height} pixels are no film's shape"
    if pixels.ndim == 3 and _coloured_area(pixels) > MAX_COLOURED_AREA:
        return "the image is coloured"
    image = PIL.Image.fromarray(pixels).convert("L")
    low, high = np.percentile(np.asarray(image), (2, 98))
    if high - low < MIN_SPAN:
        return "the image is blank or almost constant"
    if _autocorrelation(image) < MIN_AUTOCORRELATION:
        return "the image is noise or a fine pattern"
    return None


def _coloured_area(pixels: npt.NDArray[np.uint8]) -> float:
    """Share of the image, seen at a low resolution, whose channels differ strongly."""
    small = np.asarray(PIL.Image.fromarray(pixels).resize((_GRID, _GRID), PIL.Image.Resampling.BOX)).astype(np.int16)
    return float((small.max(axis=2) - small.min(axis=2) > CHROMA).mean())


def _autocorrelation(image: PIL.Image.Image) -> float:
    """Correlation of neighbours on a low-resolution grid, where even enlarged noise has lost it; 0 for a constant."""
    grid = np.asarray(image.resize((_GRID, _GRID), PIL.Image.Resampling.BOX), dtype=np.float64)
    grid -= grid.mean()
    variance = float((grid * grid).mean())
    if variance == 0:
        return 0.0
    across = float((grid[:, 1:] * grid[:, :-1]).mean())
    down = float((grid[1:] * grid[:-1]).mean())
    return (across + down) / 2 / variance
