"""Raster images (JPEG, PNG, TIFF, WebP) as DICOM: a Secondary Capture with the facts that a person gave.

The pixels are decoded once and kept without a further loss; what a JPEG lost before is said. Nothing of the image's
own metadata is taken over but its rotation and colours. UIDs follow from the content: the same image with the same
facts is the same object.
"""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import PIL.Image

from aris.errors import ExchangeError
from aris.exchange.documents.codes import uid_of
from aris.exchange.documents.report import clean
from aris.imaging import sniff
from aris.imaging.raster import read, read_deep
from aris.store.objects import file_bytes

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_CODE = re.compile(r"[A-Z0-9_ ]{1,16}")
_VIEWS = re.compile(r"(AP|PA|LL|RL|RLD|LLD|RLO|LLO|LATERAL|LAT|RAO|LAO|RPO|LPO)\b")
_DAY = re.compile(r"[0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2}")
_AGE = re.compile(r"([0-9]{1,3})\s*([DWMY]?)")
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")


@dataclass(frozen=True)
class RasterFacts:
    """Facts of a raster image; "" for what is not known.

    Attributes:
        patient_name: a DICOM person name, or a name as somebody typed it.
        patient_id: of the patient.
        birth_date, date: of the patient and of the study, YYYYMMDD.
        age: as "57", "057Y" or "6M".
        sex: "M", "F" or "O".
        view: as "PA".
        modality: as "DX"; by the view where it is not given.
        body_part: as "CHEST".
        study: Study Instance UID of a study that the image is put to; its own by default.
    """

    patient_name: str = ""
    patient_id: str = ""
    birth_date: str = ""
    age: str = ""
    sex: str = ""
    view: str = ""
    modality: str = ""
    body_part: str = ""
    date: str = ""
    study: str = ""


def checked_facts(**given: str) -> RasterFacts:
    """Return facts as DICOM writes them.

    Raises:
        ExchangeError: one cannot be written so; the line says which.
    """
    facts = RasterFacts(**{name: " ".join(clean(value).replace("\\", "/").split()) for name, value in given.items()})
    number = _AGE.fullmatch(facts.age.upper())
    if facts.age and number is None:
        raise ExchangeError("age: a number of years, or as 6M, 3W, 12D")
    sex = facts.sex.upper()
    if sex not in ("", "M", "F", "O"):
        raise ExchangeError("sex: M, F or O")
    codes = {name: getattr(facts, name).upper() for name in ("view", "modality", "body_part")}
    for name, value in codes.items():
        if value and not _CODE.fullmatch(value):
            raise ExchangeError(f"{name.replace('_', ' ')}: at most 16 letters, digits or _, as DX, PA or CHEST")
    if facts.study and not (_UID.fullmatch(facts.study) and len(facts.study) <= 64):
        raise ExchangeError("study: not a Study Instance UID")
    if len(facts.patient_id) > 64 or any(len(part) > 64 for part in facts.patient_name.split("=")):
        raise ExchangeError("patient: name and ID have at most 64 letters")
    return RasterFacts(
        facts.patient_name, facts.patient_id, _day("birth date", facts.birth_date),
        "" if number is None else f"{int(number[1]):03}{number[2] or 'Y'}", sex, codes["view"],
        codes["modality"] or ("DX" if _VIEWS.fullmatch(codes["view"]) else "OT"), codes["body_part"],
        _day("date", facts.date), facts.study,
    )  # fmt: skip


def is_raster(data: bytes) -> bool:
    """Return whether these are the first bytes of a raster image that can become DICOM."""
    return sniff.kind_of(data) in ("png", "jpeg", "tiff", "webp")


def secondary_capture(data: bytes, facts: RasterFacts, name: str = "image", *, seen_clean: bool = False) -> bytes:
    """A raster image as a DICOM file.

    Args:
        facts: from `checked_facts`.
        name: for errors.
        seen_clean: a person has seen that nothing in its pixels names a patient; else it says nothing of that.

    Raises:
        ExchangeError: no image of these kinds.
        ImageError: damaged, too large, or of several pages.
    """
    from pydicom.dataset import Dataset
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    kind = sniff.kind_of(data)
    if kind not in ("png", "jpeg", "tiff", "webp"):
        raise ExchangeError(f"{name}: neither JPEG, PNG, TIFF nor WebP")
    deep = read_deep(data, kind, name) if kind in ("png", "tiff") else None
    pixels = read(data, kind, name)[0] if deep is None else deep[0]
    content = hashlib.sha256(data).hexdigest()
    known = asdict(facts)
    made: Any = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.SOPClassUID = SECONDARY_CAPTURE
    made.SOPInstanceUID = uid_of("picture", content, known)
    made.StudyDate, made.StudyTime = facts.date, ""
    made.AccessionNumber = ""
    made.Modality = facts.modality
    made.ConversionType = "WSD"
    if seen_clean:
        made.BurnedInAnnotation = "NO"
    made.Manufacturer = ""
    made.ReferringPhysicianName = ""
    made.PatientName, made.PatientID = facts.patient_name, facts.patient_id
    made.PatientBirthDate, made.PatientSex = facts.birth_date, facts.sex
    if facts.age:
        made.PatientAge = facts.age
    if facts.body_part:
        made.BodyPartExamined = facts.body_part
    if facts.view:
        made.ViewPosition = facts.view
    made.StudyInstanceUID = facts.study or uid_of("picture's study", content, known)
    made.SeriesInstanceUID = uid_of("picture's series", content, known)
    made.StudyID, made.SeriesNumber, made.InstanceNumber = "", 1, 1
    made.PatientOrientation = None
    _put_pixels(made, pixels, inverted=deep is not None and deep[1])
    if lossy := _lossy(data, kind):
        made.LossyImageCompression = "01"
        made.LossyImageCompressionRatio = f"{pixels.nbytes / max(len(data), 1):.2f}"
        if lossy == "jpeg":
            made.LossyImageCompressionMethod = "ISO_10918_1"
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, made)
    return file_bytes(out.getvalue(), SECONDARY_CAPTURE, str(made.SOPInstanceUID), _LITTLE_ENDIAN)


def _lossy(data: bytes, kind: str) -> str:
    """Return the compression by which an image has lost something: "jpeg", "webp"; "" where by none that is known."""
    if kind == "jpeg":
        return kind
    if kind == "webp":  # its chunks: profile, alpha and more may stand before the pixels
        at = 12
        while at + 8 <= len(data) and (name := data[at : at + 4]) not in (b"VP8 ", b"VP8L"):
            size = int.from_bytes(data[at + 4 : at + 8], "little")
            at += 8 + size + size % 2
        return kind if at + 8 <= len(data) and name == b"VP8 " else ""
    if kind == "tiff":
        with PIL.Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
            return "jpeg" if image.info.get("compression") in ("jpeg", "tiff_jpeg") else ""
    return ""


def _put_pixels(made: Any, pixels: np.ndarray[Any, Any], *, inverted: bool) -> None:
    """Put pixels into an object: uint8 (H, W) or (H, W, 3), or uint16 (H, W)."""
    colour = pixels.ndim == 3
    made.SamplesPerPixel = 3 if colour else 1
    made.PhotometricInterpretation = "RGB" if colour else "MONOCHROME1" if inverted else "MONOCHROME2"
    if colour:
        made.PlanarConfiguration = 0
    made.Rows, made.Columns = pixels.shape[:2]
    bits = 8
    if pixels.dtype == np.uint16:
        made.BitsAllocated = 16
        bits = max(9, int(pixels.max()).bit_length())
    else:
        made.BitsAllocated = 8
    made.BitsStored, made.HighBit, made.PixelRepresentation = bits, bits - 1, 0
    contents = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<")).tobytes()
    made.PixelData = contents + b"\0" * (len(contents) % 2)
    made["PixelData"].VR = "OW" if made.BitsAllocated == 16 else "OB"


def _day(name: str, value: str) -> str:
    if not value:
        return ""
    # In full: "1980-1-11" without its hyphens would be the 1st of November.
    try:
        if not _DAY.fullmatch(value):
            raise ValueError
        plain = value.replace("-", "")
        datetime.strptime(plain, "%Y%m%d")
    except ValueError:
        raise ExchangeError(f"{name}: a day, as 1980-01-31 or 19800131") from None
    return plain
