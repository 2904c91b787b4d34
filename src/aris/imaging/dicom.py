"""A DICOM radiograph to display pixels and the facts in its header.

No value of the header goes into an error or a warning, save the modality and what else says nothing of a person.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from aris.errors import ImageError
from aris.imaging import voi
from aris.imaging.raster import check_size

_RADIOGRAPHS = ("CR", "DX", "DR", "RG", "RF", "XA")
_STILLS = ("OT", "SC", "XC")
_ELSEWHERE = {
    "CT": "a CT slice",
    "MR": "an MR slice",
    "MG": "a mammogram",
    "US": "an ultrasound",
    "NM": "a nuclear medicine image",
    "PT": "a PET slice",
    "SM": "a slide",
    "OP": "a fundus photograph",
    "ES": "an endoscopy image",
    "IO": "a dental film",
    "PX": "a dental film",
}
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
_GREYS = ("MONOCHROME1", "MONOCHROME2")

Facts = dict[str, Any]


def read(data: bytes, source: str) -> tuple[npt.NDArray[np.uint8], Facts, tuple[str, ...]]:
    """Decode a radiograph.

    Returns:
        uint8 (H, W) or (H, W, 3); `Film`'s fields from the header; warnings.

    Raises:
        ImageError: not a single radiograph, without pixels, too large, damaged, or compressed in a way that no
            installed decoder reads.
    """
    from pydicom import dcmread

    # pydicom's warnings and log lines quote header values.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = dcmread(io.BytesIO(data), force=True)
        except Exception:  # pydicom raises many kinds on damaged files
            raise ImageError(f"{source}: the DICOM file is damaged; send or export it again") from None
        try:
            notes = _check(dataset, source)
            pixels, more = _pixels(dataset, source)
            return pixels, _facts(dataset), (*notes, *more)
        except ImageError:
            raise
        except MemoryError:
            raise ImageError(f"{source}: out of memory while decoding; close other programs") from None
        except Exception:  # elements of impossible types or values, met while they are used
            raise ImageError(f"{source}: the DICOM file is damaged; send or export it again") from None


def _check(dataset: Any, source: str) -> tuple[str, ...]:
    """Refuse what is not one radiograph, before any pixel is decoded."""
    kind = _sop_class(dataset)
    if "DirectoryRecordSequence" in dataset or kind == "Media Storage Directory Storage":
        raise ImageError(f"{source}: this is a DICOMDIR, a list of files; give one of the images it lists")
    modality = _text(dataset.get("Modality"))
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        what = kind or "DICOM object"
        raise ImageError(f"{source}: this {what} has no pixels; give the image itself")
    if modality in _ELSEWHERE:
        raise ImageError(
            f"{source}: this is {_ELSEWHERE[modality]} ({modality}); single radiographs are read (CR, DX, DR, RG)"
        )
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise ImageError(f"{source}: {frames} frames; give a single radiograph, or export one frame")
    if "PixelData" not in dataset:
        raise ImageError(f"{source}: its pixels are floating-point numbers; radiographs have integer pixels")
    check_size(int(dataset.Columns), int(dataset.Rows), source)
    if modality in _RADIOGRAPHS:
        return ()
    if modality in _STILLS:
        return (f"a secondary image ({modality}), not an original radiograph: its grey levels may be changed",)
    if modality is not None:
        raise ImageError(f"{source}: its modality is {modality}; single radiographs are read (CR, DX, DR, RG)")
    return ("the file does not name its modality; it was read as a radiograph",)


def _pixels(dataset: Any, source: str) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    from pydicom.pixels.processing import apply_color_lut

    interpretation = _text(dataset.get("PhotometricInterpretation")) or ""
    if interpretation not in _GREYS + _COLOURS:
        kind = interpretation or "unknown"
        raise ImageError(f"{source}: pixels of kind {kind!r:.30} are not read; export it as grey")
    stored = _decoded(dataset, source)
    if interpretation == "PALETTE COLOR":
        coloured = apply_color_lut(stored, dataset)
        # Palettes have 8 or 16 bits (C.7.6.3.1.5).
        wide = int(dataset.RedPaletteColorLookupTableDescriptor[2]) > 8
        return (coloured >> 8 if wide else coloured).astype(np.uint8), ()
    if stored.ndim == 3:
        shift = max(0, int(dataset.BitsStored) - 8)
        return (stored >> shift).astype(np.uint8), ()
    values = voi.modality(stored, dataset)
    shown, notes = voi.display(values, dataset, _valid(stored, dataset))
    shape = (_text(dataset.get("PresentationLUTShape")) or "").upper()
    # Inverted last: once for MONOCHROME1, whose Presentation LUT Shape is INVERSE (PS3.3 C.8.11.1.1.2).
    if interpretation == "MONOCHROME1" or shape == "INVERSE":
        shown = 255 - shown
    return shown, notes


def _decoded(dataset: Any, source: str) -> npt.NDArray[Any]:
    """The stored values, signed as the file says; colours as RGB."""
    from pydicom.pixels.utils import pixel_array
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if "TransferSyntaxUID" not in dataset.file_meta:
        # A file without its meta group is not compressed; how its elements are written was found while reading.
        implicit = dataset.original_encoding[0]
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian

    try:
        return np.asarray(pixel_array(dataset, raw=False))
    except MemoryError:
        raise
    except (RuntimeError, NotImplementedError, AttributeError, ValueError, KeyError, IndexError, OSError):
        syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
        name = getattr(syntax, "name", "unknown encoding")
        raise ImageError(
            f"{source}: its pixels ({name}) are truncated, damaged or in an encoding that is not read; export it again"
        ) from None


def _valid(stored: npt.NDArray[Any], dataset: Any) -> npt.NDArray[np.bool_]:
    """False where a pixel is padding: Pixel Padding Value to its range limit (PS3.3 C.7.5.1.1.2)."""
    padding = dataset.get("PixelPaddingValue")
    if padding is None:
        return np.ones(stored.shape, dtype=bool)
    limit = dataset.get("PixelPaddingRangeLimit", padding)
    bits = int(dataset.BitsAllocated)
    signed = int(dataset.PixelRepresentation) == 1
    low, high = sorted(_signed(int(n), bits) if signed else int(n) & ((1 << bits) - 1) for n in (padding, limit))
    return (stored < low) | (stored > high)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >= 1 << (bits - 1) else value


def _facts(dataset: Any) -> Facts:
    spacing, attribute = _spacing(dataset)
    orientation = [part for part in (_text(p) for p in dataset.get("PatientOrientation") or []) if part]
    burned = _text(dataset.get("BurnedInAnnotation"))
    return {
        "modality": _text(dataset.get("Modality")),
        "body_part": _text(dataset.get("BodyPartExamined")),
        "view_position": _text(dataset.get("ViewPosition")),
        "laterality": _text(dataset.get("Laterality")),
        "image_laterality": _text(dataset.get("ImageLaterality")),
        "patient_orientation": (orientation[0], orientation[1]) if len(orientation) == 2 else None,
        "patient_age_years": _age(dataset),
        "pixel_spacing_mm": spacing,
        "spacing_attribute": attribute,
        "burned_in_annotation": {"YES": True, "NO": False}.get(burned or ""),
    }


def _text(value: Any) -> str | None:
    """A short code string in upper case, without control characters; None if empty."""
    if value is None:
        return None
    text = "".join(c for c in str(value) if c.isprintable()).strip().upper()[:32]
    return text or None


def _spacing(dataset: Any) -> tuple[tuple[float, float] | None, str | None]:
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        value = dataset.get(name)
        if value is not None and len(value) == 2 and all(0 < float(v) < 1000 for v in value):
            return (float(value[0]), float(value[1])), name
    return None, None


def _age(dataset: Any) -> float | None:
    """Years, from Patient's Age ("045Y", "018M", "003W", "010D"), else from birth to study."""
    match = re.fullmatch(r"(\d{1,3})([DWMY])", _text(dataset.get("PatientAge")) or "")
    if match:
        return int(match[1]) / {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}[match[2]]
    born, seen = _text(dataset.get("PatientBirthDate")), _text(dataset.get("StudyDate"))
    if born and seen and len(born) == len(seen) == 8 and (born + seen).isdigit():
        days = (np.datetime64(_iso(seen)) - np.datetime64(_iso(born))).astype(int)
        return float(days) / 365.25 if 0 <= days < 130 * 366 else None
    return None


def _iso(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:]}"


def _sop_class(dataset: Any) -> str:
    """The name of the object's kind, as "Basic Text SR Storage"; "" if it is not known."""
    uid = dataset.get("SOPClassUID") or getattr(getattr(dataset, "file_meta", None), "MediaStorageSOPClassUID", None)
    name = str(getattr(uid, "name", ""))
    return name if name and not name[0].isdigit() else ""
