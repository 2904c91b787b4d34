"""Normalisation of grey films: borders, exposure and contrast differ between departments, disease does not.

Used by `aris-nano`, whose training films and later films come from different machines; MedGemma was trained without
it. Every function takes a uint8 image (H, W), 0 black to 255 white, gives the same type, and depends on nothing but
its arguments. A film of 1024 x 1024 takes under 50 ms.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from aris.errors import PromptError
from aris.prompting.messages import Pixels

Equalization = Literal["none", "histogram", "clahe"]
EQUALIZATIONS: tuple[str, ...] = get_args(Equalization)


def border_trims(film: Pixels, limit: float = 0.15) -> tuple[int, int, int, int]:
    """Measure the uniform margins of a film: collimator shutters, letterbox bars, white scanner edges.

    A row or column belongs to a margin if it is nearly uniform (its 5th and 95th percentile lie within 8 grey
    levels) and nearly black (95th percentile at most 24) or nearly white (5th percentile at least 231). Margins are
    counted from each side inwards, up to the first row or column that is not of this kind.

    Args:
        film: uint8 (H, W).
        limit: the largest part of the height or width that may count on each side, 0 to below 0.5.

    Returns:
        Pixels to trim at the top, bottom, left and right.
    """
    if not 0 <= limit < 0.5:
        raise PromptError(f"crop_borders: limit is {limit}; give a part of the side, from 0 to below 0.5")
    return *_margins(film, limit), *_margins(film.T, limit)


def crop_borders(film: Pixels, limit: float = 0.15) -> Pixels:
    """The film without its uniform margins, a view; see `border_trims`."""
    top, bottom, left, right = border_trims(film, limit)
    return film[top : film.shape[0] - bottom, left : film.shape[1] - right]


def _margins(film: Pixels, limit: float) -> tuple[int, int]:
    """Rows to trim at the top and at the bottom."""
    height = film.shape[0]
    most = int(height * limit)
    if most == 0:
        return 0, 0
    # A percentile needs no more than 256 samples of a line; long lines are thinned.
    step = max(1, film.shape[1] // 256)
    trims = []
    for lines in (film[:most, ::step], film[height - most :, ::step][::-1]):
        ordered = np.sort(lines, axis=1)
        last = ordered.shape[1] - 1
        low, high = ordered[:, round(0.05 * last)].astype(int), ordered[:, round(0.95 * last)].astype(int)
        margin = (high - low <= 8) & ((high <= 24) | (low >= 231))
        trims.append(most if margin.all() else int(np.argmin(margin)))
    return trims[0], trims[1]


def equalize_histogram(film: Pixels) -> Pixels:
    """Global histogram equalisation: any increasing change of exposure or contrast cancels out.

    Level v becomes 255 * (cdf(v) - cdf(lowest)) / (1 - cdf(lowest)), with cdf the part of the pixels at or below v.
    A uniform image becomes black.

    Args:
        film: uint8 (H, W).
    """
    counts = np.bincount(film.ravel(), minlength=256)
    # float32 throughout, as the training's version on the GPU: rounding then agrees to the last level.
    cdf = counts.cumsum().astype(np.float32) / np.float32(film.size)
    lowest = cdf[np.argmax(counts > 0)]
    curve = (cdf - lowest) / np.maximum(np.float32(1) - lowest, np.float32(1e-6))
    levels: Pixels = np.rint(np.clip(curve, 0, 1) * np.float32(255)).astype(np.uint8)
    return levels[film]


def equalize_clahe(film: Pixels, tiles: int = 8, clip: float = 2.0) -> Pixels:
    """Contrast limited adaptive histogram equalisation (Zuiderveld, Graphics Gems IV, 1994).

    The film is divided into tiles x tiles regions; each gets an equalising curve whose slope is limited, and each
    pixel a bilinear mixture of the curves of the four nearest regions.

    Args:
        film: uint8 (H, W).
        tiles: regions along each axis; fewer where a side has less than 2 pixels for each.
        clip: the largest height of a histogram bar, as a multiple of the mean height; at least 1.
    """
    if tiles < 1 or clip < 1:
        raise PromptError(f"equalize_clahe: tiles is {tiles} and clip {clip}; give at least 1 and 1.0")
    height, width = film.shape
    rows, columns = (max(1, min(tiles, side // 2)) for side in (height, width))
    curves = _clahe_curves(film, rows, columns, clip)
    upper, lower, down = _neighbours(height, rows)
    left, right, across = _neighbours(width, columns)
    out = np.empty_like(film)
    # A strip between two neighbouring rows of tile centres mixes the same two rows of curves.
    starts = np.flatnonzero(np.diff(upper * (rows + 1) + lower, prepend=-1))
    for start, end in zip(starts, [*starts[1:], height], strict=True):
        strip = film[start:end].astype(np.intp)
        weight = down[start:end, None]
        above, below = curves[upper[start]], curves[lower[start]]  # (columns, 256)
        west = above[left, strip] * (1 - weight) + below[left, strip] * weight
        east = above[right, strip] * (1 - weight) + below[right, strip] * weight
        out[start:end] = np.rint(west * (1 - across) + east * across)
    return out


def _clahe_curves(film: Pixels, rows: int, columns: int, clip: float) -> npt.NDArray[np.float32]:
    """(rows, columns, 256) float32 in 0..255: each region's limited curve."""
    height, width = film.shape
    row_of = np.arange(height) * rows // height
    column_of = np.arange(width) * columns // width
    bins = (row_of[:, None] * columns + column_of) * 256 + film
    counts = np.bincount(bins.ravel(), minlength=rows * columns * 256).reshape(rows, columns, 256).astype(np.float32)
    size = counts.sum(axis=2, keepdims=True)
    ceiling = clip * size / 256
    clipped = np.minimum(counts, ceiling)
    # What was cut off is spread evenly over all levels.
    clipped += (size - clipped.sum(axis=2, keepdims=True)) / 256
    curves: npt.NDArray[np.float32] = np.clip(np.cumsum(clipped, axis=2) * (255 / size), 0, 255).astype(np.float32)
    return curves


def _neighbours(
    side: int, tiles: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """For each pixel along a side: the tiles whose centres lie before and after it, and the weight of the second."""
    position = (np.arange(side) + 0.5) * tiles / side - 0.5
    before = np.floor(position).astype(np.intp)
    weight = (position - before).astype(np.float32)
    return np.clip(before, 0, tiles - 1), np.clip(before + 1, 0, tiles - 1), weight


def equalize(film: Pixels, method: Equalization) -> Pixels:
    """Equalise a uint8 film (H, W) by name: "none", "histogram" or "clahe".

    Raises:
        PromptError: the name is none of these.
    """
    if method == "none":
        return film
    if method == "histogram":
        return equalize_histogram(film)
    if method == "clahe":
        return equalize_clahe(film)
    raise PromptError(f"equalize: {method!r} is unknown; use one of {', '.join(EQUALIZATIONS)}")
