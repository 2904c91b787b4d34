"""Identity between records and studies, by the rule of earlier studies: number, issuer, birth date; else possible.

Nothing is ever merged: a record stands beside a study's patient, surely or possibly his.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from aris.exchange.documents.report import clean
from aris.flow.house import House
from aris.flow.reading.priors import Identity, same_patient
from aris.flow.subjects import study_row
from aris.imaging.dicom.patients import Patient
from aris.records import Timeline
from aris.store.reading.orders import patient_of
from aris.store.reading.records import books
from aris.store.reading.records.tables import RecordRow
from aris.store.schema import StudyRow

_SEX = {"male": "M", "female": "F", "other": "O"}
_MOST = 200


def person_of(timeline: Timeline, issuers: Mapping[str, str]) -> books.Person:
    """Return whose timeline it is, for the books.

    Args:
        issuers: DICOM's issuers of FHIR's systems; a system that is not there is its own issuer.
    """
    person = timeline.patient
    moments = [when.start for record in timeline.records if (when := record.known or record.time) is not None]
    birth = "" if person.birth is None else person.birth.day
    # No text of a record goes into the database with what no database keeps.
    return books.Person(
        patient=clean(person.id), name=_line(person.name), birth_date=_line(birth), sex=_line(person.gender),
        identifiers=tuple(dict.fromkeys((_line(value), _line(issuers.get(system, system)))
                                        for system, value in person.identifiers)),
        entries=len(timeline.records), newest=max(moments, default=None),
    )  # fmt: skip


def _line(text: str) -> str:
    return " ".join(clean(text).split())


def patients_of(row: RecordRow) -> list[Patient]:
    """A record's patient as headers of images would name him: once for each number."""
    birth = re.sub("[^0-9]", "", row.birth_date)
    birth = birth if len(birth) == 8 else ""
    sex = _SEX.get(row.sex, "")
    numbers = [(each["value"], each["issuer"]) for each in row.identifiers] or [("", "")]
    return [Patient(value, issuer, row.name, birth, sex) for value, issuer in numbers]


def identity(row: RecordRow, patient: Patient) -> tuple[Identity | None, str]:
    """Compare a record's patient with a study's: "same", "possible" with why not surely, or None."""
    possible = ""
    for each in patients_of(row):
        found, why = same_patient(each, patient)
        if found == "same":
            return "same", ""
        if found == "possible" and not possible:
            possible = why
    return ("possible", possible) if possible else (None, "")


def same_person(row: RecordRow, other: RecordRow) -> tuple[Identity | None, str]:
    """Compare the patients of two records, as `identity`."""
    found = [identity(row, each) for each in patients_of(other)]
    sure = [each for each in found if each[0] == "same"]
    possible = [each for each in found if each[0] == "possible"]
    return (sure or possible or [(None, "")])[0]


def records_of_study(house: House, study: str) -> list[tuple[RecordRow, Identity, str]]:
    """Records of a study's patient: the sure ones first. None for a study that is not there."""
    with house.store.sessions.reading() as session:
        row = study_row(session, study)
        if row is None:
            return []
        patient = patient_of(row)
        family = re.split(r"[\^=]", patient.name)[0].strip()
        day = patient.birth_date
        birth = f"{day[:4]}-{day[4:6]}-{day[6:8]}" if len(day) == 8 else ""
        rows = books.candidates(session, [patient.identifier], family, birth)
    made = [(each, *identity(each, patient)) for each in rows]
    sure = [(each, found, why) for each, found, why in made if found is not None]
    return sorted(sure, key=lambda each: (each[1] != "same", each[0].id))


def studies_of_record(session: Session, row: RecordRow) -> list[tuple[StudyRow, Identity, str]]:
    """Studies of a record's patient: the sure ones first, the latest first."""
    ways: list[ColumnElement[bool]] = []
    numbers = [each["value"].casefold() for each in row.identifiers if each["value"].strip()]
    if numbers:
        ways.append(func.lower(StudyRow.patient_id).in_(numbers))
    words = row.name.split()
    birth = re.sub("[^0-9]", "", row.birth_date)
    if words and len(birth) == 8:
        like = or_(*(func.lower(StudyRow.patient_name).startswith(each.casefold(), autoescape=True) for each in words))
        ways.append(like & (StudyRow.birth_date == birth))
    if not ways:
        return []
    rows = session.scalars(select(StudyRow).where(or_(*ways)).order_by(StudyRow.date.desc()).limit(_MOST))
    made = [(each, *identity(row, patient_of(each))) for each in rows]
    sure = [(each, found, why) for each, found, why in made if found is not None]
    return sorted(sure, key=lambda each: each[1] != "same")


def other_records(session: Session, row: RecordRow) -> list[tuple[RecordRow, Identity, str]]:
    """Other records that are, or may be, of the same person; each stays a record of its own."""
    words = row.name.split()
    rows: Iterable[RecordRow] = books.candidates(
        session, [each["value"] for each in row.identifiers], words[-1] if words else "", row.birth_date, most=50
    )
    made = [(each, *same_person(row, each)) for each in rows if each.id != row.id]
    return [(each, found, why) for each, found, why in made if found is not None]
