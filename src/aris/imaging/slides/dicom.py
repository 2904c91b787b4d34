"""The levels of a DICOM slide: tiles from one file or from several, put where they lie (PS3.3 C.8.12.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aris.errors import ImageError
from aris.imaging import radiograph
from aris.imaging.dicom import codecs, concatenations, frames
from aris.imaging.dicom.parsing import parse
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.imaging.raster import check_size
from aris.imaging.studies import Instance, Series

Pixels = npt.NDArray[np.uint8]
_CACHED_TILES = 256


@dataclass(frozen=True)
class Level:
    """Level of a slide: one resolution.

    Attributes:
        width, height: pixels.
        downsample: how many pixels of level 0 lie along one of this level.
    """

    width: int
    height: int
    downsample: float


class DicomReader:
    """Reads regions of a slide's levels; labels and overviews are not opened.

    Args:
        series: the slide's files.
        source: for errors.

    Raises:
        ImageError: damaged, several slides, or nothing but labels and overviews.
    """

    def __init__(self, series: Series, source: str) -> None:
        shown = [one for one in series.instances if not _names(one)]
        volumes = [one for one in shown if "VOLUME" in one.image_type]
        parts = [_Part(one) for one in volumes or shown]
        if not parts:
            raise ImageError(f"{source}: no tiles of a slide in it, only labels or overviews")
        if (count := len({part.container for part in parts if part.container})) > 1:
            raise ImageError(f"{source}: one series holds {count} slides; give the files of one")
        by_size: dict[tuple[int, int], list[_Part]] = {}
        for part in parts:
            by_size.setdefault((part.width, part.height), []).append(part)
        self._tiles = sorted(map(_Tiles, by_size.values()), key=lambda level: -level.width)
        self.levels = tuple(Level(one.width, one.height, self._tiles[0].width / one.width) for one in self._tiles)
        self.mpp = self._tiles[0].mpp
        every = ((number, note) for number, level in enumerate(self._tiles) for note in level.notes)
        self.notes = tuple(f"level {number}: {note}" for number, note in every)

    def region(self, level: int, left: int, top: int, width: int, height: int) -> Pixels:
        """uint8 (height, width, 3) at a place in a level's own pixels; white where there is no tile."""
        return self._tiles[level].region(left, top, width, height)


def _names(one: Instance) -> bool:
    """Labels and overviews show names."""
    return one.shows_label or bool({"LABEL", "OVERVIEW", "LOCALIZER"} & set(one.image_type))


class _Part:
    """File of a DICOM slide: a level, or some of its tiles."""

    def __init__(self, instance: Instance) -> None:
        source = instance.source
        self.name = source.name
        self.concatenation = instance.concatenation
        data = source.read()
        try:
            with quiet_pydicom():
                self._dataset = dataset = parse(data, self.name)
                radiograph.ensure_syntax(dataset)
                self.frames = frames.count(dataset)
                self.container = radiograph.code(dataset, "ContainerIdentifier")
                self.rows, self.columns = int(dataset.Rows), int(dataset.Columns)
                self.width = int(dataset.get("TotalPixelMatrixColumns") or self.columns)
                self.height = int(dataset.get("TotalPixelMatrixRows") or self.rows)
                measures = frames.group(dataset, 0, "PixelMeasuresSequence")
                spacing = radiograph.floats(dataset if measures is None else measures, "PixelSpacing")
                sized = len(spacing) == 2 and all(1e-5 < n < 0.1 for n in spacing)
                self.mpp = sum(spacing) / 2 * 1000 if sized else None
                check_size(self.columns, self.rows, self.name)
                if min(self.width, self.height) < 1:
                    raise ImageError(f"{self.name}: the slide's size is damaged; export it again")
                self.sparse = frames.group(dataset, 0, "PlanePositionSlideSequence") is not None
                if not self.sparse and radiograph.code(dataset, "DimensionOrganizationType") == "TILED_SPARSE":
                    raise ImageError(f"{self.name}: it does not say where its tiles lie; export it again")
        except ImageError:
            raise
        except Exception:  # pydicom raises many kinds on damaged files
            raise ImageError(f"{self.name}: the DICOM slide is damaged; export it again") from None
        self._cut: list[Any] | None = None

    def positions(self, before: int) -> Iterator[tuple[str, int, int, int]]:
        """Of each frame its optical path, the top and the left of its tile, and its number in this file.

        Args:
            before: frames of the object that lie in other files before this one.

        Raises:
            ImageError: damaged.
        """
        try:
            with quiet_pydicom():
                yield from self._sparse() if self.sparse else self._full(before)
        except Exception:  # pydicom raises many kinds on damaged files
            raise ImageError(f"{self.name}: the DICOM slide is damaged; export it again") from None

    def _sparse(self) -> Iterator[tuple[str, int, int, int]]:
        for index in range(self.frames):
            item = frames.group(self._dataset, index, "PlanePositionSlideSequence")
            if item is None:
                continue
            light = frames.group(self._dataset, index, "OpticalPathIdentificationSequence")
            path = str(light.get("OpticalPathIdentifier") or "") if light is not None else ""
            top = int(item.RowPositionInTotalImagePixelMatrix) - 1
            yield path, top, int(item.ColumnPositionInTotalImagePixelMatrix) - 1, index

    def _full(self, before: int) -> Iterator[tuple[str, int, int, int]]:
        """By rows, then by focal planes, then by optical paths (PS3.3 C.7.6.17.3, TILED_FULL)."""
        across, down = -(-self.width // self.columns), -(-self.height // self.rows)
        planes = max(1, int(self._dataset.get("TotalPixelMatrixFocalPlanes") or 1))
        lights = self._dataset.get("OpticalPathSequence") or ()
        names = [str(item.get("OpticalPathIdentifier") or "") for item in lights]
        for index in range(self.frames):
            stack, position = divmod(before + index, across * down)
            path = stack // planes
            name = names[path] if path < len(names) else "" if path == 0 else str(path)
            yield name, position // across * self.rows, position % across * self.columns, index

    def frame(self, index: int) -> Any:
        """Return a tile as a data set.

        Raises:
            DecodeError: the file holds fewer than it declares.
        """
        if self._cut is None:
            self._cut = list(frames.split(self._dataset))
        return self._cut[index]


class _Tiles:
    """Tiles of one level of a DICOM slide (PS3.3 C.8.12.4): TILED_FULL, or TILED_SPARSE with a position for each frame.

    Its tiles may lie in several files: the parts of a concatenation, or objects with some of the tiles, focal planes
    or optical paths each. Of several paths the first counts, and of each place's focal planes the first.
    """

    def __init__(self, parts: list[_Part]) -> None:
        self._name = parts[0].name
        self.width, self.height = parts[0].width, parts[0].height
        self.mpp = parts[0].mpp
        self.notes: list[str] = []
        self._positions: dict[tuple[int, int], tuple[_Part, int]] = {}
        self._tallest, self._widest = max(one.rows for one in parts), max(one.columns for one in parts)
        self._fill(parts)
        self._seen: dict[tuple[int, int], Pixels] = {}

    def _fill(self, parts: Sequence[_Part]) -> None:
        paths: dict[str, None] = {}
        again = False
        objects = concatenations.groups(parts)
        for whole in objects:
            try:
                ordered = concatenations.joined(whole)
            except ValueError:
                raise ImageError(
                    f"{whole[0].name}: it is a part of a slide's level and does not say which; export it again"
                ) from None
            if absent := concatenations.missing(whole):
                self.notes.append(f"{absent}: its tiles are shown as glass")
            for part, before in ordered:
                for path, top, left, index in part.positions(before):
                    paths.setdefault(path)
                    if path == next(iter(paths)):
                        again = again or (top, left) in self._positions
                        self._positions.setdefault((top, left), (part, index))
        wanted = -(-self.width // parts[0].columns) * -(-self.height // parts[0].rows)
        if not any(one.sparse for one in parts) and not self.notes and len(self._positions) < wanted:
            lacking = wanted - len(self._positions)
            self.notes.append(f"{lacking} of {wanted} tiles are missing: they are shown as glass")
        if len(paths) > 1:
            self.notes.append(f"{len(paths)} optical paths are stored: the first is shown")
        if again:
            self.notes.append("several focal planes are stored: the first of each place is shown")

    def region(self, left: int, top: int, width: int, height: int) -> Pixels:
        out = np.full((height, width, 3), 255, dtype=np.uint8)
        for y, x in self._touched(left, top, width, height):
            tile = self._tile(y, x)
            # Tiles at the right and the lower edge reach beyond the slide.
            y1, x1 = min(y + tile.shape[0], self.height), min(x + tile.shape[1], self.width)
            y0, x0 = max(y, top, 0), max(x, left, 0)
            y1, x1 = min(y1, top + height), min(x1, left + width)
            if y0 < y1 and x0 < x1:
                out[y0 - top : y1 - top, x0 - left : x1 - left] = tile[y0 - y : y1 - y, x0 - x : x1 - x]
        return out

    def _touched(self, left: int, top: int, width: int, height: int) -> list[tuple[int, int]]:
        return [
            position
            for position in self._positions
            if position[0] < top + height
            and position[0] + self._tallest > top
            and position[1] < left + width
            and position[1] + self._widest > left
        ]

    def _tile(self, top: int, left: int) -> Pixels:
        if (top, left) in self._seen:
            return self._seen[top, left]
        part, index = self._positions[top, left]
        try:
            with quiet_pydicom(), codecs.kept_child():
                pixels, _ = radiograph.display_pixels(part.frame(index), part.name)
        except ImageError:
            raise
        except Exception:  # DecodeError, and what damaged elements raise
            raise ImageError(f"{part.name}: the slide's tiles are damaged; export it again") from None
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[:, :, None], 3, axis=2)
        if len(self._seen) >= _CACHED_TILES:
            self._seen.pop(next(iter(self._seen)))
        self._seen[top, left] = pixels
        return pixels
