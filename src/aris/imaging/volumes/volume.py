"""A CT or MR series as a volume: slices in the order in which they lie in the body, in real units, with what is wrong.

Order is the position along the slice normal. Instance Number is no order: scanners number from either end, by
acquisition, or not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aris.errors import ImageError
from aris.imaging.dicom import concatenations
from aris.imaging.dicom.codecs import kept_child
from aris.imaging.geometry import SAME_POSITION_MM, Plane, Spread, orientation_name, same_orientation, spread
from aris.imaging.orientation import STORED, Letters, Turn, across, known_letters, plane_letters
from aris.imaging.sources import FileSource, Skipped
from aris.imaging.studies import Series, find_studies
from aris.imaging.volumes.slices import ACQUISITION_NAMES, Slice, slices_of

MAX_VOXELS = 1 << 30
_VOLUMES = ("CT", "MR", "PT")


@dataclass(frozen=True, eq=False)
class Volume:
    """Slices of one orientation and one acquisition, ordered by position along their normal.

    Axial slices run from the feet to the head, coronal ones from the front to the back, sagittal ones from the left to
    the right. In each, rows and columns are as the file has them; `turn` leads to the view that readers are used to,
    in which `volume_images` shows them.

    Attributes:
        voxels: (N, H, W), int16, int32 or float32. CT: Hounsfield units, padding is air. Never an unsigned type.
        modality: "CT", "MR", ...; None where nothing says.
        unit: "HU", of PET its own as "BQML", or None for arbitrary or unknown units.
        spacing_mm: between slices, rows and columns. Between slices: the median distance of their positions; for one
            slice, its thickness. None where the files do not say; measurements need all three.
        planes: of each slice, in order; None where the files do not place them.
        origins: of each slice its SOP Instance UID and its frame, from 1: what a document refers to.
        value_range: the least and the greatest voxel that is not padding, of the whole acquisition.
        body_part: Body Part Examined.
        orientation: "axial", "coronal", "sagittal" or "oblique"; None where it is not known.
        missing: pairs (place, count): that many slices are missing after this one, counted from 0.
        skipped: files of the series that are not in it.
        warnings: what a reader of results should know, one line each.
        inverted: whether low values are to be shown bright (MONOCHROME1). Hounsfield units have their own windows.
        turn: from each slice to its customary view (`orientation`).
        lying: where rows and columns of the view point, as ("L", "P") of axial slices; None where it is not known.
    """

    voxels: npt.NDArray[Any]
    modality: str | None
    unit: str | None
    spacing_mm: tuple[float | None, float, float] | None
    planes: tuple[Plane, ...] | None
    origins: tuple[tuple[str, int], ...]
    value_range: tuple[float, float]
    body_part: str | None = None
    missing: tuple[tuple[int, int], ...] = ()
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()
    inverted: bool = False
    turn: Turn = STORED
    lying: Letters | None = None

    @property
    def orientation(self) -> str | None:
        return orientation_name(self.planes[0]) if self.planes else None

def read_volume(what: str | Path | Series) -> Volume:
    """The volume of a series: the one with the most slices where it holds several, which is said.

    Args:
        what: a series, or the path of a folder, archive, DICOMDIR or file that holds one volume series.

    Raises:
        ImageError: nothing readable, no or several series, too large, or no slice that can be decoded.
    """
    series = what if isinstance(what, Series) else _only_series(Path(what))
    volumes = read_volumes(series)
    best = max(volumes, key=lambda volume: len(volume.voxels))
    if len(volumes) == 1:
        return best
    sizes = ", ".join(str(len(volume.voxels)) for volume in volumes)
    note = f"the series holds {len(volumes)} stacks or acquisitions ({sizes} slices): the largest is used"
    return replace(best, warnings=(note, *best.warnings))


def read_volumes(series: Series) -> tuple[Volume, ...]:
    """Every stack and acquisition of a series, in the order of their first instance numbers.

    Slices that differ in size, spacing, orientation or unit are stacks of their own, and so are echoes, inversion
    times, b values, time points, MR images of several kinds (magnitude and phase) and CT acquisitions that overlap.
    Where several still lie at one place they are told apart by stack, acquisition number, time and the like; where
    nothing tells them apart, the first is kept and the rest reported. Scouts are left out unless there is nothing else.

    Raises:
        ImageError: too large, or no slice can be decoded.
    """
    if series.modality not in _VOLUMES:
        raise ImageError(f"series: its modality is not read as a volume; {', '.join(_VOLUMES)} are")
    if sum(one.frames * one.rows * one.columns for one in series.instances) > MAX_VOXELS:
        raise ImageError(f"series: more than {MAX_VOXELS / 1e9:.1f} billion voxels; give fewer slices")
    slices: list[Slice] = []
    skipped: list[Skipped] = []
    with kept_child():
        for instance in series.instances:
            name = instance.source.name
            try:
                slices += slices_of(instance.source.dataset(), name)
            except ImageError as error:
                skipped.append(Skipped(name, str(error).removeprefix(f"{name}: ")))
    if not slices:
        raise ImageError(f"series: none of its {len(skipped)} files can be read; the first: {skipped[0].reason}")
    total = len(series.instances)
    notes = [f"{len(skipped)} of {total} files could not be read: slices are missing"] if skipped else []
    lacking = filter(None, map(concatenations.missing, concatenations.groups(series.instances)))
    notes += [f"of an object in several files {absent}: slices may be missing at any place" for absent in lacking]
    kept = [one for one in slices if not one.localizer] or slices
    if len(kept) < len(slices):
        notes.append(f"{len(slices) - len(kept)} scout images were left out")
    stacks = _stacks(kept)
    if len({_facing(stack) for stack in stacks}) > 1:
        notes.append("the series mixes orientations; each is a volume of its own")
    acquisitions = [part for stack in stacks for part in _acquisitions(stack)]
    return tuple(_volume(part, skipped, notes) for part in sorted(acquisitions, key=_first_number))


def _only_series(path: Path) -> Series:
    name = FileSource(path).name
    found = [series for series in find_studies(path).series if series.kind == "volume"]
    if not found:
        raise ImageError(f"{name}: no CT or MR series in it")
    if len(found) > 1:
        raise ImageError(f"{name}: {len(found)} CT or MR series; take them apart with find_studies and read each")
    return found[0]


def _facing(stack: Sequence[Slice]) -> tuple[float, ...] | None:
    plane = stack[0].plane
    return None if plane is None else (*np.round(plane.row, 2).tolist(), *np.round(plane.column, 2).tolist())


def _stacks(slices: Iterable[Slice]) -> list[list[Slice]]:
    """Slices that can lie in one array: same size, spacing and orientation."""
    stacks: list[list[Slice]] = []
    for one in slices:
        for stack in stacks:
            if _fits(one, stack[0]):
                stack.append(one)
                break
        else:
            stacks.append([one])
    return stacks


def _fits(one: Slice, other: Slice) -> bool:
    if one.values.shape != other.values.shape or (one.spacing is None) != (other.spacing is None):
        return False
    # Values of two units, or of an unknown one, are no one scale; nor are negatives and positives of arbitrary ones.
    if one.scale != other.scale and not one.unit == other.unit == "HU":
        return False
    if one.unit != "HU" and one.inverted != other.inverted:
        return False
    if one.spacing is not None and other.spacing is not None and not np.allclose(one.spacing, other.spacing, rtol=1e-3):
        return False
    if one.plane is None or other.plane is None:
        return one.plane is other.plane and one.turn == other.turn
    return same_orientation(one.plane, other.plane)


def _depths(stack: Sequence[Slice]) -> list[float]:
    """Along the first slice's normal, so that rounding in the others' does not move them."""
    normal = None if stack[0].plane is None else across(stack[0].plane)
    return [float(np.dot(one.plane.position, normal)) for one in stack if one.plane is not None and normal is not None]


def _crowded(stack: Sequence[Slice]) -> bool:
    """Return whether two slices lie at one place."""
    depths = np.sort(_depths(stack))
    return len(depths) > 1 and bool((np.diff(depths) < SAME_POSITION_MM).any())


# A difference in one of these is a difference in what is shown, wherever the slices lie.
_OTHER_IMAGES = ("EchoNumbers", "EchoTime", "InversionTime", "DiffusionBValue", "TemporalPositionIdentifier")


def _acquisitions(stack: list[Slice]) -> list[list[Slice]]:
    names = (*_OTHER_IMAGES, "ImageType") if stack[0].modality == "MR" else _OTHER_IMAGES
    parts = _grouped(stack, [ACQUISITION_NAMES.index(name) for name in names])
    # A value that differs from slice to slice, as echo times of some scanners do by a little, is no other image.
    if len(parts) == 1 or (any(len(part) == 1 for part in parts) and not _crowded(stack)):
        parts = _overlapping(stack) if stack[0].modality == "CT" else [stack]
    return [each for part in parts for each in _apart(part)]


def _overlapping(stack: list[Slice]) -> list[list[Slice]]:
    """CT acquisitions of one stack apart, where they are scans of the same part and not its continuation."""
    parts = [part for part in _grouped(stack, [ACQUISITION_NAMES.index("AcquisitionNumber")]) if len(part) > 1]
    if len(parts) < 2 or sum(map(len, parts)) < len(stack) or _crowded(stack):
        return [stack]
    spans = []
    for part in parts:
        depths = sorted(_depths([stack[0], *part])[1:])
        if not depths:
            return [stack]
        spans.append((depths[0], depths[-1], float(np.median(np.diff(depths)))))
    spans.sort()
    overlap = any(last - first > step for (_, last, step), (first, _, _) in pairwise(spans))
    return parts if overlap else [stack]


def _apart(stack: list[Slice]) -> list[list[Slice]]:
    """Slices that lie at one place, told apart by what differs between them."""
    if not _crowded(stack):
        return [stack]
    for index in range(len(stack[0].acquisition)):
        parts = _grouped(stack, [index])
        if len(parts) > 1 and not any(map(_crowded, parts)):
            return parts
    # No single one does. The two last are left out: times may differ for every slice.
    several = [index for index in range(len(stack[0].acquisition) - 1) if len(_grouped(stack, [index])) > 1]
    return _grouped(stack, several) if several else [stack]


def _grouped(stack: list[Slice], indices: list[int]) -> list[list[Slice]]:
    groups: dict[tuple[str | None, ...], list[Slice]] = {}
    for one in stack:
        groups.setdefault(tuple(one.acquisition[index] for index in indices), []).append(one)
    return list(groups.values())


def _first_number(part: Sequence[Slice]) -> tuple[bool, int]:
    numbers = [one.number for one in part if one.number is not None]
    return not numbers, min(numbers, default=0)


def _volume(part: list[Slice], skipped: list[Skipped], general: list[str]) -> Volume:
    notes = list(general)
    part, duplicates = _ordered(part)
    if duplicates:
        notes.append(f"{duplicates} slices lie at the place of another: the first of each place was kept")
    placed = tuple(one.plane for one in part if one.plane is not None)
    planes = placed if len(placed) == len(part) else None
    if planes is None and len(part) > 1:
        notes.append("the slices do not say where they lie: ordered by instance number and frame")
    lies = Spread(None, (), False, False) if planes is None else spread(planes, across(planes[0]))
    for index, count in lies.gaps:
        notes.append(f"{count} slices are missing between slice {index + 1} and slice {index + 2}")
    if lies.uneven:
        notes.append("the distances between slices differ")
    if lies.sheared:
        notes.append("the slices are shifted against one another (tilted gantry): oblique lengths are wrong")
    between = lies.spacing_mm if len(part) > 1 else part[0].thickness
    spacing = part[0].spacing
    if spacing is None or between is None:
        notes.append("the distance between pixels or slices is not known: nothing can be measured in all directions")
    modality = part[0].modality
    unit = part[0].unit if len({one.unit for one in part}) == 1 else None
    for note, count in Counter(note for one in part for note in one.notes).items():
        notes.append(note if count == len(part) else f"{note} ({count} of {len(part)} slices)")
    if modality == "CT" and unit is None:
        why = "no rescale to Hounsfield units in the files" if part[0].known else "the rescale is not known"
        notes.append(f"{why}: the values are not Hounsfield units")
    inverted = any(one.inverted for one in part)
    if inverted and unit == "HU":
        notes.append("stored as MONOCHROME1 (low values bright): shown by its Hounsfield units, air dark")
    turn = part[0].turn
    if turn:
        notes.append("the slices are stored turned or mirrored: they are shown as readers are used to see them")
    stored = plane_letters(planes[0]) if planes else known_letters(part[0].orientation)
    return Volume(
        voxels=np.stack([one.values for one in part]),
        modality=modality,
        unit=unit,
        spacing_mm=None if spacing is None else (between, *spacing),
        planes=planes,
        origins=tuple((one.uid, one.frame) for one in part),
        value_range=(min(one.least for one in part), max(one.greatest for one in part)),
        body_part=part[0].body_part,
        missing=lies.gaps,
        skipped=tuple(skipped),
        warnings=tuple(notes),
        inverted=inverted and unit != "HU",
        turn=turn,
        lying=None if stored is None else turn.letters(stored),
    )


def _ordered(part: list[Slice]) -> tuple[list[Slice], int]:
    """By position, one slice a place; by number and frame where there are no positions. And how many were dropped."""
    # The parts of one object have its place in the series, and their own order.
    first: dict[str, int] = {}
    for one in part:
        first[one.whole] = min(one.number or 0, first.get(one.whole, one.number or 0))
    part = sorted(
        part,
        key=lambda one: (
            one.number is None, first[one.whole] if one.whole else one.number or 0, one.whole, one.before, one.frame
        ),
    )  # fmt: skip
    depths = _depths(part)
    if not depths:
        return part, 0
    order = sorted(range(len(part)), key=lambda index: depths[index])  # stable: the least number first at one place
    kept: list[int] = []
    for index in order:
        if not kept or depths[index] - depths[kept[-1]] >= SAME_POSITION_MM:
            kept.append(index)
    return [part[index] for index in kept], len(part) - len(kept)

