"""The slices of DICOM files: each one's real values (Hounsfield units of CT), its place and its acquisition."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aris.errors import ImageError
from aris.imaging.dicom import codecs, frames
from aris.imaging.dicom.concatenations import concatenation
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.imaging.dicom.rescale import Rescale, rescale_of
from aris.imaging.dicom.values import numbers, one_number, unreadable
from aris.imaging.geometry import Plane, orientation_name, plane
from aris.imaging.orientation import Turn, nearest_turn, turn_of_plane, turn_of_slice_letters
from aris.imaging.radiograph import code, decoded, floats, patient_orientation, several, valid_pixels
from aris.imaging.raster import check_size

AIR_HU = -1024
_CSA_TILES = b"NumberOfImagesInMosaic\0"
_SDI = "SIEMENS MR SDI 02"
# What tells acquisitions of one series apart, the most telling first: (name, functional group, keyword there).
_ACQUISITION = (
    ("StackID", "FrameContentSequence", "StackID"),
    ("AcquisitionNumber", "FrameContentSequence", "FrameAcquisitionNumber"),
    ("TemporalPositionIdentifier", "FrameContentSequence", "TemporalPositionIndex"),
    ("EchoNumbers", "MREchoSequence", "EffectiveEchoTime"),
    ("EchoTime", "MREchoSequence", "EffectiveEchoTime"),
    ("InversionTime", "MRModifierSequence", "InversionTimes"),
    ("DiffusionBValue", "MRDiffusionSequence", "DiffusionBValue"),
    ("TriggerTime", "CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
    ("ImageType", "MRImageFrameTypeSequence", "FrameType"),
    ("AcquisitionTime", "FrameContentSequence", "FrameAcquisitionDateTime"),
)
ACQUISITION_NAMES = tuple(keyword for keyword, _, _ in _ACQUISITION)
# Elements that tell how slices lie: (functional group, keyword, the name that a warning has).
_GEOMETRY = (
    ("PlanePositionSequence", "ImagePositionPatient", "Image Position (Patient)"),
    ("PlaneOrientationSequence", "ImageOrientationPatient", "Image Orientation (Patient)"),
    ("PixelMeasuresSequence", "PixelSpacing", "Pixel Spacing"),
)
NOT_CUSTOMARY = "an oblique plane stored turned or mirrored, and shown so: sides are not where readers look for them"


@dataclass(frozen=True, eq=False)
class Slice:
    """Slice as it was read.

    Attributes:
        values: (H, W) int16, int32 or float32, after the modality transformation; padding is air or the least value.
        least, greatest: of the values that are not padding; equal and 0 if all is padding.
        plane: None where the file does not place it.
        turn: to the customary view.
        spacing: between rows and columns, millimetres; None if unknown.
        thickness: millimetres; None if unknown.
        number: Instance Number, else None. frame: from 1.
        whole: Concatenation UID, where the file is a part of an object; else "".
        before: frames of the object in the parts before this one, as it says.
        uid: SOP Instance UID.
        acquisition: one entry for each of the table above; None where it is absent.
        localizer: whether it is a scout.
        unit: "HU" where the file has the rescale that makes Hounsfield units, of PET its Units; else None.
        known: False where the file has a rescale that cannot be read.
        scale: unit, and what else the numbers are of; slices of one volume have the same.
        inverted: whether low values are to be shown bright (MONOCHROME1).
        modality, body_part: facts for the volume.
        orientation: where rows and columns point, by Patient Orientation; None where it is absent.
        notes: warnings.
    """

    values: npt.NDArray[Any]
    least: float
    greatest: float
    plane: Plane | None
    turn: Turn
    spacing: tuple[float, float] | None
    thickness: float | None
    number: int | None
    frame: int
    uid: str
    acquisition: tuple[str | None, ...]
    localizer: bool
    unit: str | None
    known: bool
    scale: tuple[Any, ...]
    inverted: bool
    modality: str | None
    body_part: str | None
    orientation: tuple[str, str] | None = None
    notes: tuple[str, ...] = ()
    whole: str = ""
    before: int = 0


def slices_of(dataset: Any, source: str) -> Iterator[Slice]:
    """Each frame of one file, parsed with its pixels.

    Raises:
        ImageError: damaged, coloured, too large, a mosaic, or in an encoding that is not read.
    """
    with quiet_pydicom():
        try:
            _check(dataset, source)
            if frames.count(dataset) == 1 and "PerFrameFunctionalGroupsSequence" not in dataset:
                yield _slice(dataset, dataset, 0, source)
                return
            for index, frame in enumerate(frames.split(dataset)):
                yield _slice(dataset, frame, index, source)
        except ImageError:
            raise
        except codecs.DecodeError:
            raise ImageError(f"{source}: it holds fewer frames than it declares; export it again") from None
        except MemoryError:
            raise ImageError(f"{source}: out of memory while decoding; close other programs") from None
        except Exception:  # pydicom raises many kinds on damaged files
            raise ImageError(f"{source}: the DICOM file is damaged; send or export it again") from None


def _check(dataset: Any, source: str) -> None:
    if "PixelData" not in dataset:
        raise ImageError(f"{source}: it has no integer pixels; give the images themselves")
    interpretation = code(dataset, "PhotometricInterpretation")
    if interpretation not in ("MONOCHROME1", "MONOCHROME2"):
        raise ImageError(f"{source}: a colour image, not a slice; read it as a still")
    check_size(int(dataset.Columns), int(dataset.Rows), source)
    if unreadable(dataset, "NumberOfFrames"):
        raise ImageError(f"{source}: its Number of Frames is damaged and no number; export it again")
    if tiles := mosaic_tiles(dataset):
        raise ImageError(
            f"{source}: a mosaic, which holds {tiles} slices side by side in one image; export it as enhanced "
            "multi-frame MR, or convert it to single slices"
        )


def mosaic_tiles(dataset: Any) -> str:
    """Return the number of slices that a Siemens mosaic holds side by side, as a word; "" of any other image.

    Image Type says MOSAIC, or the scanner's own Image Type Text (0021,xx75) of SIEMENS MR SDI 02 does; the number is
    NumberOfImagesInMosaic (0019,xx0A) of SIEMENS MR HEADER, or stands in the header of SIEMENS CSA HEADER (0029,xx10).
    Of several frames each is a slice: newer scanners part a mosaic when they export it as an enhanced image, and leave
    the word in its Image Type (github.com/rordenlab/dcm2niix/issues/553).
    """
    if frames.count(dataset) > 1:
        return ""
    own = _private(dataset, 0x0019, "SIEMENS MR HEADER", 0x0A)
    try:
        tiles = int.from_bytes(own, "little") if isinstance(own, bytes) else int(own or 0)
    except (TypeError, ValueError, OverflowError):
        tiles = 0
    tiles = tiles or _csa_tiles(_private(dataset, 0x0029, "SIEMENS CSA HEADER", 0x10))
    if tiles > 1:
        return str(tiles)
    words = [*_words(several(dataset, "ImageType")), *_image_type_texts(dataset)]
    return "several" if "MOSAIC" in words and tiles != 1 else ""


def _private(dataset: Any, group: int, creator: str, element: int) -> Any:
    """A private element's value; None where it is absent or damaged."""
    try:
        return dataset.private_block(group, creator)[element].value
    except Exception:  # no such block or element, or pydicom's many kinds on a damaged one
        return None


def _csa_tiles(header: Any) -> int:
    """NumberOfImagesInMosaic of a CSA header (nipy.org/nibabel/dicom/siemens_csa.html); 0 where it says none."""
    at = header.find(_CSA_TILES) if isinstance(header, bytes) else -1
    if at < 0:
        return 0
    # The name has 64 bytes, five numbers follow, and the items: four numbers and a text each.
    found = re.search(rb"[0-9]{1,4}(?=[ \0])", header[at + 84 + 16 : at + 84 + 16 + 12])
    return int(found[0]) if found else 0


def _image_type_texts(dataset: Any) -> list[str]:
    """Words of Image Type Text, of the image itself or in the scanner's sequence (0021,xxFE) of its first frame."""
    holders = [dataset]
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        groups = dataset.get(name) or ()
        inner = _private(groups[0], 0x0021, _SDI, 0xFE) if groups else None
        holders += [*(inner or ())][:1]
    found = []
    for each in holders:
        value = _private(each, 0x0021, _SDI, 0x75)
        text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
        parts = text.split("\\") if isinstance(text, str) else [*(text or ())]
        found += [str(part).strip(" \0").upper() for part in parts]
    return found


def _slice(dataset: Any, frame: Any, index: int, source: str) -> Slice:
    stored = decoded(frame, source)
    modality = code(dataset, "Modality")
    rescale = rescale_of(frame)
    unit = unit_of(dataset, frame, modality, rescale)
    values = _real(stored, rescale)
    valid = valid_pixels(stored, frame) if "PixelPaddingValue" in frame else None
    if valid is None or valid.all():
        least, greatest = float(values.min()), float(values.max())
    elif valid.any():
        inside = values[valid]
        least, greatest = float(inside.min()), float(inside.max())
        values = np.where(valid, values, np.asarray(AIR_HU if unit == "HU" else inside.min(), dtype=values.dtype))
    else:
        least = greatest = 0.0
        values = np.full_like(values, AIR_HU if unit == "HU" else 0)
    position = floats(_holder(dataset, index, "PlanePositionSequence"), "ImagePositionPatient")
    orientation = floats(_holder(dataset, index, "PlaneOrientationSequence"), "ImageOrientationPatient")
    measures = _holder(dataset, index, "PixelMeasuresSequence")
    found = floats(measures, "PixelSpacing")
    sized = len(found) == 2 and all(0 < value < 1000 for value in found)
    spacing = (found[0], found[1]) if sized else None
    thickness = one_number(measures, "SliceThickness")
    number = one_number(dataset, "InstanceNumber")
    placed = plane(position, orientation)
    notes = [] if not rescale.note else [rescale.note]
    notes += _unread(dataset, index, placed is None)
    lying = patient_orientation(dataset)
    turn = turn_of_slice_letters(lying) if placed is None else turn_of_plane(placed)
    if placed is not None and orientation_name(placed) == "oblique" and nearest_turn(placed.row, placed.column):
        notes.append(NOT_CUSTOMARY)
    part = concatenation(dataset)
    return Slice(
        values=values,
        least=least,
        greatest=greatest,
        plane=placed,
        turn=turn,
        spacing=spacing,
        thickness=thickness if thickness is not None and 0 < thickness < 1000 else None,
        number=int(number) if number is not None else None,
        frame=index + 1,
        uid=str(dataset.get("SOPInstanceUID") or ""),
        acquisition=acquisition_of(dataset, index),
        localizer="LOCALIZER" in _words(dataset.get("ImageType")),
        unit=unit,
        known=rescale.known,
        scale=(unit, rescale.known, rescale.stated, code(frame, "RescaleType") or "US" if rescale.stated else ""),
        inverted=code(dataset, "PhotometricInterpretation") == "MONOCHROME1",
        modality=modality,
        body_part=code(dataset, "BodyPartExamined"),
        orientation=lying,
        notes=tuple(notes),
        whole="" if part is None else part.uid,
        before=0 if part is None else part.offset or part.number or 0,
    )


def _unread(dataset: Any, index: int, unplaced: bool) -> list[str]:
    """A warning for each element of the geometry that is there but cannot be read."""
    notes = []
    for group, keyword, name in _GEOMETRY:
        holder = _holder(dataset, index, group)
        stated = numbers(holder, keyword)
        count = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6}.get(keyword, 2)
        if stated and (None in stated or len(stated) != count):
            notes.append(f"{name} cannot be read as numbers")
    measures = _holder(dataset, index, "PixelMeasuresSequence")
    if unreadable(measures, "SliceThickness"):
        notes.append("Slice Thickness cannot be read as a number")
    if unplaced and not notes and numbers(_holder(dataset, index, "PlanePositionSequence"), "ImagePositionPatient"):
        notes.append("Image Orientation (Patient) is missing or no pair of directions at right angles")
    return notes


def _holder(dataset: Any, index: int, name: str) -> Any:
    """The functional group that holds a frame's attributes, or the data set itself."""
    found = frames.group(dataset, index, name)
    return dataset if found is None else found


def acquisition_of(dataset: Any, index: int) -> tuple[str | None, ...]:
    """Values of `ACQUISITION_NAMES` for a frame (from 0); None where one is absent."""
    return tuple(_acquisition(dataset, index, *names) for names in _ACQUISITION)


def _acquisition(dataset: Any, index: int, keyword: str, group: str, inner: str) -> str | None:
    from pydicom.datadict import dictionary_VR

    found = frames.group(dataset, index, group)
    holder, name = (dataset, keyword) if found is None else (found, inner)
    # Not of dates, times, names and counts: 20240301101500 and 20240301101501 are one number of six digits.
    stated = numbers(holder, name) if dictionary_VR(name) in ("DS", "FD", "FL") else ()
    # "2.5" and "2.50" are one echo time; a number that cannot be read tells nothing apart.
    known = [value for value in stated if value is not None]
    if known and len(known) == len(stated):
        return "/".join(f"{value:.0f}" if value.is_integer() else f"{value:.6g}" for value in known)
    parts = several(holder, name)
    return "/".join(str(part) for part in parts) if parts else None


def _words(value: Any) -> tuple[str, ...]:
    return tuple(str(part).upper() for part in ([value] if isinstance(value, str) else value or ()))


def unit_of(dataset: Any, frame: Any, modality: str | None, rescale: Rescale) -> str | None:
    """The unit of the values; None where they have none, or none that is known.

    Of CT it is Hounsfield where the file has a rescale and Rescale Type does not say else (PS3.3 C.8.2.1.1.2); of PET
    what Units (0054,1001) says.
    """
    if not rescale.stated:
        return None
    if modality == "PT":
        return code(dataset, "Units")
    table = frame.get("ModalityLUTSequence")
    kind = code(table[0], "ModalityLUTType") or "US" if table else code(frame, "RescaleType")
    return "HU" if modality == "CT" and kind in (None, "HU") else None


def _real(stored: npt.NDArray[Any], rescale: Rescale) -> npt.NDArray[Any]:
    """After the modality transformation, in the smallest signed type that holds it: int16, int32, else float32.

    Never the stored type: air at -1000 in an unsigned cell of 16 bits is 64,536.
    """
    slope, intercept = rescale.slope, rescale.intercept
    low, high = int(stored.min()), int(stored.max())
    ends = sorted((low * slope + intercept, high * slope + intercept))
    whole = slope.is_integer() and intercept.is_integer() and max(map(abs, ends)) < 1 << 31
    if rescale.table is not None or not whole or max(abs(low), abs(high)) >= 1 << 31:
        return rescale.applied(stored).astype(np.float32)
    small = ends[0] >= -32768 and ends[1] <= 32767
    if small and slope == 1 and stored.dtype.itemsize == 2:
        # Modulo 2^16: the result fits, so it is exact, and no wider copy is made.
        shift = np.array(int(intercept) & 0xFFFF, dtype=np.uint16)
        native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
        return (native.view(np.uint16) + shift).view(np.int16)
    exact = stored.astype(np.int32) * np.int32(slope) + np.int32(intercept)
    return exact.astype(np.int16) if small else exact
