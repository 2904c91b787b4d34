"""The slices of DICOM files: each one's real values (Hounsfield units of CT), its place and its acquisition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aris.errors import ImageError
from aris.imaging import codecs, frames, voi
from aris.imaging.concatenations import concatenation
from aris.imaging.dicom import code, decoded, floats, valid_pixels
from aris.imaging.geometry import Plane, plane
from aris.imaging.parsing import parse
from aris.imaging.quiet import quiet_pydicom
from aris.imaging.raster import check_size

AIR_HU = -1024
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


@dataclass(frozen=True, eq=False)
class Slice:
    """One slice as it was read.

    Attributes:
        values: (H, W) int16, int32 or float32, after the modality transformation; padding is air or the least value.
        least, greatest: of the values that are not padding; equal and 0 if all is padding.
        plane: None where the file does not place it.
        spacing: between rows and columns, millimetres; None if unknown.
        thickness: millimetres; None if unknown.
        number: Instance Number, else None. frame: from 1.
        whole: Concatenation UID, where the file is a part of an object; else "".
        before: frames of the object in the parts before this one, as it says.
        uid: SOP Instance UID.
        acquisition: one entry for each of the table above; None where it is absent.
        localizer: whether it is a scout.
        hounsfield: whether the file has the rescale that makes Hounsfield units.
        rest: facts for the volume: modality, body_part.
    """

    values: npt.NDArray[Any]
    least: float
    greatest: float
    plane: Plane | None
    spacing: tuple[float, float] | None
    thickness: float | None
    number: int | None
    frame: int
    uid: str
    acquisition: tuple[str | None, ...]
    localizer: bool
    hounsfield: bool
    modality: str | None
    body_part: str | None
    whole: str = ""
    before: int = 0


def read_slices(data: bytes, source: str) -> Iterator[Slice]:
    """Each frame of one file.

    Raises:
        ImageError: damaged, coloured, too large, or in an encoding that is not read.
    """
    with quiet_pydicom():
        try:
            dataset = parse(data, source)
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


def _slice(dataset: Any, frame: Any, index: int, source: str) -> Slice:
    stored = decoded(frame, source)
    ct = code(dataset, "Modality") == "CT"
    values = _real(stored, frame)
    valid = valid_pixels(stored, frame) if "PixelPaddingValue" in frame else None
    if valid is None or valid.all():
        least, greatest = float(values.min()), float(values.max())
    elif valid.any():
        inside = values[valid]
        least, greatest = float(inside.min()), float(inside.max())
        values = np.where(valid, values, np.asarray(AIR_HU if ct else inside.min(), dtype=values.dtype))
    else:
        least = greatest = 0.0
        values = np.full_like(values, AIR_HU if ct else 0)
    position = floats(_holder(dataset, index, "PlanePositionSequence"), "ImagePositionPatient")
    orientation = floats(_holder(dataset, index, "PlaneOrientationSequence"), "ImageOrientationPatient")
    measures = _holder(dataset, index, "PixelMeasuresSequence")
    spacing = floats(measures, "PixelSpacing")
    thickness = floats(measures, "SliceThickness")
    sized = len(spacing) == 2 and all(0 < value < 1000 for value in spacing)
    numbers = floats(dataset, "InstanceNumber")
    part = concatenation(dataset)
    return Slice(
        values=values,
        least=least,
        greatest=greatest,
        plane=plane(position, orientation),
        spacing=(spacing[0], spacing[1]) if sized else None,
        thickness=thickness[0] if thickness and 0 < thickness[0] < 1000 else None,
        number=int(numbers[0]) if numbers and np.isfinite(numbers[0]) else None,
        frame=index + 1,
        uid=str(dataset.get("SOPInstanceUID") or ""),
        acquisition=tuple(_acquisition(dataset, index, *names) for names in _ACQUISITION),
        localizer="LOCALIZER" in _words(dataset.get("ImageType")),
        hounsfield=ct and _hounsfield(frame),
        modality=code(dataset, "Modality"),
        body_part=code(dataset, "BodyPartExamined"),
        whole="" if part is None else part.uid,
        before=0 if part is None else part.offset or part.number or 0,
    )


def _holder(dataset: Any, index: int, name: str) -> Any:
    """The functional group that holds a frame's attributes, or the data set itself."""
    found = frames.group(dataset, index, name)
    return dataset if found is None else found


def _acquisition(dataset: Any, index: int, keyword: str, group: str, inner: str) -> str | None:
    found = frames.group(dataset, index, group)
    value = dataset.get(keyword) if found is None else found.get(inner)
    return None if value is None or value == "" else str(value)


def _words(value: Any) -> tuple[str, ...]:
    return tuple(str(part).upper() for part in ([value] if isinstance(value, str) else value or ()))


def _hounsfield(frame: Any) -> bool:
    kind = code(frame, "RescaleType")
    return "RescaleIntercept" in frame and kind in (None, "HU")


def _real(stored: npt.NDArray[Any], frame: Any) -> npt.NDArray[Any]:
    """After the modality transformation, in the smallest signed type that holds it: int16, int32, else float32.

    Never the stored type: air at -1000 in an unsigned cell of 16 bits is 64,536.
    """
    slopes, intercepts = floats(frame, "RescaleSlope"), floats(frame, "RescaleIntercept")
    slope, intercept = slopes[0] if slopes else 1.0, intercepts[0] if intercepts else 0.0
    low, high = int(stored.min()), int(stored.max())
    ends = sorted((low * slope + intercept, high * slope + intercept))
    whole = slope.is_integer() and intercept.is_integer() and max(map(abs, ends)) < 1 << 31
    if frame.get("ModalityLUTSequence") or not whole or max(abs(low), abs(high)) >= 1 << 31:
        values = voi.modality(stored, frame)
        return values.astype(np.float32)
    small = ends[0] >= -32768 and ends[1] <= 32767
    if small and slope == 1 and stored.dtype.itemsize == 2:
        # Modulo 2^16: the result fits, so it is exact, and no wider copy is made.
        shift = np.array(int(intercept) & 0xFFFF, dtype=np.uint16)
        native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
        return (native.view(np.uint16) + shift).view(np.int16)
    exact = stored.astype(np.int32) * np.int32(slope) + np.int32(intercept)
    return exact.astype(np.int16) if small else exact
