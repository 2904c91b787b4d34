"""Pictures that are no films: ultrasound, secondary captures, photographs, endoscopy, fundus; stills and loops.

Colours as they were meant: YBR variants and palettes become RGB, an ICC profile is followed to sRGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aris.errors import ImageError
from aris.imaging import codecs, dicom, frames, raster, sniff
from aris.imaging.film import contents, named, printable
from aris.imaging.parsing import parse
from aris.imaging.quiet import quiet_pydicom
from aris.imaging.raster import check_size
from aris.imaging.sampling import slice_indices
from aris.imaging.sources import FileSource

# Radiographs have a reader that keeps their facts; slices of volumes and slides one that keeps their geometry.
_PICTURES = ("US", "SC", "OT", "XC", "OP", "ES", "GM", "XA", "RF", "NM", "IV", "DM", "IO", "PX", "DOC", None)
_ELSEWHERE = {
    "CR": "a radiograph; read it with read_film", "DX": "a radiograph; read it with read_film",
    "MG": "a mammogram; MedGemma was not trained on mammograms",
    "SM": "a slide; read it with open_slide",
    **dict.fromkeys(("CT", "MR", "PT"), "a slice of a volume; read it with read_volume"),
}  # fmt: skip
MAX_FRAMES = 85


@dataclass(frozen=True, eq=False)
class Stills:
    """A picture, or frames of a loop.

    Attributes:
        frames: uint8 (H, W) grey or (H, W, 3) RGB, each in full resolution, in the order of time.
        indices: of each among the `total`, from 0.
        total: how many frames the file has.
        frame_time_ms: between frames; None where the file does not say.
        modality, body_part: as the file says.
        burned_in_annotation: (0028,0301).
        regions: of ultrasound, the calibrated areas.
        source: the path as it was given.
        warnings: one line each.
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


@dataclass(frozen=True)
class Region:
    """An area of an ultrasound picture with its own scale (PS3.3 C.8.5.5): no other part can be measured.

    Attributes:
        box: (top, left, bottom, right) in pixels, ends included.
        spacing_mm: between rows and between columns; None where the axes are not lengths, as in Doppler.
    """

    box: tuple[int, int, int, int]
    spacing_mm: tuple[float, float] | None


def read_stills(path: str | Path | FileSource, limit: int = MAX_FRAMES) -> Stills:
    """Read a picture or a loop from DICOM, PNG, JPEG, WebP or TIFF; of a long loop frames at even steps, both ends too.

    Args:
        path: of the file, or a member of an archive.
        limit: frames at most.

    Raises:
        ImageError: a radiograph, mammogram or slide; without pixels, damaged, too large, or in an encoding that is not
            read.
    """
    source = printable(path)
    data = contents(path, source)
    kind = sniff.kind_of(data)
    if kind in ("png", "jpeg", "tiff", "webp"):
        pixels, notes = raster.read(data, kind, source)
        return Stills((pixels,), (0,), 1, None, None, None, None, (), named(path), notes)
    if kind != "dicom":
        raise ImageError(f"{source}: {sniff.complaint(data)}")
    return _from_dicom(data, source, named(path), limit)


def _from_dicom(data: bytes, source: str, path: str, limit: int) -> Stills:
    with quiet_pydicom(), codecs.kept_child():
        try:
            dataset = parse(data, source)
            modality = dicom.code(dataset, "Modality")
            if modality in _ELSEWHERE:
                raise ImageError(f"{source}: this is {_ELSEWHERE[modality]}")
            if modality not in _PICTURES:
                raise ImageError(f"{source}: not of a pictures' modality; give ultrasound or photographs")
            if "PixelData" not in dataset:
                what = dicom.sop_class(dataset) or "DICOM object"
                raise ImageError(f"{source}: this {what} has no integer pixels; give the image itself")
            check_size(int(dataset.Columns), int(dataset.Rows), source)
            dicom.ensure_syntax(dataset)
            total = frames.count(dataset)
            chosen = slice_indices(total, limit)
            shown, notes = _shown(dataset, chosen, total, source)
            times = dicom.floats(dataset, "FrameTime")
            burned = {"YES": True, "NO": False}.get(dicom.code(dataset, "BurnedInAnnotation") or "")
            if total > len(chosen):
                notes = (*notes, f"{len(chosen)} of {total} frames, evenly spaced")
            return Stills(
                shown, chosen, total, times[0] if times and 0 < times[0] < 1e6 else None, modality,
                dicom.code(dataset, "BodyPartExamined"), burned, _regions(dataset), path, notes,
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
    dataset: Any, chosen: tuple[int, ...], total: int, source: str
) -> tuple[tuple[npt.NDArray[np.uint8], ...], tuple[str, ...]]:
    parts = [dataset] if total == 1 else frames.split(dataset, chosen)
    shown, notes = [], dict[str, None]()
    for part in parts:
        pixels, more = dicom.display_pixels(part, source)
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
