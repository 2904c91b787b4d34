"""All of a study besides its reading: series, earlier studies with their impressions, deliveries, its job."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import Integer, case, func, select
from sqlalchemy.orm import Session

from aris.flow.arrival import DRAFT
from aris.flow.house import House
from aris.flow.reading.ages import ages
from aris.flow.reading.priors import Prior, priors_of
from aris.flow.reading.reading_room import Opened
from aris.flow.subjects import of_another, report_of
from aris.store.reading import deliveries, readings
from aris.store.reading.lasting_tables import DeliveryRow, ReportRow
from aris.store.reading.tables import JobRow, ReadingRow
from aris.store.schema import InstanceRow, SeriesRow, StudyRow

_NUMBER = re.compile("-?[0-9]{1,12}")


@dataclass(frozen=True)
class SeriesOf:
    """A series: `images` of how many `frames`, and all its objects."""

    uid: str
    modality: str
    number: str
    description: str
    body_part: str
    images: int
    frames: int
    objects: int


@dataclass(frozen=True)
class Details:
    """Details of a study.

    Attributes:
        priors: with the impression of the newest signed report of those that are surely the patient's, else "".
        deliveries: by the version's key in the database.
        drafting: how far the newest job is: "waiting", "running", "done", "failed"; None where there is none.
        age: of the patient, as DICOM's AS.
    """

    series: list[SeriesOf]
    priors: list[tuple[Prior, str]]
    deliveries: dict[int, list[DeliveryRow]]
    drafting: str | None
    age: str


def details(house: House, opened: Opened) -> Details:
    """Return the details of a study that was looked at.

    Raises:
        StoreError: they cannot be read.
    """
    study = opened.study
    with house.store.sessions.reading() as session:
        earlier = priors_of(session, study)
        said = _impressions(session, [each.study for each in earlier if each.identity == "same"])
        sent: dict[int, list[DeliveryRow]] = {}
        for row in deliveries.of_reports(session, [each.id for each, _ in opened.reports]):
            sent.setdefault(row.report_pk, []).append(row)
        return Details(
            series=series_of(session, study.id),
            priors=[(each, said.get(each.study, "")) for each in earlier],
            deliveries=sent,
            drafting=session.scalar(
                select(JobRow.state).where(JobRow.study_uid == study.uid, JobRow.kind == DRAFT)
                .order_by(JobRow.id.desc()).limit(1)
            ),
            age=ages(house, session, [(study.id, study.birth_date, study.date)])[study.id],
        )  # fmt: skip


def series_of(session: Session, study_pk: int) -> list[SeriesOf]:
    """A study's series, in the order of their numbers."""
    is_image = case((InstanceRow.rows.is_not(None), 1), else_=0)
    frames = case((InstanceRow.rows.is_not(None), func.coalesce(InstanceRow.frames, 1)), else_=0)
    query = (
        select(SeriesRow, func.sum(is_image).cast(Integer), func.sum(frames).cast(Integer), func.count())
        .join(SeriesRow.instances)
        .where(SeriesRow.study_pk == study_pk)
        .group_by(SeriesRow.id)
        .order_by(SeriesRow.id)
    )
    found = [
        SeriesOf(row.uid, row.modality, row.number, row.description, row.body_part, images, count, objects)
        for row, images, count, objects in session.execute(query)
    ]
    # A number is as the sender wrote it: "--1" is none.
    return sorted(found, key=lambda each: int(each.number) if _NUMBER.fullmatch(each.number) else 1 << 31)


def _impressions(session: Session, uids: list[str]) -> dict[str, str]:
    """Impressions of the newest signed reports of earlier studies that are surely the patient's, and were when signed.

    A study may have been given to another patient since: what was signed before is of the other one.
    """
    if not uids:
        return {}
    newest = (
        select(func.max(ReportRow.number)).where(ReportRow.reading_pk == ReadingRow.id).correlate(ReadingRow)
    ).scalar_subquery()
    query = (
        select(StudyRow, ReportRow)
        .join(ReadingRow, ReadingRow.study_uid == StudyRow.uid)
        .join(ReportRow, (ReportRow.reading_pk == ReadingRow.id) & (ReportRow.number == newest))
        .where(StudyRow.uid.in_(uids), ReadingRow.state.in_(readings.SIGNED))
    )
    return {
        row.uid: str(signed.report["sections"]["impression"]) for row, signed in session.execute(query)
        if not of_another(report_of(signed), row)
    }  # fmt: skip
