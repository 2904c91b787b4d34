"""Images that are no films: ultrasound, secondary captures, photographs, endoscopy, fundus; stills and loops.

Colours as they were meant: YBR variants and palettes become RGB, an ICC profile is followed to sRGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aris.errors import ImageError
from aris.imaging import radiograph, raster, sniff
from aris.imaging.dicom import codecs, frames
from aris.imaging.dicom.concatenations import concatenation, joined, missing
from aris.imaging.dicom.parsing import parse
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.imaging.dicom.values import unreadable
from aris.imaging.dicom.voi import Span
from aris.imaging.film import contents, named, printable
from aris.imaging.orientation import STORED, Letters, Turn, turn_of_film
from aris.imaging.raster import check_size
from aris.imaging.sources import FileSource, HeldFile
from aris.imaging.studies import Instance
from aris.imaging.volumes.sampling import slice_indices

# Radiographs have a reader that keeps their facts; slices of volumes and slides one that keeps their geometry.
_STILLS = ("US", "SC", "OT", "XC", "OP", "ES", "GM", "XA", "RF", "NM", "IV", "DM", "IO", "PX", "DOC", None)
_ELSEWHERE = {
    "CR": "a radiograph; read it with read_film", "DX": "a radiograph; read it with read_film",
    "MG": "a mammogram; MedGemma was not trained on mammograms",
    "SM": "a slide; read it with open_slide",
    **dict.fromkeys(("CT", "MR", "PT"), "a slice of a volume; read it with read_volume"),
}  # fmt: skip
# What a film may be sent as: turned by Patient Orientation as films are. Others are shown as they were made.
_PROJECTIONS = ("RF", "SC", "OT", None)
MAX_FRAMES = 85


@dataclass(frozen=True, eq=False)
class Stills:
    """An image, or frames of a loop.

    Attributes:
        frames: uint8 (H, W) grey or (H, W, 3) RGB, each in full resolution, in the order of time. Grey frames without a
            window have one mapping for all: least to greatest value of all of them.
        indices: of each among the `total`, from 0.
        total: how many frames the file has.
        frame_time_ms: between frames; None where the file does not say.
        modality, body_part: as the file says.
        burned_in_annotation: (0028,0301).
        regions: of ultrasound, the calibrated areas.
        source: the path as it was given.
        warnings: one line each.
        turn: from the stored pixels to `frames`.
        orientation: where rows and columns of `frames` point, by Patient Orientation; None where it is not known.
    """

    frames: tuple[npt.NDArray[np.uint8], ...]
    indices: tuple[int, ...]
    total: int
    frame_time_ms: float | None
    modality: str | None
    body_part: str | None
    burned_in_annotation: bool | None
    regions: tuple[Region, ...]
    source: str
    warnings: tuple[str, ...] = ()
    turn: Turn = STORED
    orientation: Letters | None = None


@dataclass(frozen=True)
class Region:
    """An area of an ultrasound image with its own scale (PS3.3 C.8.5.5): no other part can be measured.

    Attributes:
        box: (top, left, bottom, right) in pixels, ends included.
        spacing_mm: between rows and between columns; None where the axes are not lengths, as in Doppler.
    """

    box: tuple[int, int, int, int]
    spacing_mm: tuple[float, float] | None


def read_stills(path: str | Path | FileSource, limit: int = MAX_FRAMES) -> Stills:
    """Read an image or a loop from DICOM, PNG, JPEG, WebP or TIFF; of a long loop frames at even steps, both ends too.

    Args:
        path: of the file, or a member of an archive.
        limit: frames at most.

    Raises:
        ImageError: a radiograph, mammogram or slide; without pixels, damaged, too large, or in an encoding that is not
            read.
    """
    source = printable(path)
    data = contents(path, source)
    kind = path.kind if isinstance(path, HeldFile) else sniff.kind_of(data)
    if kind in ("png", "jpeg", "tiff", "webp"):
        pixels, notes = raster.read(data, kind, source)
        return Stills((pixels,), (0,), 1, None, None, None, None, (), named(path), notes)
    if kind != "dicom":
        raise ImageError(f"{source}: {sniff.complaint(data)}")
    with quiet_pydicom():
        dataset = path.dataset() if isinstance(path, HeldFile) else parse(data, source)
    return _from_dicom(dataset, source, named(path), limit)


def read_recording(parts: Sequence[Instance], limit: int = MAX_FRAMES) -> Stills:
    """Read a loop that was cut into several files (a concatenation, PS3.3 C.7.6.16.2.2.4) as the one that it is.

    Args:
        parts: of one recording, in any order.
        limit: frames at most, evenly spaced over all of it.

    Raises:
        ImageError: as for `read_stills`; or a part does not say where it lies.
    """
    try:
        ordered = joined(parts)
    except ValueError:
        source = parts[0].source.name
        raise ImageError(f"{source}: it is a part of a recording and does not say which; export it again") from None
    every = sorted({before + index for part, before in ordered for index in range(part.frames)})
    chosen = [every[index] for index in slice_indices(len(every), limit)]
    wanted: list[tuple[Instance, int, tuple[int, ...]]] = []
    for part, before in ordered:
        local = tuple(index - before for index in chosen if before <= index < before + part.frames)
        chosen = [index for index in chosen if not before <= index < before + part.frames]
        if local:
            wanted.append((part, before, local))
    # One mapping for the frames of all parts.
    spans = [span for part, _, local in wanted if (span := _span_of_part(part, local)) is not None]
    span = (min(low for low, _ in spans), max(high for _, high in spans)) if spans else None
    read: list[Stills] = []
    for part, before, local in wanted:
        made = _from_dicom(_parsed(part), part.source.name, named(part.source), limit, local, span)
        read.append(replace(made, indices=tuple(before + index for index in made.indices)))
    notes = dict.fromkeys(note for each in read for note in each.warnings)
    if absent := missing(parts):
        notes[f"of the recording {absent}"] = None
    if len(every) > limit:
        notes[f"{limit} of {len(every)} frames, evenly spaced"] = None
    return replace(
        read[0], frames=tuple(frame for each in read for frame in each.frames),
        indices=tuple(index for each in read for index in each.indices),
        total=max(before + part.frames for part, before in ordered), warnings=tuple(notes),
    )  # fmt: skip


def _parsed(part: Instance) -> Any:
    with quiet_pydicom():
        return parse(contents(part.source, part.source.name), part.source.name)


def _span_of_part(part: Instance, local: tuple[int, ...]) -> Span | None:
    with quiet_pydicom(), codecs.kept_child():
        try:
            dataset = _parsed(part)
            check_size(int(dataset.Columns), int(dataset.Rows), part.source.name)
            radiograph.ensure_syntax(dataset)
            several = frames.count(dataset) > 1
            return radiograph.span_of_frames(frames.split(dataset, local) if several else [dataset], part.source.name)
        except Exception:  # it is met again, and said, when the part's frames are read
            return None


def _from_dicom(
    dataset: Any, source: str, path: str, limit: int, wanted: tuple[int, ...] | None = None, span: Span | None = None
) -> Stills:
    """A file's frames: evenly spaced ones, or those that are wanted because the file is a part of what is read.

    Args:
        span: of the values of all of what is read; by default of this file's frames.
    """
    with quiet_pydicom(), codecs.kept_child():
        try:
            modality = radiograph.code(dataset, "Modality")
            if modality in _ELSEWHERE:
                raise ImageError(f"{source}: this is {_ELSEWHERE[modality]}")
            if modality not in _STILLS:
                raise ImageError(f"{source}: not of a images' modality; give ultrasound or photographs")
            if "PixelData" not in dataset:
                what = radiograph.sop_class(dataset) or "DICOM object"
                raise ImageError(f"{source}: this {what} has no integer pixels; give the image itself")
            check_size(int(dataset.Columns), int(dataset.Rows), source)
            if unreadable(dataset, "NumberOfFrames"):
                raise ImageError(f"{source}: its Number of Frames is damaged and no number; export it again")
            radiograph.ensure_syntax(dataset)
            total = frames.count(dataset)
            chosen = slice_indices(total, limit) if wanted is None else wanted
            shown, notes = _shown(dataset, chosen, total, source, span)
            times = radiograph.floats(dataset, "FrameTime")
            if unreadable(dataset, "FrameTime"):
                notes = (*notes, "Frame Time cannot be read as a number: the time between frames is not known")
            burned = {"YES": True, "NO": False}.get(radiograph.code(dataset, "BurnedInAnnotation") or "")
            part = concatenation(dataset) if wanted is None else None
            if part is not None:
                which = f"part {part.number}" + (f" of {part.total}" if part.total else "") if part.number else "a part"
                notes = (*notes, f"the file is {which} of a longer recording: the rest lies in other files")
            if wanted is None and total > len(chosen):
                notes = (*notes, f"{len(chosen)} of {total} frames, evenly spaced")
            body_part = radiograph.code(dataset, "BodyPartExamined")
            lying = radiograph.patient_orientation(dataset)
            turn = turn_of_film(lying, body_part) if modality in _PROJECTIONS else STORED
            if turn:
                shown = tuple(np.ascontiguousarray(turn.applied(frame)) for frame in shown)
                notes = (*notes, radiograph.TURNED)
            return Stills(
                shown, chosen, total, times[0] if len(times) == 1 and 0 < times[0] < 1e6 else None, modality, body_part,
                burned, _regions(dataset), path, notes, turn, None if lying is None else turn.letters(lying),
            )  # fmt: skip
        except ImageError:
            raise
        except codecs.DecodeError:
            raise ImageError(f"{source}: it holds fewer frames than it declares; export it again") from None
        except MemoryError:
            raise ImageError(f"{source}: out of memory while decoding; close other programs") from None
        except Exception:  # pydicom raises many kinds on damaged files
            raise ImageError(f"{source}: the DICOM file is damaged; send or export it again") from None


def _shown(
    dataset: Any, chosen: tuple[int, ...], total: int, source: str, span: Span | None
) -> tuple[tuple[npt.NDArray[np.uint8], ...], tuple[str, ...]]:
    parts = [dataset] if total == 1 else list(frames.split(dataset, chosen))
    shown, notes = [], dict[str, None]()
    if span is None and total > 1:
        span = radiograph.span_of_frames(parts, source)
    for part in parts:
        pixels, more = radiograph.display_pixels(part, source, span)
        shown.append(pixels)
        notes.update(dict.fromkeys(more))
    return tuple(shown), tuple(notes)


def _regions(dataset: Any) -> tuple[Region, ...]:
    found = []
    for item in dataset.get("SequenceOfUltrasoundRegions") or ():
        try:
            box = tuple(int(item[f"RegionLocation{name}"].value) for name in ("MinY0", "MinX0", "MaxY1", "MaxX1"))
            # Units of 3 are centimetres (C.8.5.5.1.15).
            lengths = int(item.PhysicalUnitsXDirection) == 3 and int(item.PhysicalUnitsYDirection) == 3
            down, right = abs(float(item.PhysicalDeltaY)) * 10, abs(float(item.PhysicalDeltaX)) * 10
        except Exception:  # an incomplete region is none
            continue
        sized = lengths and 0 < down < 1000 and 0 < right < 1000
        found.append(Region((box[0], box[1], box[2], box[3]), (down, right) if sized else None))
    return tuple(found)
