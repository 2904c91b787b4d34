"""All of a study besides its reading: series, earlier studies with their impressions, deliveries, its job."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import Integer, case, func, select
from sqlalchemy.orm import Session

from aris.exchange.documents.report import checked
from aris.flow.arrival import DRAFT
from aris.flow.house import House
from aris.flow.reading.ages import ages
from aris.flow.reading.priors import Prior, priors
from aris.flow.reading.reading_room import Opened
from aris.flow.subjects import of_another, study_row
from aris.store.reading import deliveries, readings, reports
from aris.store.reading.lasting_tables import DeliveryRow
from aris.store.reading.tables import JobRow
from aris.store.schema import InstanceRow, SeriesRow

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
    earlier = priors(house, study.uid)
    with house.store.sessions.reading() as session:
        sent: dict[int, list[DeliveryRow]] = {}
        for row in deliveries.of_reports(session, [each.id for each, _ in opened.reports]):
            sent.setdefault(row.report_pk, []).append(row)
        return Details(
            series=series_of(session, study.id),
            priors=[(each, _impression(session, each)) for each in earlier],
            deliveries=sent,
            drafting=session.scalar(
                select(JobRow.state).where(JobRow.study_uid == study.uid, JobRow.kind == DRAFT)
                .order_by(JobRow.id.desc()).limit(1)
            ),
            age=ages(house, session, [study])[study.id],
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


def _impression(session: Session, prior: Prior) -> str:
    """The impression of the newest signed report of an earlier study that is surely the patient's, and was when signed.

    A study may have been given to another patient since: what was signed before is of the other one.
    """
    reading = readings.find(session, prior.study) if prior.identity == "same" else None
    if reading is None or reading.state not in readings.SIGNED:
        return ""
    signed, row = reports.newest(session, reading), study_row(session, prior.study)
    if signed is None or row is None or of_another(checked(**signed.report), row):
        return ""
    return str(signed.report["sections"]["impression"])
