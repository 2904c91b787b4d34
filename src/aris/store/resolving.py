"""Two patients under one study's UID: a person says whose the study is. Only the index changes, no object does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from aris.errors import StoreError
from aris.imaging.dicom.patients import Patient
from aris.store.schema import ApartRow, CopyRow, InstanceRow, SeriesRow, StudyRow

# Gives an object its entry in the index: (digest, size, source, received), and whose it is to be kept apart, or None.
Indexing = Callable[[str, int, str, datetime, Patient | None], str]


@dataclass(frozen=True)
class Resolved:
    """The outcome of a contested study.

    Attributes:
        given: objects that are the study now.
        apart: objects under its UID that are kept apart now.
    """

    given: int
    apart: int


def patient_of(row: StudyRow | ApartRow) -> Patient:
    """The patient whom a row of the index names."""
    return Patient(row.patient_id, row.issuer, row.patient_name, row.birth_date, row.sex)


def give_study(session: Session, uid: str, patient_id: str, patient_name: str | None, index: Indexing) -> Resolved:
    """Make the objects of one patient that are kept apart the study, and keep apart those that were it.

    Args:
        uid: Study Instance UID.
        patient_id, patient_name: of the patient whose study it is; the name where the Patient ID alone is of several.
        index: gives an object its entry, see `Indexing`.

    Raises:
        StoreError: nothing is kept apart for such a patient there, or several patients are meant.
    """
    rows = list(session.scalars(select(ApartRow).where(ApartRow.study == uid).order_by(ApartRow.id)))
    if not rows:
        raise StoreError(f"study {uid:.64}: nothing is kept apart under this UID; see `aris node apart`")
    chosen = _chosen([patient_of(row) for row in rows], uid, patient_id, patient_name)
    theirs = [row for row in rows if not chosen.conflicts(patient_of(row))]
    study = session.scalar(select(StudyRow).where(StudyRow.uid == uid))
    former = None if study is None else patient_of(study)
    moved = [] if study is None else taken_out(session, study)
    given = [(row.digest, row.size, row.source, row.received_at) for row in theirs]
    for row in theirs:
        session.delete(row)
    session.flush()
    for each in given:
        index(*each, None)
    for each in moved:
        index(*each, former)
    session.flush()
    left = len(list(session.scalars(select(ApartRow.id).where(ApartRow.study == uid))))
    return Resolved(len(rows) + len(moved) - left, left)


def _chosen(patients: list[Patient], uid: str, patient_id: str, patient_name: str | None) -> Patient:
    found = [
        each
        for each in dict.fromkeys(patients)
        if each.identifier == patient_id and patient_name in (None, each.name)
    ]
    if not found:
        raise StoreError(f"study {uid:.64}: nothing of such a patient is kept apart; see `aris node apart`")
    if any(found[0].conflicts(other) for other in found[1:]):
        raise StoreError(f"study {uid:.64}: several patients have this Patient ID; say the name too")
    return found[0]


def taken_out(session: Session, study: StudyRow) -> list[tuple[str, int, str, datetime]]:
    """Take a study out of the index; what of its objects must be known to index them again, in order of arrival."""
    copies = list(
        session.scalars(
            select(CopyRow)
            .join(CopyRow.instance)
            .join(InstanceRow.series)
            .where(SeriesRow.study_pk == study.id)
            .order_by(CopyRow.id)
        )
    )
    found = [(copy.digest, copy.size, copy.source, copy.received_at) for copy in copies]
    instances = {copy.instance.id: copy.instance for copy in copies}
    for copy in copies:
        session.delete(copy)
    session.flush()
    for instance in instances.values():
        session.delete(instance)
    session.flush()
    for series in session.scalars(select(SeriesRow).where(SeriesRow.study_pk == study.id)):
        session.delete(series)
    session.flush()
    session.delete(study)
    session.flush()
    return found
