"""A DICOM radiograph to display pixels and the facts in its header.

No value of the header goes into an error or a warning, save the modality and what else says nothing of a person.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from aris.errors import ImageError
from aris.imaging.colour import to_srgb
from aris.imaging.dicom import codecs, voi
from aris.imaging.dicom.parsing import parse
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.imaging.dicom.rescale import rescale_for_display
from aris.imaging.dicom.values import numbers, one_number, unreadable
from aris.imaging.orientation import turn_of_film
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
TURNED = "stored turned or mirrored: shown as readers are used to see it, by its Patient Orientation"
UNKNOWN_CALIBRATION = "PixelSpacing of unknown calibration"


def read(data: bytes, source: str) -> tuple[npt.NDArray[np.uint8], Facts, tuple[str, ...]]:
    """Decode a radiograph, in the customary view (`orientation.turn_of_film`).

    Returns:
        uint8 (H, W) or (H, W, 3); `Film`'s fields from the header; warnings.

    Raises:
        ImageError: not a single radiograph, without pixels, too large, damaged, or compressed in a way that no
            installed decoder reads.
    """
    with quiet_pydicom():
        return read_parsed(parse(data, source), source)


def read_parsed(dataset: Any, source: str) -> tuple[npt.NDArray[np.uint8], Facts, tuple[str, ...]]:
    """As `read`, of a data set that was parsed with its pixels."""
    with quiet_pydicom():
        try:
            notes = _check(dataset, source)
            pixels, more = display_pixels(dataset, source)
            facts, unread = _facts(dataset)
            notes = (*notes, *more, *unread)
            if facts["turn"]:
                pixels = np.ascontiguousarray(facts["turn"].applied(pixels))
                notes = (*notes, TURNED)
            return pixels, facts, notes
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
    if unreadable(dataset, "NumberOfFrames"):
        raise ImageError(f"{source}: its Number of Frames is damaged and no number; export it again")
    frames = int(one_number(dataset, "NumberOfFrames") or 1)
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


def display_pixels(
    dataset: Any, source: str, span: voi.Span | None = None
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Convert a frame to its displayed values, in the stored rows and columns: uint8 (H, W) or (H, W, 3), and warnings.

    Args:
        dataset: of one frame. Colours become sRGB.
        span: for a grey frame without a usable window: least and greatest value of all frames of its object, so that
            they have one mapping. By default those of this frame.
    """
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
    levels, present, positions = _levels(stored)
    valid = present & valid_pixels(levels, dataset)
    rescale = rescale_for_display(dataset)
    shown, notes = voi.display(
        rescale.applied(levels), dataset, valid if valid.any() else present, rescale, span
    )  # fmt: skip
    if (code(dataset, "PresentationIntentType") or "") == "FOR PROCESSING":
        notes = (*notes, "a raw detector image (FOR PROCESSING), not for reading: its grey levels are not a film's")
    if unreadable(dataset, "PixelPaddingValue"):
        notes = (*notes, "Pixel Padding Value cannot be read and was ignored")
    shape = (_text(dataset.get("PresentationLUTShape")) or "").upper()
    # Inverted last: once for MONOCHROME1, whose Presentation LUT Shape is INVERSE (PS3.3 C.8.11.1.1.2).
    if interpretation == "MONOCHROME1" or shape == "INVERSE":
        # Padding is no part of the image: it stays the dark that it is on other films, and does not glare around it.
        shown = np.where(valid, 255 - shown, 0).astype(np.uint8) if valid.any() else 255 - shown
    return (shown if positions is None else shown[positions]), notes


def span_of_frames(frames: Iterable[Any], source: str) -> voi.Span | None:
    """Least and greatest value of those grey frames whose display depends on them (`display_pixels`).

    Returns:
        None if there is none: colours, or a usable window in each.
    """
    spans = [span for frame in frames if (span := _span_of_frame(frame, source)) is not None]
    return (min(low for low, _ in spans), max(high for _, high in spans)) if spans else None


def _span_of_frame(dataset: Any, source: str) -> voi.Span | None:
    if (_text(dataset.get("PhotometricInterpretation")) or "") not in _GREYS:
        return None
    rescale = rescale_for_display(dataset)
    if not voi.needs_span(dataset, rescale):
        return None
    levels, present, _ = _levels(decoded(dataset, source))
    valid = present & valid_pixels(levels, dataset)
    return voi.span_of(rescale.applied(levels), valid if valid.any() else present)


def _profiled(pixels: npt.NDArray[np.uint8], dataset: Any) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Colours to sRGB as the ICC Profile (0028,2000) says."""
    shown, note = to_srgb(pixels, dataset.get("ICCProfile"))
    return shown, () if note is None else (note,)


def _levels(stored: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_], npt.NDArray[Any] | None]:
    """Return the distinct values to be transformed, as the transformations look at one pixel at a time.

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
    positions = stored.view(unsigned) - np.array(low, dtype=stored.dtype).view(unsigned)
    present = np.zeros(high - low + 1, dtype=bool)
    present[positions] = True
    return np.arange(low, high + 1), present, positions


def decoded(dataset: Any, source: str) -> npt.NDArray[Any]:
    """The stored values, signed as the file says; colours as RGB."""
    ensure_syntax(dataset)
    if one_number(dataset, "NumberOfFrames") in (0, 1):
        del dataset.NumberOfFrames  # of one frame: decoders would stumble over "1,0"
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
    padding = one_number(dataset, "PixelPaddingValue")
    if padding is None:
        return np.ones(stored.shape, dtype=bool)
    limit = one_number(dataset, "PixelPaddingRangeLimit")
    limit = padding if limit is None else limit
    # Some scanners pad with -2000 in cells of 12 bits without a sign: cut as the stored values are.
    bits = int(dataset.BitsStored)
    signed = int(dataset.PixelRepresentation) == 1
    low, high = sorted(as_stored(int(n), bits, signed=signed) for n in (padding, limit))
    return (stored < low) | (stored > high)


def as_stored(value: int, bits: int, *, signed: bool) -> int:
    """The number that a value is once it is cut to so many bits, as `codecs.stored_values` cuts them."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if signed and value >= 1 << (bits - 1) else value


def cut_padding(dataset: Any) -> None:
    """Make padding that lies beyond Bits Stored what it is among decoded values, which are cut to them."""
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        padding = one_number(dataset, keyword)
        if padding is not None and padding.is_integer():
            signed = one_number(dataset, "PixelRepresentation") == 1
            value = as_stored(int(padding), int(dataset.BitsStored), signed=signed)
            dataset.add_new(keyword, "SS" if signed else "US", value)


# Where a spacing may stand, the most telling first.
_MEASURES = (
    ("PixelSpacing", "Pixel Spacing"),
    ("ImagerPixelSpacing", "Imager Pixel Spacing"),
    ("NominalScannedPixelSpacing", "Nominal Scanned Pixel Spacing"),
)


def _facts(dataset: Any) -> tuple[Facts, tuple[str, ...]]:
    """`Film`'s fields, and a warning for each that is there but cannot be read."""
    spacing, attribute = _spacing(dataset)
    orientation = patient_orientation(dataset)
    burned = code(dataset, "BurnedInAnnotation")
    age, age_note = _age(dataset)
    body_part = code(dataset, "BodyPartExamined")
    facts = {
        "modality": code(dataset, "Modality"),
        "body_part": body_part,
        "view_position": code(dataset, "ViewPosition"),
        "laterality": code(dataset, "Laterality"),
        "image_laterality": code(dataset, "ImageLaterality"),
        "patient_orientation": orientation,
        "turn": turn_of_film(orientation, body_part),
        "patient_age_years": age,
        "pixel_spacing_mm": spacing,
        "spacing_attribute": attribute,
        "windows": voi.windows(dataset),
        "burned_in_annotation": {"YES": True, "NO": False}.get(burned or ""),
    }
    notes = [
        f"{name} cannot be read and was ignored: lengths may be unknown"
        for keyword, name in _MEASURES
        if (stated := numbers(dataset, keyword)) and not _is_spacing(stated)
    ]
    return facts, (*notes, *([age_note] if age_note else []))


def patient_orientation(dataset: Any) -> tuple[str, str] | None:
    """Patient Orientation (0020,0020), as ("L", "F"); None where it is absent or incomplete."""
    letters = [_text(part) or "" for part in several(dataset, "PatientOrientation")]
    return (letters[0], letters[1]) if len(letters) == 2 and all(letters) else None


def _is_spacing(stated: tuple[float | None, ...]) -> bool:
    return len(stated) == 2 and all(value is not None and 0 < value < 1000 for value in stated)


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
    """An element's numbers; none where it is absent, or where one of them cannot be read (see `values`)."""
    found = numbers(dataset, keyword)
    return [] if None in found else [value for value in found if value is not None]


def _spacing(dataset: Any) -> tuple[tuple[float, float] | None, str | None]:
    """The spacing of a projection radiograph's pixels, and what it is worth (PS3.3 10.7.1.3)."""
    found: dict[str, tuple[float, float]] = {}
    for name, _ in _MEASURES:
        if _is_spacing(numbers(dataset, name)):
            down, right = floats(dataset, name)
            found[name] = (down, right)
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


def _age(dataset: Any) -> tuple[float | None, str]:
    """Years, from Patient's Age ("045Y", "018M", "003W", "010D"), else from birth to study; None beyond 130.

    And a warning where Patient's Age says something that is no age.
    """
    stated = "/".join(_text(each) or "" for each in several(dataset, "PatientAge"))
    match = re.fullmatch(r"(\d{1,3})([DWMY])", stated, re.ASCII)
    if match:
        years = int(match[1]) / {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}[match[2]]
        return (years, "") if years <= _OLDEST else (None, "Patient's Age is beyond 130 years and was ignored")
    note = "Patient's Age cannot be read and was ignored" if stated else ""
    try:
        born, seen = (date.fromisoformat(code(dataset, name) or "") for name in ("PatientBirthDate", "StudyDate"))
    except ValueError:
        return None, note
    days = (seen - born).days
    return (days / 365.25 if 0 <= days <= _OLDEST * 365.25 else None), note


def sop_class(dataset: Any) -> str:
    """The name of the object's kind, as "Basic Text SR Storage"; "" if it is not known."""
    from pydicom.uid import UID

    uid = dataset.get("SOPClassUID") or getattr(getattr(dataset, "file_meta", None), "MediaStorageSOPClassUID", None)
    # An unknown UID's name is the UID itself, and a damaged one may hold anything.
    return str(uid.name) if isinstance(uid, UID) and uid.type else ""
