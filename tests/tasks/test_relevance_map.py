"""A network's grids laid over the image as its file has it: resized, padded, trimmed and cropped on the way."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from aris.backends import Relevance
from aris.prompting import Frame, Image
from aris.prompting.processor import ImageProcessor
from aris.tasks.evidence_maps.relevance_map import hot_regions, overlay, peak, source_map
from films import filmlike

SIDE = 8


def seen(processor: ImageProcessor, pixels: npt.NDArray[np.uint8], pan_and_scan: bool | None = None) -> Relevance:
    """As if relevance were the brightness that the tower sees in each patch, above its middle."""
    views = processor(Image(pixels), pan_and_scan=pan_and_scan)[:, 0].numpy()
    step = processor.size // SIDE
    grids = views.reshape(len(views), SIDE, step, SIDE, step).mean((2, 4)).astype(np.float32)
    frames = processor.frames(Image(pixels), pan_and_scan=pan_and_scan)
    return Relevance(tuple(grids), tuple(frames), (0,) * len(grids), 1.0, "brightness")


def spot(height: int, width: int, row: int, column: int, size: int) -> npt.NDArray[np.uint8]:
    pixels = np.full((height, width), 20, dtype=np.uint8)
    pixels[row : row + size, column : column + size] = 255
    return pixels


@pytest.mark.parametrize("fit", ["stretch", "pad"])
@pytest.mark.parametrize(("height", "width"), [(400, 400), (800, 400), (300, 901), (64, 70)])
def test_the_peak_lies_on_what_was_seen(fit: str, height: int, width: int) -> None:
    size = max(height, width) // 6
    row, column = height - size - height // 9, width // 8
    pixels = spot(height, width, row, column, size)
    found, padding = source_map(seen(ImageProcessor(size=64, fit=fit), pixels), 0, height, width)
    assert found.shape == (height, width) and found.dtype == np.float32
    assert found.sum() == pytest.approx(1, abs=1e-3) and found.min() >= 0 and padding == pytest.approx(0, abs=0.15)
    x, y = peak(found) or (-1, -1)
    assert column <= x <= column + size and row <= y <= row + size
    (region,) = hot_regions(found)[:1]
    left, top, right, bottom = region.box
    assert left < column + size and right > column and top < row + size and bottom > row and region.share > 0.2


def test_trimmed_borders_move_the_map() -> None:
    film = filmlike(300, 280)
    framed = np.zeros((360, 340), dtype=np.uint8)
    framed[40:340, 50:330] = film
    processor = ImageProcessor(size=64, crop_borders=True)
    (frame,) = processor.frames(Image(framed))
    left, top, right, bottom = frame.shown
    assert left > 30 and top > 25 and right <= 340 and bottom <= 360
    shown = np.asarray(framed[top:bottom, left:right])
    assert np.array_equal(processor(Image(framed)).numpy(), ImageProcessor(size=64)(Image(shown)).numpy())
    found, _ = source_map(seen(processor, framed), 0, 360, 340)
    assert found[:top].sum() == 0 and found[:, :left].sum() == 0


def test_crops_add_to_the_whole() -> None:
    pixels = spot(400, 1200, 60, 900, 100)
    processor = ImageProcessor(size=64)
    given = seen(processor, pixels, pan_and_scan=True)
    assert len(given.grids) == 4 and given.frames[0].shown == (0, 0, 1200, 400)
    assert given.frames[3].shown == (800, 0, 1200, 400)
    found, _ = source_map(given, 0, 400, 1200)
    x, y = peak(found) or (-1, -1)
    assert 890 <= x <= 1010 and 50 <= y <= 170
    alone, _ = source_map(seen(processor, pixels), 0, 400, 1200)
    assert found[60:160, 900:1000].sum() > alone[60:160, 900:1000].sum()  # the crop sees it more sharply


def test_frames_are_what_the_views_show() -> None:
    random = np.random.default_rng(0)
    for height, width in [(512, 512), (512, 1300), (1400, 600), (333, 257)]:
        pixels = random.integers(0, 256, (height, width), dtype=np.uint8)
        for fit in ("stretch", "pad"):
            processor = ImageProcessor(size=32, fit=fit, do_pan_and_scan=True)
            views = processor(Image(pixels))
            frames = processor.frames(Image(pixels))
            assert len(frames) == len(views)
            for view, frame in zip(views, frames, strict=True):
                (left, top, right, bottom), (x0, y0, x1, y1) = frame.box, frame.shown
                wide = np.zeros((bottom - top, right - left), dtype=np.uint8)
                wide[y0 - top : y1 - top, x0 - left : x1 - left] = pixels[y0:y1, x0:x1]
                assert np.array_equal(ImageProcessor(size=32)(Image(wide))[0].numpy(), view.numpy())


def test_relevance_in_the_padding_is_told_and_left_out() -> None:
    grid = np.zeros((SIDE, SIDE), dtype=np.float32)
    grid[4, 0] = 3  # left of an upright image in its square
    grid[4, 4] = 1
    frame = Frame((-100, 0, 300, 400), (0, 0, 200, 400))
    found, padding = source_map(Relevance((grid,), (frame,), (0,), 1.0, ""), 0, 400, 200)
    assert padding == pytest.approx(0.75, abs=0.01) and found.sum() == pytest.approx(1, abs=1e-3)


def test_nothing_that_speaks_for_it_is_an_empty_map() -> None:
    whole = Frame((0, 0, 90, 80), (0, 0, 90, 80))
    grid = np.full((SIDE, SIDE), -1, dtype=np.float32)
    found, padding = source_map(Relevance((grid,), (whole,), (0,), 0.0, ""), 0, 80, 90)
    assert not found.any() and padding == 0 and peak(found) is None and hot_regions(found) == ()
    assert overlay(filmlike(80, 90), found).shape == (455, 512, 3)


def test_two_parts_are_two_regions() -> None:
    found = np.zeros((200, 300), dtype=np.float32)
    found[50:90, 30:70] = 2
    found[50:90, 220:260] = 1.3
    found[150:160, 100:110] = 1.5  # hot, and small
    first, *rest = hot_regions(found / found.sum())
    assert first.box[0] < 70 and first.box[2] < 150 and len(rest) == 1 and rest[0].box[0] > 150
    found[50:90, 220:260] = found[60, 40]
    regions = hot_regions(found / found.sum())
    assert len(regions) == 2 and all(0.35 < region.share <= 0.5 for region in regions)
    assert {region.box[0] > 150 for region in regions} == {False, True}


def test_a_picture_is_of_limited_size_and_coloured_where_the_map_is() -> None:
    found = np.zeros((3000, 2000), dtype=np.float32)
    found[100:400, 100:400] = 1
    grey = np.full((3000, 2000), 100, dtype=np.uint8)
    picture = overlay(grey, found, [(100, 100, 400, 400)], ("a line", "another"))
    height, width = picture.shape[:2]
    assert width <= 1024 and 1024 < height < 1150
    banner = height - 1024
    inside, outside = picture[banner + 85, 85].astype(int), picture[banner + 800, 500].astype(int)
    assert inside[0] - inside[2] > 60 and outside[0] == outside[2]
