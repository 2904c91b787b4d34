"""What a DICOM header says of whom and what a report is about."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from aris.errors import ExchangeError
from aris.exchange.report import ImageReference, Patient, Study

_SEXES: dict[str, Literal["M", "F", "O"]] = {"M": "M", "F": "F", "O": "O"}


def read_header(path: str | Path, *, pixels: bool = False) -> Any:
    """A DICOM file's dataset.

    Args:
        pixels: read them too.

    Raises:
        ExchangeError: not there, or not DICOM.
    """
    try:
        return parse(Path(path).read_bytes(), str(path), pixels=pixels)
    except OSError as error:
        raise ExchangeError(f"{path}: cannot be read ({error.strerror or 'the path is not valid'})") from None


def parse(data: bytes, source: str, *, pixels: bool = True) -> Any:
    """The dataset of a file's bytes.

    Raises:
        ExchangeError: they are not a DICOM file, or damaged.
    """
    from pydicom import dcmread

    # pydicom's warnings and log lines quote header values.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = dcmread(io.BytesIO(data), stop_before_pixels=not pixels, force=data[128:132] != b"DICM")
            known = "SOPClassUID" in dataset and "SOPInstanceUID" in dataset
        except Exception:  # pydicom raises many kinds on damaged files
            known = False
    if not known:
        raise ExchangeError(f"{source}: not a DICOM object, or damaged; send or export it again")
    return dataset


def subject(datasets: Sequence[Any]) -> tuple[Patient, Study, tuple[ImageReference, ...]]:
    """Patient and study of the first image, and references to all of them.

    Raises:
        ExchangeError: a header lacks a UID, or the images are of different patients.
    """
    if not datasets:
        raise ExchangeError("no image was given; name the DICOM files that were read")
    first = datasets[0]
    who = {(text(each, "PatientID"), text(each, "PatientName").rstrip("^")) for each in datasets}
    if len(who) > 1:
        raise ExchangeError("the images are of different patients; a report is about one")
    patient = Patient(
        identifier=text(first, "PatientID"),
        issuer=text(first, "IssuerOfPatientID"),
        name=text(first, "PatientName"),
        birth_date=_digits(text(first, "PatientBirthDate"), 8),
        sex=_SEXES.get(text(first, "PatientSex").upper(), ""),
    )
    images = tuple(_reference(each) for each in datasets)
    study = Study(
        uid=images[0].study,
        identifier=text(first, "StudyID"),
        accession=text(first, "AccessionNumber"),
        date=_digits(text(first, "StudyDate"), 8),
        time=_digits(text(first, "StudyTime").partition(".")[0].ljust(6, "0"), 6) if text(first, "StudyTime") else "",
        description=text(first, "StudyDescription"),
        referrer=text(first, "ReferringPhysicianName"),
    )
    return patient, study, images


def text(dataset: Any, keyword: str) -> str:
    """An element's value as one line of text; "" where it is absent or cannot be read."""
    try:
        value = dataset.get(keyword)
        return "" if value is None else str(value).strip().strip("\0")
    except Exception:  # pydicom converts on access and raises many kinds
        return ""


def _digits(value: str, count: int) -> str:
    value = re.sub("[.:]", "", value)  # dates and times of ACR-NEMA have points and colons (PS3.5 6.2)
    return value if re.fullmatch(rf"[0-9]{{{count}}}", value) else ""


def _reference(dataset: Any) -> ImageReference:
    uids = {
        "sop_class": text(dataset, "SOPClassUID"),
        "uid": text(dataset, "SOPInstanceUID"),
        "series": text(dataset, "SeriesInstanceUID"),
        "study": text(dataset, "StudyInstanceUID"),
    }
    try:
        if not all(uids.values()):
            raise ValueError
        return ImageReference(**uids)
    except ValueError:
        raise ExchangeError("an image lacks a UID (of class, instance, series or study) or has a wrong one") from None
