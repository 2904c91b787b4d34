"""Delivery: each signed version to each destination, again and again until it is acknowledged.

Documents are made once and kept, so that what is sent again is the same object with the same UIDs and ids.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy.orm import Session

from aris.errors import ArisError
from aris.exchange.documents.formats import Format, document
from aris.exchange.documents.report import Report, checked
from aris.flow.house import House
from aris.flow.outgoing.destinations import Parcel, deliver
from aris.flow.settings import Destination, FhirDestination, Hl7Destination
from aris.store.files import StoredFile
from aris.store.reading import deliveries, readings, reports
from aris.store.reading.audit import SYSTEM
from aris.store.reading.jobs import LeaseLostError
from aris.store.reading.lasting_tables import DeliveryRow, ReportRow
from aris.store.reading.tables import OrderRow, ReadingRow

log = logging.getLogger("aris.flow")
# Longer than any attempt takes: a peer's silence ends one after a minute.
LEASE = timedelta(minutes=10)
Send = Callable[[Destination, Parcel], None]


def deliver_next(
    house: House, owner: str, now: datetime | None = None, send: Send = deliver
) -> Literal["acknowledged", "failed", "lost"] | None:
    """Try the next delivery that is due; None if none is.

    Args:
        send: does it; raises `ArisError` unless the destination has acknowledged.
    """
    sessions = house.store.sessions
    known = {each.name: each for each in house.settings.destinations}

    def take(session: Session) -> tuple[DeliveryRow, ReportRow, str] | None:
        row = deliveries.claim(session, owner, LEASE, now or datetime.now(UTC), tuple(known))
        if row is None:
            return None
        report, reading = session.get(ReportRow, row.report_pk), session.get(ReadingRow, row.reading_pk)
        assert report is not None and reading is not None
        return row, report, reading.study_uid

    taken = sessions.write(take)
    if taken is None:
        return None
    row, report, study = taken
    destination = known[row.destination]
    try:
        send(destination, parcel(house, report, study, destination))
    except ArisError as error:
        return _failed(house, row, study, owner, str(error), now)
    except Exception as error:
        # The type alone: a message may quote the document.
        return _failed(house, row, study, owner, f"a defect ({type(error).__name__})", now)

    def done(session: Session) -> None:
        moment = now or datetime.now(UTC)
        deliveries.acknowledge(session, row.id, owner, moment)
        house.trail.add(session, SYSTEM, "deliver", study, now=moment, version=report.number, to=row.destination)

    try:
        sessions.write(done)
    except LeaseLostError:
        return "lost"
    return "acknowledged"


def formats_of(destination: Destination) -> tuple[Format, ...]:
    """The formats that a destination takes."""
    if isinstance(destination, FhirDestination):
        return ("fhir",)
    if isinstance(destination, Hl7Destination):
        return ()  # the message is made of the report as it was kept
    return tuple(destination.formats)


def parcel(house: House, row: ReportRow, study: str, destination: Destination) -> Parcel:
    """A version's documents for a destination, as they were made first.

    Raises:
        ArisError: one cannot be made.
    """
    report = checked(**row.report)
    files: dict[str, bytes] = {}
    for form in formats_of(destination):
        files |= documents_of(house, row, form)
    with house.store.sessions.reading() as session:
        reading = readings.require(session, study)
        order = None if reading.order_pk is None else session.get(OrderRow, reading.order_pk)
    numbers = ("", "") if order is None else (order.placer, order.filler)
    return Parcel(report, study, row.number, files, tuple(house.store.senders(study)), *numbers)


def documents_of(house: House, row: ReportRow, form: Format) -> dict[str, bytes]:
    """A version's documents of a format: those that were made first, or made now and kept.

    Returns:
        file name endings, without a leading dot, and contents.

    Raises:
        ArisError: one cannot be made.
    """
    with house.store.sessions.reading() as session:
        kept = reports.documents(session, row.id, form)
    return {each.name: each.data for each in kept} or _make(house, row, checked(**row.report), form)


def _make(house: House, row: ReportRow, report: Report, form: Format) -> dict[str, bytes]:
    images: list[StoredFile] = []
    if form in ("gsps", "sc"):
        wanted = {each.uid for each in report.images}
        images = [each.file for each in house.store.instances(study=report.study.uid) if each.uid in wanted]
    made = document(report, form, images)

    def keep(session: Session) -> dict[str, bytes]:
        reports.put_documents(session, row, form, made, _uid(form, row), datetime.now(UTC))
        # Another worker's, if it was quicker: one of the two is sent, always the same.
        return {each.name: each.data for each in reports.documents(session, row.id, form)}

    return house.store.sessions.write(keep)


def _uid(form: Format, row: ReportRow) -> str:
    return str(row.document.get("uid", "")) if form == "sr" else ""


def _failed(
    house: House, row: DeliveryRow, study: str, owner: str, reason: str, now: datetime | None
) -> Literal["failed", "lost"]:
    moment = now or datetime.now(UTC)

    def work(session: Session) -> datetime:
        due = deliveries.retry(session, row.id, owner, reason, moment)
        if row.attempts == 1:
            house.trail.add(session, SYSTEM, "deliver", study, outcome="failed", now=moment, to=row.destination)
        return due

    try:
        due = house.store.sessions.write(work)
    except LeaseLostError:
        return "lost"
    log.warning("a delivery to %s failed (attempt %d), again at %s", row.destination, row.attempts, f"{due:%H:%M:%S}")
    return "failed"
