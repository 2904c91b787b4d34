"""Slides: DICOM (read here) and the vendors' formats (OpenSlide, extra `wsi`), and the patches of tissue in them.

Labels and overview photographs, which name patients, are never opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from aris.errors import ImageError, why_not_imported
from aris.imaging.film import printable
from aris.imaging.prompt_images import PromptImage
from aris.imaging.raster import check_size
from aris.imaging.slides.dicom import DicomReader, Level, Pixels
from aris.imaging.studies import Series, find_studies
from aris.imaging.volumes.sampling import slice_indices
from aris.regular import read_regular

PATCH = 896
MAX_PATCHES = 126  # MedGemma 1.5, model card
# Glass has next to no colour: below this saturation (of 255) nothing counts as tissue, whatever Otsu finds in noise.
_LEAST_SATURATION = 15
_MASK_CELLS = 16  # cells of the tissue mask along a patch's side


class _Reader(Protocol):
    levels: tuple[Level, ...]
    mpp: float | None

    def region(self, level: int, left: int, top: int, width: int, height: int) -> Pixels: ...


@dataclass(frozen=True, eq=False)
class Slide:
    """A slide that is open.

    Attributes:
        levels: from the finest to the coarsest.
        mpp: micrometres between pixels of level 0; None where the file does not say.
        source: the path as it was given.
        warnings: one line each.
    """

    levels: tuple[Level, ...]
    mpp: float | None
    source: str
    warnings: tuple[str, ...]
    reader: _Reader

    def region(self, left: float, top: float, side: float, size: int) -> Pixels:
        """A square of `side` level-0 pixels at (left, top), as uint8 (size, size, 3); white beyond the slide."""
        wanted = side / size
        level = max((i for i, one in enumerate(self.levels) if one.downsample <= wanted * 1.01), default=0)
        scale = self.levels[level].downsample
        count = max(1, round(side / scale))
        check_size(count, count, printable(self.source))
        pixels = self.reader.region(level, round(left / scale), round(top / scale), count, count)
        if count == size:
            return pixels
        return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.LANCZOS))


@dataclass(frozen=True)
class Patch:
    """A square of tissue: its place in level-0 pixels, and how much of it is tissue (0..1)."""

    left: int
    top: int
    side: int
    tissue: float


def open_slide(what: str | Path | Series) -> Slide:
    """Open a slide: a DICOM file, the folder or series of its levels, or a vendor's file.

    Raises:
        ImageError: no slide, damaged, or a vendor's format without the extra `wsi`.
    """
    if isinstance(what, Series):
        return _dicom_slide(what, what.instances[0].source.name)
    path = Path(what).expanduser()
    source = printable(path)
    try:
        head = read_regular(path, 132)
    except IsADirectoryError:
        head = b""
    except (OSError, ValueError):
        raise ImageError(f"{source}: cannot be read; check the path") from None
    if path.is_dir() or head[128:132] == b"DICM":
        found = [series for series in find_studies(path).series if series.kind == "slide"]
        if len(found) != 1:
            raise ImageError(f"{source}: {len(found)} DICOM slides in it; give one")
        return _dicom_slide(found[0], str(what))
    reader = _openslide(path, source)
    return _slide(reader, str(what))


def patches(
    slide: Slide, *, mpp: float = 1.0, size: int = PATCH, min_tissue: float = 0.25, limit: int = MAX_PATCHES
) -> tuple[Patch, ...]:
    """Squares of a regular grid, without overlap, that hold tissue; row by row.

    Tissue is told from glass by its saturation at low power (Otsu's threshold; IEEE Trans SMC 1979; 9: 62). Of more
    than `limit` an even selection is taken, the first and the last included, in order.

    Args:
        slide: to look at.
        mpp: micrometres between a patch's pixels: 1.0 is what is called 10x. Ignored, with level 0 taken, where the
            slide does not say its own.
        size: of a patch's side in its pixels.
        min_tissue: the share of a patch that must be tissue.
        limit: patches at most.

    Raises:
        ImageError: no tissue found.
    """
    side = size if slide.mpp is None else round(size * mpp / slide.mpp)
    base = slide.levels[0]
    columns, rows = -(-base.width // side), -(-base.height // side)
    if columns * rows > 1_000_000:
        raise ImageError(f"{printable(slide.source)}: more than a million patches; take a coarser resolution")
    saturation = np.zeros((rows, columns, _MASK_CELLS, _MASK_CELLS), dtype=np.uint8)
    for row in range(rows):
        for column in range(columns):
            view = slide.region(column * side, row * side, side, _MASK_CELLS).astype(np.int16)
            saturation[row, column] = view.max(axis=2) - view.min(axis=2)
    threshold = max(_LEAST_SATURATION, _otsu(saturation))
    share = (saturation > threshold).mean(axis=(2, 3))
    # A patch whose larger part lies beyond the slide's edge has less tissue than its share would need.
    found = [
        Patch(column * side, row * side, side, float(share[row, column]))
        for row, column in np.argwhere(share >= min_tissue).tolist()
    ]
    if not found:
        raise ImageError(f"{printable(slide.source)}: no tissue found; choose patches by hand")
    return tuple(found[index] for index in slice_indices(len(found), limit))


def slide_images(slide: Slide, chosen: Sequence[Patch], size: int = PATCH) -> tuple[PromptImage, ...]:
    """The patches as a prompt has them, in their order: uint8 (size, size, 3) and "PATCH 1", "PATCH 2", ..."""
    return tuple(
        PromptImage(slide.region(one.left, one.top, one.side, size), f"PATCH {number}", number - 1)
        for number, one in enumerate(chosen, 1)
    )


def _otsu(values: npt.NDArray[np.uint8]) -> int:
    counts = np.bincount(values.ravel(), minlength=256).astype(np.float64)
    below = counts.cumsum()
    above = below[-1] - below
    total = (counts * np.arange(256)).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (total / below - (total[-1] - total) / above) ** 2
    return int(np.nan_to_num(between).argmax())


def _slide(reader: _Reader, source: str, notes: Sequence[str] = ()) -> Slide:
    size = () if reader.mpp else ("the slide does not say its resolution: nothing can be measured, level 0 is used",)
    return Slide(reader.levels, reader.mpp, source, (*size, *notes), reader)


def _openslide(path: Path, source: str) -> _Reader:
    try:
        import openslide
    except ImportError as error:
        why = why_not_imported(error, "openslide")
        raise ImageError(
            f"{source}: slides in vendors' formats need OpenSlide ({why}); pip install 'aris-medgemma[wsi]'"
        ) from None
    try:
        opened = openslide.OpenSlide(str(path))
    except (openslide.OpenSlideError, OSError, ValueError):
        raise ImageError(f"{source}: no slide that OpenSlide reads, or damaged; copy or export it again") from None
    return _OpenSlideReader(opened, source)


class _OpenSlideReader:
    def __init__(self, opened: Any, source: str) -> None:
        self._opened, self._source = opened, source
        pairs = zip(opened.level_dimensions, opened.level_downsamples, strict=True)
        self.levels = tuple(Level(width, height, float(scale)) for (width, height), scale in pairs)
        self.mpp = self._resolution(opened.properties)

    @staticmethod
    def _resolution(properties: Any) -> float | None:
        try:
            if "openslide.mpp-x" in properties:
                mpp = (float(properties["openslide.mpp-x"]) + float(properties["openslide.mpp-y"])) / 2
            else:
                unit = {"centimeter": 10_000.0, "inch": 25_400.0}[properties["tiff.ResolutionUnit"]]
                mpp = unit / float(properties["tiff.XResolution"])
        except (KeyError, ValueError, ZeroDivisionError):
            return None
        return mpp if 0.01 < mpp < 100 else None

    def region(self, level: int, left: int, top: int, width: int, height: int) -> Pixels:
        import openslide

        scale = self.levels[level].downsample
        try:
            read = self._opened.read_region((round(left * scale), round(top * scale)), level, (width, height))
        except (openslide.OpenSlideError, OSError, ValueError):
            raise ImageError(f"{printable(self._source)}: damaged tiles; copy or export it again") from None
        white = Image.new("RGBA", read.size, (255, 255, 255, 255))
        return np.asarray(Image.alpha_composite(white, read).convert("RGB"))


def _dicom_slide(series: Series, source: str) -> Slide:
    reader = DicomReader(series, printable(source))
    return _slide(reader, source, reader.notes)
