"""De-identifying images: PS3.15's Basic Profile, with text in pixels found and blanked.

One key makes one project: the same person, study and object have the same new names and UIDs throughout it, and nobody
without the key can go back or link two projects. What cannot be shown to be clean is refused, never passed on.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import re
import secrets
import warnings
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from aris import __version__
from aris.errors import ExchangeError
from aris.exchange.deidentify import burned_in
from aris.exchange.deidentify.checks import (
    RefusedError,
    drop_identifiers,
    holds,
    identifying_values,
    leaks,
    refuse_kind,
    risk,
)
from aris.exchange.deidentify.rules import EMPTIED, PUBLIC_SCHEMES, action_for, many, shifted, wellformed, zone
from aris.exchange.deidentify.tables import clean_tables
from aris.exchange.documents.codes import Coded
from aris.imaging.dicom import codecs, frames
from aris.imaging.dicom.values import numbers
from aris.imaging.radiograph import cut_padding
from aris.regular import read_regular
from aris.store.objects import file_bytes, parse, text

KEY_BYTES = 32
_EXPLICIT = "1.2.840.10008.1.2.1"
_DRAWN = (0x50, 0x60)  # curves (retired) and overlays, of repeating groups: without their data nothing of them stays
_CODES = {
    "basic": Coded("113100", "DCM", "Basic Application Confidentiality Profile"),
    "pixels": Coded("113101", "DCM", "Clean Pixel Data Option"),
    "dates": Coded("113107", "DCM", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "characteristics": Coded("113108", "DCM", "Retain Patient Characteristics Option"),
}


@dataclass(frozen=True)
class Options:
    """Options of a de-identification.

    Attributes:
        dates: "remove" them, or "shift" all of a patient's by one secret number of whole days, so that times of day and
            all intervals stay (an option of the profile: Retain Longitudinal Temporal Information Modified Dates).
        characteristics: keep sex, age (90 and over as 90), size and weight (an option of the profile).
        pixels: "ocr" looks for text in all pixels and blanks it; "auto" does so where an OCR library is installed, and
            refuses images that may carry text where none is; "reviewed": a person has looked at all images, and none
            carries any.
    """

    dates: Literal["remove", "shift"] = "remove"
    characteristics: bool = False
    pixels: Literal["auto", "ocr", "reviewed"] = "auto"


@dataclass(frozen=True)
class Deidentified:
    """A clean object.

    Attributes:
        data: a DICOM file, uncompressed.
        patient, study, uid: the new Patient ID, Study and SOP Instance UIDs.
        blanked: boxes of text that were painted over.
        searched: whether the pixels were searched for text.
    """

    data: bytes
    patient: str
    study: str
    uid: str
    blanked: int
    searched: bool


class Deidentifier:
    """De-identifies objects of one project.

    Args:
        key: 32 secret bytes. Keep it to add to the project later; destroy it so that nobody can trace UIDs back.

    Raises:
        ExchangeError: the key is too short, or OCR is asked for and not installed.
    """

    def __init__(self, key: bytes, options: Options | None = None) -> None:
        if len(key) < KEY_BYTES:
            raise ExchangeError(f"deidentify: the key has fewer than {KEY_BYTES} bytes; make one with --new-key")
        self._key = key
        self.options = options or Options()
        self._ocr = self.options.pixels != "reviewed" and not burned_in.trouble()
        if self.options.pixels == "ocr" and not self._ocr:
            raise ExchangeError(f"deidentify: {burned_in.trouble()}")

    @property
    def searches_pixels(self) -> bool:
        """Return whether pixels are searched for text."""
        return self._ocr

    def uid(self, uid: str) -> str:
        """The project's UID for a UID; those that DICOM itself defines stay."""
        from pydicom.uid import UID

        if not uid or (UID(uid).type and uid.startswith("1.2.840.10008.")):
            return uid
        bits = int.from_bytes(self._mac("uid", uid)[:16], "big")
        # A UUID of version 8 (RFC 9562), as a UID (PS3.5 B.2).
        bits = bits & ~(0xF << 76) | 8 << 76
        return f"2.25.{bits & ~(0x3 << 62) | 2 << 62}"

    def pseudonym(self, patient_id: str, issuer: str, name: str, study: str = "") -> str:
        """The project's name for a patient.

        Without an identifier the name takes its place, and without both the study: those of whom nothing is known are
        not one person.
        """
        named = name.strip("^= ")
        who = f"{issuer}\n{patient_id}" if patient_id else f"name\n{name}" if named else f"study\n{study}"
        return "ANON-" + base64.b32encode(self._mac("patient", who)[:10]).decode()

    def clean(self, data: bytes, source: str = "object") -> Deidentified:
        """De-identify one DICOM file.

        Args:
            data: its bytes.
            source: for errors.

        Raises:
            RefusedError: it cannot be shown to be clean.
            ObjectError: it is no DICOM object.
        """
        logging.getLogger("pydicom").setLevel(logging.CRITICAL)
        original = parse(data, source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return self._clean(original, source)
            except ExchangeError:
                raise
            except MemoryError:
                raise RefusedError(f"{source}: refused: out of memory while its pixels were decoded") from None
            except Exception as error:  # damaged files fail in many ways
                raise RefusedError(f"{source}: refused: it cannot be read whole ({type(error).__name__})") from None

    def _clean(self, dataset: Any, source: str) -> Deidentified:
        refuse_kind(dataset, source)
        identifiers = identifying_values(dataset)
        patient = self.pseudonym(
            text(dataset, "PatientID"), text(dataset, "IssuerOfPatientID"), text(dataset, "PatientName"),
            text(dataset, "StudyInstanceUID"),
        )  # fmt: skip
        age = _age(dataset) if self.options.characteristics else ""
        if "ICCProfile" in dataset and holds(dataset["ICCProfile"], identifiers):
            del dataset.ICCProfile
        searched = self._look_at_pixels(dataset, source)
        blanked = self._rewrite_pixels(dataset, source, searched)
        dataset.decode()
        self._walk(dataset, patient, self._days(patient))
        dataset.PatientName = dataset.PatientID = patient
        if age:
            dataset.PatientAge = age
        drop_identifiers(dataset, identifiers)
        self._mark(dataset, searched)
        study, uid = str(dataset.StudyInstanceUID), str(dataset.SOPInstanceUID)
        made = _encoded(dataset)
        if leaks(made, identifiers):
            raise RefusedError(f"{source}: refused: something that identifies is still in its header")
        return Deidentified(made, patient, study, uid, blanked, searched)

    def _look_at_pixels(self, dataset: Any, source: str) -> bool:
        """Return whether the pixels will be searched.

        Raises:
            RefusedError: they should be, and cannot be.
        """
        if self._ocr:
            return True
        if self.options.pixels != "reviewed" and (why := risk(dataset)):
            raise RefusedError(
                f"{source}: refused: {why}, and {burned_in.trouble()}; or look at all images and say --pixels reviewed"
            )
        return False

    def _rewrite_pixels(self, dataset: Any, source: str, searched: bool) -> int:
        """Decode the pixels and write them anew, so that nothing rides along; blank text. Gives how many boxes."""
        # An image has one of the three, and nobody looks at the others.
        for keyword in ("FloatPixelData", "DoubleFloatPixelData"):
            if keyword in dataset:
                del dataset[keyword]
        if "NumberOfFrames" in dataset:
            dataset.NumberOfFrames = _frames(dataset)  # decoders stumble over "1,0"
        array = _stored_pixels(dataset)
        several = array.reshape((-1, *array.shape[1:])) if _frames(dataset) > 1 else array[None]
        blanked = 0
        for number, frame in enumerate(several, 1):
            count = burned_in.cleaned(frame) if searched else 0
            if count is None:
                raise RefusedError(f"{source}: refused: text in frame {number} of its pixels cannot be removed")
            blanked += count
        clean_tables(dataset, array)
        raw = _packed(array, int(dataset.BitsAllocated))
        dataset.PixelData = raw + b"\0" * (len(raw) % 2)
        dataset["PixelData"].VR = "OW" if int(dataset.BitsAllocated) > 8 else "OB"
        if int(dataset.get("SamplesPerPixel") or 1) == 3:
            dataset.PlanarConfiguration = 0
        return blanked

    def _walk(self, dataset: Any, patient: str, days: int, *, nested: bool = False) -> None:
        """Apply the rules to a dataset and what is nested in it, in place."""
        from pydicom.datadict import dictionary_VR, keyword_for_tag

        for tag in list(dataset.keys()):
            keyword = keyword_for_tag(tag)
            try:
                element = _readable(dataset, tag)
                known = dictionary_VR(tag) if keyword else ""
            except Exception:  # what cannot be read does not stay
                del dataset[tag]
                continue
            action = action_for(
                keyword, str(element.VR), known, private=tag.is_private or tag.group >> 8 in _DRAWN,
                characteristics=self.options.characteristics,
            )  # fmt: skip
            if keyword == "PatientAge" or (nested and keyword.endswith("PixelData")):
                action = "remove"  # written anew, with 90 and over as one; pixels that nobody has looked at
            if action in ("date", "time", "zone"):
                # Times of day and zones tell when as dates do, and go or stay with them (Table E.1-1).
                value: Any = ""
                if self.options.dates == "shift":
                    value = zone(element.value) if action == "zone" else shifted(str(element.VR), element.value, days)
                action = "keep" if _any(value) or keyword in EMPTIED else "remove"
                element.value = value
            elif action == "label":
                element.value = _each(element.value, self._label)
            elif action == "uid":
                element.value = _each(element.value, self.uid)
            elif action == "empty":
                element.value = ""
            elif action == "pseudonym":
                element.value = patient
            elif action == "recurse":
                for item in element.value:
                    self._walk(item, patient, days, nested=True)
                kept = [item for item in element.value if len(item) and _public(item)]
                element.value = kept
                action = "keep" if kept else "remove"
            elif action == "keep" and (many(element) or not wellformed(str(element.VR), element.value)):
                action = "remove"
            if action == "remove":
                del dataset[tag]

    def _mark(self, dataset: Any, searched: bool) -> None:
        from pydicom import Dataset

        options = self.options
        used = ["basic"]
        used += ["pixels"] if searched or options.pixels == "reviewed" else []
        used += ["dates"] if options.dates == "shift" else []
        used += ["characteristics"] if options.characteristics else []
        items = []
        for code in (_CODES[name] for name in used):
            item = Dataset()
            item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning[:64]
            items.append(item)
        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = f"Aris {__version__}, PS3.15 Basic Profile"
        dataset.DeidentificationMethodCodeSequence = items
        dataset.LongitudinalTemporalInformationModified = "MODIFIED" if options.dates == "shift" else "REMOVED"
        if "pixels" in used:
            dataset.BurnedInAnnotation = "NO"
        dataset.SpecificCharacterSet = "ISO_IR 192"

    def _label(self, text: str) -> str:
        """The project's name for a text of which only equality matters; a number names nobody."""
        short = re.fullmatch("[0-9]{1,4}", text, re.ASCII)
        return text if short else base64.b32encode(self._mac("label", text)[:5]).decode()

    def _days(self, patient: str) -> int:
        """The days by which all dates of a patient move: one to ten years back."""
        return -(365 + int.from_bytes(self._mac("days", patient)[:4], "big") % 3287)

    def _mac(self, kind: str, value: str) -> bytes:
        return hmac.digest(self._key, f"{kind}\n{value}".encode("utf-8", "surrogatepass"), hashlib.sha256)


def read_key(path: Path, *, new: bool = False) -> bytes:
    """A project's key from its file, or a new one.

    Raises:
        ExchangeError: it cannot be read, or `new` and it is there already.
    """
    try:
        if new:
            key = secrets.token_bytes(KEY_BYTES)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(key.hex().encode() + b"\n")
            return key
        return bytes.fromhex(read_regular(path, 4096).decode().strip())
    except FileExistsError:
        raise ExchangeError(f"{path}: there is a key already; use it without --new-key") from None
    except FileNotFoundError:
        raise ExchangeError(f"{path}: no such key; make one with --new-key") from None
    except OSError as error:
        raise ExchangeError(f"{path}: the key cannot be read or written ({error.strerror})") from None
    except ValueError:
        raise ExchangeError(f"{path}: not a key; it holds {2 * KEY_BYTES} hexadecimal digits") from None


def _readable(dataset: Any, tag: Any) -> Any:
    """An element.

    Of numbers that pydicom cannot convert the numbers that are meant ("-1024,0"), or no value: left out, a rescale or
    window would be another's default to those who read what is given out.
    """
    from pydicom.datadict import keyword_for_tag
    from pydicom.valuerep import format_number_as_ds

    try:
        element = dataset[tag]
        if str(element.VR) not in ("DS", "IS") or wellformed(str(element.VR), element.value):
            return element
    except Exception:  # pydicom converts on access and raises many kinds
        if str(dataset.get_item(tag).VR) not in ("DS", "IS"):
            raise
    vr, read = str(dataset.get_item(tag).VR), numbers(dataset, keyword_for_tag(tag), thousands=True)
    whole = None not in read and (vr == "DS" or all(float(each or 0).is_integer() for each in read))
    values = [format_number_as_ds(each) if vr == "DS" else int(each) for each in read if each is not None]
    dataset.add_new(tag, vr, values if whole else None)
    return dataset[tag]


def _public(item: Any) -> bool:
    """Return whether an item is no code, or a code of a public scheme: meanings of local ones may be anything."""
    return "CodeValue" not in item or text(item, "CodingSchemeDesignator") in PUBLIC_SCHEMES


def _each(value: Any, change: Any) -> Any:
    if type(value).__name__ == "MultiValue":
        return [change(str(each)) for each in value]
    return change(str(value)) if value else value


def _any(value: Any) -> bool:
    return any(value) if isinstance(value, list) else bool(value)


def _age(dataset: Any) -> str:
    """Age at the study; 90 and over is 90."""
    stated = re.fullmatch(r"(\d{3})([DWMY])", text(dataset, "PatientAge"), re.ASCII)
    if stated:
        return f"{min(90, int(stated[1])):03}Y" if stated[2] == "Y" else stated[0]
    try:
        born, seen = (datetime.strptime(text(dataset, each), "%Y%m%d") for each in ("PatientBirthDate", "StudyDate"))
    except ValueError:
        return ""
    months = (seen - born).days * 12 // 365.2425
    if months < 0:
        return ""
    return f"{int(months):03}M" if months < 24 else f"{min(90, int(months // 12)):03}Y"


def _frames(dataset: Any) -> int:
    return frames.count(dataset)


def _stored_pixels(dataset: Any) -> Any:
    """Every frame's stored values, colours as RGB; what the data set says of its pixels is made to agree.

    Compressed ones go through `imaging.dicom.codecs`, which does not let a damaged stream end this process.
    """
    meta = dataset.file_meta
    if meta.TransferSyntaxUID.is_encapsulated:
        with codecs.kept_child():
            decoded = [codecs.stored_values(frame) for frame in frames.split(dataset)]
        array = np.stack(decoded) if len(decoded) > 1 else np.array(decoded[0])
        dataset["PixelData"].is_undefined_length = False
    else:
        array = np.array(codecs.stored_values(dataset))
    if array.ndim > 2 and int(dataset.SamplesPerPixel) == 3:
        dataset.PhotometricInterpretation = "RGB"
    cut_padding(dataset)
    # The values begin at bit 0 now, wherever they lay in their cells.
    dataset.HighBit = int(dataset.BitsStored) - 1
    meta.TransferSyntaxUID = _EXPLICIT
    dataset.set_original_encoding(False, True, dataset.original_character_set)
    return array


def _packed(array: Any, bits: int) -> bytes:
    """Stored values as Pixel Data in little endian; those of one bit eight to a byte (PS3.5 8.1.1)."""
    if bits == 1:
        return np.packbits(array.astype(np.uint8).ravel(), bitorder="little").tobytes()
    return bytes(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())


def _encoded(dataset: Any) -> bytes:
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, dataset)
    return file_bytes(out.getvalue(), str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), _EXPLICIT)
