"""Studies that archives elsewhere have, and those that were fetched from there to compare with."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from aris.imaging.dicom.patients import Patient
from aris.store.reading.tables import FetchedStudyRow, RemoteStudyRow
from aris.store.schema import CopyRow, InstanceRow, SeriesRow, StudyRow

ASKED, FETCHED, FAILED, RELEASED = "asked", "fetched", "failed", "released"


@dataclass(frozen=True)
class RemoteStudy:
    """A study that an archive has; `archive` is its name in the site's settings."""

    uid: str
    archive: str
    patient: Patient
    date: str = ""
    description: str = ""
    modalities: tuple[str, ...] = ()
    instances: int | None = None


def put_all(session: Session, study_uid: str, archive: str, found: Iterable[RemoteStudy], now: datetime) -> None:
    """Keep what an archive has of the patient of one of our studies, in place of what it had before."""
    session.execute(
        delete(RemoteStudyRow).where(RemoteStudyRow.of_study == study_uid, RemoteStudyRow.archive == archive)
    )
    for each in found:
        session.add(
            RemoteStudyRow(
                of_study=study_uid, study_uid=each.uid, archive=archive, patient_id=each.patient.identifier[:256],
                issuer=each.patient.issuer[:256], patient_name=each.patient.name[:512],
                birth_date=each.patient.birth_date[:8], sex=each.patient.sex[:16], date=each.date[:8],
                description=each.description[:256], modalities=list(each.modalities), instances=each.instances,
                found_at=now,
            )
        )  # fmt: skip
    session.flush()


def of(session: Session, study_uid: str) -> list[RemoteStudy]:
    """Return what archives have of the patient of one of our studies, the latest first."""
    query = select(RemoteStudyRow).where(RemoteStudyRow.of_study == study_uid)
    rows = session.scalars(query.order_by(RemoteStudyRow.date.desc(), RemoteStudyRow.id))
    return [
        RemoteStudy(
            row.study_uid, row.archive,
            Patient(row.patient_id, row.issuer, row.patient_name, row.birth_date, row.sex),
            row.date, row.description, tuple(row.modalities), row.instances,
        )
        for row in rows
    ]  # fmt: skip


def fetched(session: Session, study_uid: str, *, lock: bool = False) -> FetchedStudyRow | None:
    """The row of a study that was asked for at an archive; None if none was."""
    query = select(FetchedStudyRow).where(FetchedStudyRow.study_uid == study_uid)
    return session.scalar(query.with_for_update() if lock else query)


def fetched_of(session: Session, study_uids: Collection[str]) -> dict[str, FetchedStudyRow]:
    """Return the rows of those studies that were asked for at an archive, by their UIDs."""
    query = select(FetchedStudyRow).where(FetchedStudyRow.study_uid.in_(study_uids))
    return {row.study_uid: row for row in session.scalars(query)} if study_uids else {}


def ask(session: Session, study_uid: str, archive: str, source: str, login: str, now: datetime) -> FetchedStudyRow:
    """Note that a study is asked for, before its first object comes."""
    row = fetched(session, study_uid, lock=True)
    if row is None:
        row = FetchedStudyRow(study_uid=study_uid, archive=archive, source=source, state=ASKED, error="", login=login,
                              asked_at=now, changed_at=now)  # fmt: skip
        session.add(row)
    elif row.state != RELEASED:
        row.archive, row.source, row.state, row.error = archive, source, ASKED, ""
        row.login, row.asked_at, row.changed_at = login, now, now
    session.flush()
    return row


def release_if_sent(session: Session, study_uid: str, source: str) -> None:
    """An object of a study was sent that is known already: if nobody had asked for it, the study is to be read."""
    row = fetched(session, study_uid)
    if row is None or row.state == RELEASED:
        return
    if row.state != ASKED or source != row.source:
        row.state = RELEASED


def senders(session: Session, study_uid: str) -> set[str]:
    """All who sent an object of a study."""
    query = (
        select(func.distinct(CopyRow.source))
        .join(CopyRow.instance).join(InstanceRow.series).join(SeriesRow.study)
        .where(StudyRow.uid == study_uid)
    )  # fmt: skip
    return set(session.scalars(query))


def released(session: Session) -> list[FetchedStudyRow]:
    """Studies that were fetched and came by another way too."""
    return list(session.scalars(select(FetchedStudyRow).where(FetchedStudyRow.state == RELEASED)))
