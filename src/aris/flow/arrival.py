"""Arrival: what came into the index, by whatever way, becomes a reading; a study that is quiet becomes a job.

Nothing tells this of an arrival: it reads the index of objects, from where it stopped before. So an object counts
however it came (node, STOW-RS, upload, watched folder), and no crash between two steps loses one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from aris.flow.house import House
from aris.flow.outside import take_outside
from aris.flow.priority import URGENCY
from aris.flow.subjects import study_row
from aris.store.reading import edits, jobs, orders, readings, remote, reports
from aris.store.reading import house as values
from aris.store.reading.audit import SYSTEM
from aris.store.reading.tables import OrderRow, ReadingRow
from aris.store.schema import CopyRow

DRAFT, PRIORS = "draft", "priors"
LATE_IMAGES = "images came after the signature"
LATE_FOR_TEXT = "images came after the text was written"
_RANGE = 2000
# In PostgreSQL rows become visible in another order than that of their numbers, by as many as are written at once.
_MARGIN = 200


def collect(house: House) -> int:
    """Note what came since the last look. How many studies got something new."""
    touched: set[str] = set()
    while True:
        found, more = house.store.sessions.write(lambda session: _collect(session, house))
        touched |= found
        if not more:
            return len(touched)


def _collect(session: Session, house: House) -> tuple[set[str], bool]:
    mark = int(values.get(session, values.ARRIVALS, "0"))
    last = session.scalar(select(func.max(CopyRow.id))) or 0
    if last < mark:  # the index was made anew, with other numbers
        mark = 0
    margin = _MARGIN if house.store.sessions.dialect == "postgresql" else 0
    touched = set()
    for uid, first, newest in readings.arrivals(session, max(mark - margin, 0), _RANGE + margin):
        first, newest = _utc(first), _utc(newest)
        if _only_fetched(session, uid, newest):
            continue
        known = readings.find(session, uid)
        images = len(readings.image_uids(session, uid))
        if known is not None and known.images == images and known.last_object_at >= newest:
            continue
        readings.put_arrival(session, uid, first, newest, first + house.settings.first_come, images)
        if known is None:
            house.trail.add(session, SYSTEM, "arrive", uid, images=images)
        touched.add(uid)
    # A report may come before the images or after them.
    for uid in touched | readings.with_reports(session, max(mark - margin, 0), _RANGE + margin):
        take_outside(session, house, uid)
    for row in remote.released(session):
        if readings.find(session, row.study_uid) is None:
            span = readings.span(session, row.study_uid)
            if span is not None:
                first, newest = map(_utc, span)
                images = len(readings.image_uids(session, row.study_uid))
                readings.put_arrival(session, row.study_uid, first, newest, first + house.settings.first_come, images)
                touched.add(row.study_uid)
        session.delete(row)
    mark = min(mark + _RANGE, last)
    if str(mark) != values.get(session, values.ARRIVALS, "0"):
        values.put(session, values.ARRIVALS, str(mark))
    return touched, mark < last


def _only_fetched(session: Session, study: str, newest: datetime) -> bool:
    """Return whether a study came to be compared with, and by no other way: nobody has to read it.

    Whatever comes once the fetching is over came by another way, as does what others send meanwhile, whatever becomes
    of the fetching. In doubt a study is to be read.
    """
    row = remote.fetched(session, study)
    if row is None:
        return False
    if row.state in (remote.FETCHED, remote.FAILED) and newest > row.changed_at:
        row.state = remote.RELEASED
    return row.state != remote.RELEASED and not remote.senders(session, study) - {row.source}


def settle(house: House, now: datetime | None = None) -> int:
    """Make a job of each study that has been quiet long enough. How many new jobs there are."""
    now = now or datetime.now(UTC)

    def work(session: Session) -> int:
        made = 0
        for reading in readings.quiet(session, now - house.settings.quiet):
            made += _settle(session, house, reading, now)
        return made

    return house.store.sessions.write(work)


def settle_now(house: House, studies: Collection[str], now: datetime | None = None) -> int:
    """Settle studies of which somebody says that they are whole, without a wait. How many new jobs there are."""
    collect(house)
    now = now or datetime.now(UTC)

    def work(session: Session) -> int:
        made = 0
        for uid in sorted(studies):
            reading = readings.find(session, uid, lock=True)
            if reading is not None and reading.settled_at is None:
                made += _settle(session, house, reading, now)
        return made

    return house.store.sessions.write(work)


def _settle(session: Session, house: House, reading: ReadingRow, now: datetime) -> bool:
    images = readings.image_uids(session, reading.study_uid)
    digest = digest_of(images)
    reading.settled_at, reading.changed_at = now, now
    if digest == reading.images_digest:
        return False
    signed = reports.newest(session, reading)
    key = f"{reading.study_uid}:{digest[:32]}"
    if reading.notice == readings.GIVEN_AWAY:
        # The same images may be another patient's now, and were drafted as the first one's.
        key += f":{reading.last_object_at.isoformat()}"
    if reading.notice == readings.GIVEN_AWAY:
        pass  # says more
    elif signed is not None and signed.content["images"] != images:
        reading.notice = LATE_IMAGES
    elif signed is None and _is_late_for_text(session, reading):
        reading.notice = LATE_FOR_TEXT
    reading.images_digest = digest
    if reading.state == "arrived":
        reading.state = "settled"
    study = study_row(session, reading.study_uid)
    if study is not None:
        put_order(reading, orders.for_study(session, study))
    if house.settings.archives:
        jobs.put(session, PRIORS, f"priors:{key}", reading.study_uid, reading.urgency, now)
    new = jobs.put(session, DRAFT, f"draft:{key}", reading.study_uid, reading.urgency, now)
    house.trail.add(session, SYSTEM, "settle", reading.study_uid, now=now, images=len(images))
    return new


def _is_late_for_text(session: Session, reading: ReadingRow) -> bool:
    """Return whether images came after a text; also of a study that was written of while it was still coming."""
    written = edits.touched_at(session, reading)
    return written is not None and (bool(reading.images_digest) or reading.last_object_at > written)


def put_order(reading: ReadingRow, order: OrderRow | None) -> None:
    """Put a reading under an order, whose urgency it takes."""
    reading.order_pk = None if order is None else order.id
    urgency = "routine" if order is None else order.urgency
    reading.urgency = {str(name): level for name, level in URGENCY.items()}.get(urgency, 0)


def digest_of(images: Sequence[str]) -> str:
    """A digest of a set of images, by their UIDs."""
    return hashlib.sha256("\n".join(sorted(images)).encode()).hexdigest()


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
