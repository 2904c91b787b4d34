"""Intakes beside studies: which ones are of the patient that a study's headers name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from aris.imaging.dicom.patients import Patient
from aris.store.intakes import intakes
from aris.store.intakes.tables import IntakeRow

# In the worklist; older ones stand on the patient's page.
RECENT = timedelta(days=30)


def landed(
    session: Session, patients: Sequence[Patient], now: datetime | None = None
) -> list[list[tuple[IntakeRow, bool]]]:
    """The ended intakes of each patient, the newest first, with whether they are surely his: one query for all.

    An intake has the patient's number, and nothing that the clinic typed contradicts the headers. It is sure where both
    state the birth date, or else the name.

    Args:
        now: leave out what ended longer ago than `RECENT`.
    """
    by_number = intakes.newest_of(session, [each.identifier for each in patients])
    found = []
    for patient in patients:
        own = []
        for row in by_number.get(patient.identifier, []):
            if now is not None and row.ended_at is not None and row.ended_at < now - RECENT:
                continue
            other = _patient(row)
            if not patient.conflicts(other):
                both = (patient.birth_date and other.birth_date) or (patient.name and other.name)
                own.append((row, bool(both)))
        found.append(own)
    return found


def _patient(row: IntakeRow) -> Patient:
    return Patient(row.patient_id, row.issuer, row.patient_name, row.birth_date, row.sex)
