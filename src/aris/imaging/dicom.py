"""A DICOM radiograph to display pixels and the facts in its header.

No value of the header goes into an error or a warning, save the modality and what else says nothing of a person.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from aris.errors import ImageError
from aris.imaging import codecs, voi
from aris.imaging.colour import to_srgb
from aris.imaging.parsing import parse
from aris.imaging.quiet import quiet_pydicom
from aris.imaging.raster import check_size

_RADIOGRAPHS = ("CR", "DX", "DR", "RG", "RF")
_STILLS = ("OT", "SC", "XC")
_ELSEWHERE = {
    "CT": "a CT slice",
    "MR": "an MR slice",
    "MG": "a mammogram",
    "XA": "an angiography image",
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
_OTHER_COLOURS = ("HSV", "ARGB", "CMYK", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "XYB")
# PS3.3 C.7.3.1.1.1 and CID 29: what else stands there may be anything, as a name.
_MODALITIES = frozenset([
    "AR", "ASMT", "AU", "BDUS", "BI", "BMD", "CFM", "CR", "CS", "CT", "CTPROTOCOL", "DD", "DG", "DMS", "DOC", "DX",
    "ECG", "EEG", "EMG", "EOG", "EPS", "ES", "FA", "FID", "FS", "GM", "HC", "HD", "IO", "IOL", "IVOCT", "IVUS", "KER",
    "KO", "LEN", "LP", "LS", "M3D", "MA", "MG", "MR", "MS", "NM", "OAM", "OCT", "OP", "OPM", "OPR", "OPT", "OPTBSV",
    "OPTENF", "OPV", "OSS", "OT", "PA", "PLAN", "POS", "PR", "PT", "PX", "REG", "RESP", "RF", "RG", "RTDOSE",
    "RTIMAGE", "RTINTENT", "RTPLAN", "RTRAD", "RTRECORD", "RTSEGANN", "RTSTRUCT", "RWV", "SEG", "SM", "SMR", "SR",
    "SRF", "ST", "STAIN", "TEXTUREMAP", "TG", "US", "VA", "VF", "XA", "XAPROTOCOL", "XC", "DR",
])  # fmt: skip

Facts = dict[str, Any]
_OLDEST = 130
UNKNOWN_CALIBRATION = "PixelSpacing of unknown calibration"


def read(data: bytes, source: str) -> tuple[npt.NDArray[np.uint8], Facts, tuple[str, ...]]:
    """Decode a radiograph.

    Returns:
        uint8 (H, W) or (H, W, 3); `Film`'s fields from the header; warnings.

    Raises:
        ImageError: not a single radiograph, without pixels, too large, damaged, or compressed in a way that no
            installed decoder reads.
    """
    with quiet_pydicom():
        dataset = parse(data, source)
        try:
            notes = _check(dataset, source)
            pixels, more = display_pixels(dataset, source)
            return pixels, _facts(dataset), (*notes, *more)
        except ImageError:
            raise
        except MemoryError:
            raise ImageError(f"{source}: out of memory while decoding; close other programs") from None
        except Exception:  # elements of impossible types or values, met while they are used
            raise ImageError(f"{source}: the DICOM file is damaged; send or export it again") from None


def _check(dataset: Any, source: str) -> tuple[str, ...]:
    """Refuse what is not one radiograph, before any pixel is decoded."""
    kind = sop_class(dataset)
    if "DirectoryRecordSequence" in dataset or kind == "Media Storage Directory Storage":
        raise ImageError(f"{source}: this is a DICOMDIR, a list of files; give one of the images it lists")
    modality = code(dataset, "Modality")
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
        word = modality_word(modality)
        raise ImageError(f"{source}: its modality is {word}; single radiographs are read (CR, DX, DR, RG)")
    if kind and not re.search("Computed Radiography|Digital X-Ray|Secondary Capture", kind):
        raise ImageError(f"{source}: this is {kind}; single radiographs are read (CR, DX, DR, RG)")
    return ("the file does not name its modality; it was read as a radiograph",)


def modality_word(modality: str | None) -> str:
    """A modality for a message: the code if DICOM defines it, else "unknown"."""
    return modality if modality in _MODALITIES else "unknown"


def display_pixels(dataset: Any, source: str) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """One frame as it is displayed: uint8 (H, W) or (H, W, 3) in sRGB, and warnings."""
    from pydicom.pixels.processing import apply_color_lut

    interpretation = _text(dataset.get("PhotometricInterpretation")) or ""
    if interpretation not in _GREYS + _COLOURS:
        kind = interpretation if interpretation in _OTHER_COLOURS else "unknown"
        raise ImageError(f"{source}: pixels of kind {kind} are not read; export it as grey")
    stored = decoded(dataset, source)
    if interpretation == "PALETTE COLOR":
        coloured = apply_color_lut(stored, dataset)
        # Palettes have 8 or 16 bits (C.7.6.3.1.5).
        wide = int(dataset.RedPaletteColorLookupTableDescriptor[2]) > 8
        return _profiled((coloured >> 8 if wide else coloured).astype(np.uint8), dataset)
    if stored.ndim == 3:
        shift = max(0, int(dataset.BitsStored) - 8)
        return _profiled((stored >> shift).astype(np.uint8), dataset)
    levels, present, places = _levels(stored)
    valid = present & valid_pixels(levels, dataset)
    shown, notes = voi.display(voi.modality(levels, dataset), dataset, valid if valid.any() else present)
    shape = (_text(dataset.get("PresentationLUTShape")) or "").upper()
    # Inverted last: once for MONOCHROME1, whose Presentation LUT Shape is INVERSE (PS3.3 C.8.11.1.1.2).
    if interpretation == "MONOCHROME1" or shape == "INVERSE":
        # Padding is no part of the image: it stays the dark that it is on other films, and does not glare around it.
        shown = np.where(valid, 255 - shown, 0).astype(np.uint8) if valid.any() else 255 - shown
    return (shown if places is None else shown[places]), notes


def _profiled(pixels: npt.NDArray[np.uint8], dataset: Any) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Colours to sRGB as the ICC Profile (0028,2000) says."""
    shown, note = to_srgb(pixels, dataset.get("ICCProfile"))
    return shown, () if note is None else (note,)


def _levels(stored: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_], npt.NDArray[Any] | None]:
    """What is to be transformed: each value once, as the transformations look at one pixel at a time.

    A film of millions of pixels has thousands of values: its time and memory go with the latter.

    Returns:
        the values from the least to the largest that occur (L,), which of them occur (L,), and each pixel's place
        among them (H, W). Where they are too many (cells of 32 bits): the pixels themselves, all True, and None.
    """
    low, high = int(stored.min()), int(stored.max())
    if high - low >= 1 << 16:
        return stored, np.ones(stored.shape, dtype=bool), None
    # Modulo the cell's size, so that no difference of signed values overflows.
    unsigned = stored.dtype.str.replace("i", "u")
    places = stored.view(unsigned) - np.array(low, dtype=stored.dtype).view(unsigned)
    present = np.zeros(high - low + 1, dtype=bool)
    present[places] = True
    return np.arange(low, high + 1), present, places


def decoded(dataset: Any, source: str) -> npt.NDArray[Any]:
    """The stored values, signed as the file says; colours as RGB."""
    ensure_syntax(dataset)
    try:
        return codecs.stored_values(dataset)
    except codecs.DecodeError:
        uid = dataset.file_meta.TransferSyntaxUID
        name = uid.name if uid.is_transfer_syntax else "unknown encoding"
        raise ImageError(
            f"{source}: its pixels ({name}) are truncated, damaged or in an encoding that is not read; "
            "export it again"
        ) from None


def ensure_syntax(dataset: Any) -> None:
    """Give a file without its meta group the transfer syntax that it was read in."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if "TransferSyntaxUID" not in dataset.file_meta:
        # A file without its meta group is not compressed; how its elements are written was found while reading.
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def valid_pixels(stored: npt.NDArray[Any], dataset: Any) -> npt.NDArray[np.bool_]:
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
    orientation = [_text(part) for part in several(dataset, "PatientOrientation")]
    burned = code(dataset, "BurnedInAnnotation")
    windows = zip(floats(dataset, "WindowCenter"), floats(dataset, "WindowWidth"), strict=False)
    return {
        "modality": code(dataset, "Modality"),
        "body_part": code(dataset, "BodyPartExamined"),
        "view_position": code(dataset, "ViewPosition"),
        "laterality": code(dataset, "Laterality"),
        "image_laterality": code(dataset, "ImageLaterality"),
        "patient_orientation": tuple(orientation) if len(orientation) == 2 and all(orientation) else None,
        "patient_age_years": _age(dataset),
        "pixel_spacing_mm": spacing,
        "spacing_attribute": attribute,
        "windows": tuple(windows),
        "burned_in_annotation": {"YES": True, "NO": False}.get(burned or ""),
    }


def _text(value: Any) -> str | None:
    """A short code string in upper case, without control characters; None if empty."""
    if value is None:
        return None
    text = "".join(c for c in str(value) if c.isprintable()).strip().upper()[:32]
    return text or None


def several(dataset: Any, keyword: str) -> list[Any]:
    """An element's values; none where it is absent or cannot be read: a film is not refused for a fact."""
    try:
        value = dataset.get(keyword)
    except Exception:  # pydicom converts on access and raises many kinds
        return []
    if value is None or value == "":
        return []
    return list(value) if type(value).__name__ == "MultiValue" else [value]


def code(dataset: Any, keyword: str) -> str | None:
    return next((_text(value) for value in several(dataset, keyword)), None)


def floats(dataset: Any, keyword: str) -> list[float]:
    try:
        return [float(value) for value in several(dataset, keyword)]
    except (ValueError, TypeError):
        return []


def _spacing(dataset: Any) -> tuple[tuple[float, float] | None, str | None]:
    """The spacing of a projection radiograph's pixels, and what it is worth (PS3.3 10.7.1.3)."""
    found: dict[str, tuple[float, float]] = {}
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        spacing = floats(dataset, name)
        if len(spacing) == 2 and all(0 < value < 1000 for value in spacing):
            found[name] = (spacing[0], spacing[1])
    if not found:
        return None, None
    name, value = next(iter(found.items()))
    if name == "PixelSpacing" and code(dataset, "PixelSpacingCalibrationType") not in ("GEOMETRY", "FIDUCIAL"):
        detector = found.get("ImagerPixelSpacing")
        if detector is None:
            return value, UNKNOWN_CALIBRATION
        # Equal values say that nothing was corrected; others that something was.
        if all(abs(one - other) <= 1e-3 * other for one, other in zip(value, detector, strict=True)):
            return value, "ImagerPixelSpacing"
    return value, name


def _age(dataset: Any) -> float | None:
    """Years, from Patient's Age ("045Y", "018M", "003W", "010D"), else from birth to study; None beyond 130."""
    match = re.fullmatch(r"(\d{1,3})([DWMY])", code(dataset, "PatientAge") or "", re.ASCII)
    if match:
        years = int(match[1]) / {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}[match[2]]
        return years if years <= _OLDEST else None
    try:
        born, seen = (date.fromisoformat(code(dataset, name) or "") for name in ("PatientBirthDate", "StudyDate"))
    except ValueError:
        return None
    days = (seen - born).days
    return days / 365.25 if 0 <= days <= _OLDEST * 365.25 else None


def sop_class(dataset: Any) -> str:
    """The name of the object's kind, as "Basic Text SR Storage"; "" if it is not known."""
    from pydicom.uid import UID

    uid = dataset.get("SOPClassUID") or getattr(getattr(dataset, "file_meta", None), "MediaStorageSOPClassUID", None)
    # An unknown UID's name is the UID itself, and a damaged one may hold anything.
    return str(uid.name) if isinstance(uid, UID) and uid.type else ""
