"""Facts of DICOM headers about the patient and the study of a report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from aris.errors import ExchangeError
from aris.exchange.documents.report import ImageReference, Patient, Study
from aris.imaging.dicom.patients import Patient as Named
from aris.store.objects import text

_SEXES: dict[str, Literal["M", "F", "O"]] = {"M": "M", "F": "F", "O": "O"}


def subject(datasets: Sequence[Any]) -> tuple[Patient, Study, tuple[ImageReference, ...]]:
    """Patient and study of the first image, and references to all of them.

    Raises:
        ExchangeError: a header lacks a UID, or the images are of different patients.
    """
    if not datasets:
        raise ExchangeError("no image was given; name the DICOM files that were read")
    first = datasets[0]
    named = Named.of(first)
    if any(named.conflicts(Named.of(each)) for each in datasets):
        raise ExchangeError("the images are of different patients; a report is about one")
    patient = Patient(
        identifier=text(first, "PatientID"),
        issuer=text(first, "IssuerOfPatientID"),
        name=text(first, "PatientName"),
        birth_date=_date(text(first, "PatientBirthDate")),
        sex=_SEXES.get(text(first, "PatientSex").upper(), ""),
    )
    images = tuple(_reference(each) for each in datasets)
    study = Study(
        uid=images[0].study,
        identifier=text(first, "StudyID"),
        accession=text(first, "AccessionNumber"),
        date=_date(text(first, "StudyDate")),
        time=_time(text(first, "StudyTime")),
        description=text(first, "StudyDescription"),
        referrer=text(first, "ReferringPhysicianName"),
    )
    return patient, study, images


def _date(value: str) -> str:
    """A date that there is, as YYYYMMDD; "" for any other."""
    value = value.replace(".", "")  # ACR-NEMA's have points (PS3.5 6.2)
    try:
        return datetime.strptime(value, "%Y%m%d").strftime("%Y%m%d") if len(value) == 8 else ""
    except ValueError:
        return ""


def _time(value: str) -> str:
    """A time of day to the second, as HHMMSS; "" for what is none. Hours, or hours and minutes, may stand alone."""
    value = value.partition(".")[0].replace(":", "")
    value = value.ljust(6, "0") if len(value) in (2, 4, 6) else ""
    return value if re.fullmatch("([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]", value) else ""


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
