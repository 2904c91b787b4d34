"""Studies as an archive describes them. What it says is not trusted: it is bounded, and its UIDs are checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from aris.imaging.dicom.patients import Patient

# Of one patient. An archive that gives more has not understood the question.
MOST_STUDIES = 2000
# Of one study: a long cine run or a thin-slice CT has some thousands.
MOST_OBJECTS = 50_000
# What a query asks for, besides what it is about.
RETURNED = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyDescription", "AccessionNumber", "ModalitiesInStudy",
    "NumberOfStudyRelatedInstances", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex",
)  # fmt: skip

# Keeps an object that came, as a file's bytes.
Keep = Callable[[bytes], object]


@dataclass(frozen=True)
class FoundStudy:
    """A study that an archive has.

    Attributes:
        uid: Study Instance UID.
        patient: as the archive names him.
        date, time: YYYYMMDD and HHMMSS; "" where it does not say.
        instances: how many objects it has; None where it does not say.
    """

    uid: str
    patient: Patient
    date: str = ""
    time: str = ""
    description: str = ""
    accession: str = ""
    modalities: tuple[str, ...] = ()
    instances: int | None = None


def questions(patient: Patient) -> list[dict[str, str]]:
    """Keys of the queries that find a patient's studies: by number; and by family name and birth date.

    The second finds those that another hospital filed under its own number; of the name it asks for the part before the
    first letter that is not ASCII, as archives compare those in ways of their own. A value that would be a pattern or a
    list there (PS3.4 C.2.2.2) is not asked for: it would find other patients.
    """
    made = []
    number = patient.identifier.strip()
    if number and not re.search(r"[*?\\]", number):
        made.append({"PatientID": number})
    family = re.split(r"[\^=]", patient.name)[0].strip()
    if family and not re.search(r"[*?\\]", family) and re.fullmatch("[0-9]{8}", patient.birth_date):
        plain = re.match("[ -~]*", family)
        made.append({"PatientName": f"{plain[0] if plain else ''}*", "PatientBirthDate": patient.birth_date})
    return made


def is_uid(value: str) -> bool:
    """Return whether a text can be a UID (PS3.5 chapter 9); components that begin with a zero are let pass."""
    return len(value) <= 64 and bool(re.fullmatch(r"[0-9]+(\.[0-9]+)+", value))
