"""From a network's relevance of patches to a map over the image as its file has it, its hot regions, and an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from aris.backends import Relevance

Map = npt.NDArray[np.float32]
Box = tuple[float, float, float, float]
# A region is a connected part in which the map, smoothed over this part of the longer side (standard deviation), is at
# least this part of its largest value.
SMOOTH, HOT = 0.04, 0.5
# Parts with less than this of the largest region's relevance are left out, and no more regions than this are told.
LEAST, MOST_REGIONS = 0.25, 3
# A box over more of the image than this, and boxes that together hold less of the relevance, point at nothing:
# the relevance is spread over the image. Of the sample films the largest box has 0.25 and the least share is 0.16.
WIDEST, LEAST_SHARE = 0.3, 0.1
_GRID = 96  # cells along the longer side on which regions are found
_SIDES = 512, 1024  # longest side of an image, in pixels: at least, at most
_HOT, _WARM = np.array((255.0, 210.0, 0.0)), np.array((225.0, 30.0, 40.0))


@dataclass(frozen=True)
class HotRegion:
    """A connected part of the hot area: left, top, right, bottom in pixels of the image, and its share of all."""

    box: Box
    share: float


def source_map(found: Relevance, image: int, height: int, width: int) -> tuple[Map, float]:
    """The relevance for what was scored, over one image in its own pixels.

    Each view's grid is laid over what the view showed, whatever was resized, cropped or padded on the way to the
    tower, with bilinear interpolation between the centres of patches; views that overlap add up. What speaks against
    the score is left out.

    Returns:
        float32 (H, W), at least 0, of sum 1 (all 0 where nothing speaks for the score); and the share of the relevance
        that lay in padding, and is not in the map.
    """
    out = np.zeros((height, width), dtype=np.float64)
    whole, padded = 0.0, False
    for grid, frame, index in zip(found.grids, found.frames, found.images, strict=True):
        if index != image:
            continue
        positive = np.maximum(grid.astype(np.float64), 0)
        left, top, right, bottom = frame.box
        x0, y0, x1, y1 = frame.shown
        # A patch's relevance is spread over the pixels that it covers.
        area = (right - left) * (bottom - top) / positive.size
        rows = _weights(range(y0, y1), top, bottom, positive.shape[0])
        columns = _weights(range(x0, x1), left, right, positive.shape[1])
        out[y0:y1, x0:x1] += rows @ (positive / area) @ columns.T
        whole += positive.sum()
        padded |= frame.box != frame.shown
    inside = out.sum()
    if not inside > 0:
        return np.zeros((height, width), dtype=np.float32), 0.0
    padding = max(0.0, 1 - inside / whole) if padded else 0.0
    return (out / inside).astype(np.float32), float(padding)


def _weights(pixels: range, start: float, stop: float, cells: int) -> npt.NDArray[np.float64]:
    """(pixels, cells): how much of each cell's value a pixel's centre takes; cells span [start, stop)."""
    at = np.clip((np.array(pixels) + 0.5 - start) / (stop - start) * cells - 0.5, 0, cells - 1)
    weights: npt.NDArray[np.float64] = np.maximum(0.0, 1 - np.abs(at[:, None] - np.arange(cells)))
    return weights


def peak(found: Map) -> tuple[float, float] | None:
    """Column and row of the middle of the hottest pixel; None for an empty map."""
    if not found.any():
        return None
    row, column = np.unravel_index(int(found.argmax()), found.shape)
    return float(column) + 0.5, float(row) + 0.5


def hot_regions(found: Map) -> tuple[HotRegion, ...]:
    """Boxes around the connected parts in which the smoothed map is over half of its largest value.

    None where the map is diffuse (`WIDEST`, `LEAST_SHARE`). The largest share comes first. They say where the map is
    hottest. They are no outlines of anything.
    """
    height, width = found.shape
    if not found.any():
        return ()
    scale = max(1.0, max(height, width) / _GRID)
    rows, columns = max(1, round(height / scale)), max(1, round(width / scale))
    binned = _binned(found, rows, columns)
    regions = []
    smooth = _smoothed(binned, SMOOTH * max(rows, columns))
    for cells in _connected(smooth >= HOT * smooth.max()):
        share = float(binned[cells[:, 0], cells[:, 1]].sum() / binned.sum())
        (top, left), (bottom, right) = cells.min(0), cells.max(0) + 1
        box = (
            left / columns * width, top / rows * height, right / columns * width, bottom / rows * height,
        )  # fmt: skip
        regions.append(HotRegion((float(box[0]), float(box[1]), float(box[2]), float(box[3])), share))
    regions.sort(key=lambda region: -region.share)
    told = [region for region in regions[:MOST_REGIONS] if region.share >= LEAST * regions[0].share]
    if sum(region.share for region in told) < LEAST_SHARE:
        return ()
    return tuple(region for region in told if _area(region.box) <= WIDEST * height * width)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _binned(values: Map, rows: int, columns: int) -> npt.NDArray[np.float64]:
    """Sums over (rows, columns) cells."""
    down = np.linspace(0, values.shape[0], rows + 1).astype(int)[:-1]
    across = np.linspace(0, values.shape[1], columns + 1).astype(int)[:-1]
    return np.add.reduceat(np.add.reduceat(values.astype(np.float64), down, axis=0), across, axis=1)


def _smoothed(values: npt.NDArray[np.float64], deviation: float) -> npt.NDArray[np.float64]:
    """Gaussian weights, which at the border count what there is."""
    blurs = []
    for size in values.shape:
        steps = np.arange(size)
        weights = np.exp(-0.5 * ((steps[:, None] - steps) / deviation) ** 2)
        blurs.append(weights / weights.sum(1, keepdims=True))
    return np.asarray(blurs[0] @ values @ blurs[1].T)


def _connected(hot: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.int64]]:
    """The cells (n, 2) of each part that hangs together by its edges."""
    left = {(int(row), int(column)) for row, column in np.argwhere(hot)}
    parts = []
    while left:
        front = [left.pop()]
        cells = []
        while front:
            row, column = front.pop()
            cells.append((row, column))
            for near in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
                if near in left:
                    left.remove(near)
                    front.append(near)
        parts.append(np.array(cells))
    return parts


def overlay(
    pixels: npt.NDArray[np.uint8], found: Map, boxes: Sequence[Box] = (), lines: Sequence[str] = ()
) -> npt.NDArray[np.uint8]:
    """The map over a grey copy of the image: uint8 (h, w, 3), its longer side 512 to 1,024 pixels, lines above it.

    The colour's strength is the value against the map's largest: two images cannot be compared by colour.
    """
    height, width = pixels.shape[:2]
    longest = max(height, width)
    scale = min(max(longest, _SIDES[0]), _SIDES[1]) / longest
    size = max(1, round(width * scale)), max(1, round(height * scale))
    grey = PIL.Image.fromarray(pixels).convert("L").resize(size, PIL.Image.Resampling.BILINEAR)
    top = float(found.max())
    relative = PIL.Image.fromarray(found / top if top > 0 else found)
    heat = np.clip(np.asarray(relative.resize(size, PIL.Image.Resampling.BILINEAR)), 0, 1)[..., None]
    base = np.repeat(np.asarray(grey, dtype=np.float64)[..., None], 3, axis=2)
    colour = _WARM + (_HOT - _WARM) * heat
    mixed = base + (colour - base) * (0.65 * heat**0.8)
    font_size = max(10, min(size) // 28)
    step = round(font_size * 1.4)
    banner = step * len(lines) + (font_size // 2 if lines else 0)
    canvas = PIL.Image.new("RGB", (size[0], size[1] + banner))
    canvas.paste(PIL.Image.fromarray(np.rint(mixed).astype(np.uint8)), (0, banner))
    pen = PIL.ImageDraw.Draw(canvas)
    font = PIL.ImageFont.load_default(font_size)
    for number, line in enumerate(lines):
        pen.text((font_size // 2, font_size // 4 + number * step), line, fill=(255, 255, 255), font=font)
    for x0, y0, x1, y1 in boxes:
        corners = (x0 * scale, y0 * scale + banner, x1 * scale - 1, y1 * scale + banner - 1)
        pen.rectangle(corners, outline=(255, 255, 255), width=max(1, font_size // 8))
    return np.asarray(canvas, dtype=np.uint8)
