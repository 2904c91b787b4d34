"""Readings: where the reading of each study stands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from aris.errors import NotFoundError
from aris.store.reading import drafts, edits, measurements
from aris.store.reading.tables import ReadingRow
from aris.store.schema import CopyRow, InstanceRow, SeriesRow, StudyRow

State = Literal["arrived", "settled", "drafted", "opened", "preliminary", "final", "amended", "addendum"]
STATES: tuple[State, ...] = get_args(State)
SIGNED: tuple[State, ...] = ("final", "amended", "addendum")
# The states in which somebody still has to read.
OPEN: tuple[State, ...] = ("arrived", "settled", "drafted", "opened", "preliminary")
GIVEN_AWAY = "the study was given to another patient: drafts, texts and signatures before that are of the other one"
# PS3.4 B.5: structured reports.
_SR = "1.2.840.10008.5.1.4.1.1.88."


def find(session: Session, study_uid: str, *, lock: bool = False) -> ReadingRow | None:
    """The reading of a study; None if there is none.

    Args:
        lock: keep others from changing it until the transaction ends.
    """
    query = select(ReadingRow).where(ReadingRow.study_uid == study_uid)
    return session.scalar(query.with_for_update() if lock else query)


def require(session: Session, study_uid: str, *, lock: bool = False) -> ReadingRow:
    """Return the reading of a study; see `find`.

    Raises:
        NotFoundError: there is none.
    """
    found = find(session, study_uid, lock=lock)
    if found is None:
        raise NotFoundError("no such study in the worklist; check its UID with `aris worklist`")
    return found


def states_of(session: Session, study_uids: Sequence[str]) -> dict[str, str]:
    """Return where the readings of those studies stand that have one, by their UIDs."""
    query = select(ReadingRow.study_uid, ReadingRow.state).where(ReadingRow.study_uid.in_(study_uids))
    return {uid: state for uid, state in session.execute(query)} if study_uids else {}


def put_arrival(
    session: Session, study_uid: str, first_at: datetime, last_at: datetime, due_at: datetime, images: int
) -> ReadingRow:
    """Note that objects of a study have come; a known reading waits for quiet anew."""
    row = find(session, study_uid, lock=True)
    if row is None:
        row = ReadingRow(
            study_uid=study_uid, state="arrived", order_pk=None, images=images, images_digest="", arrived_at=first_at,
            last_object_at=last_at, settled_at=None, urgency=0, concern=0, assessed=False, reason="", due_at=due_at,
            text_number=0, opened_by="", opened_at=None, notice="", changed_at=last_at,
        )  # fmt: skip
        session.add(row)
        session.flush()
    elif last_at > row.last_object_at or images != row.images:
        row.last_object_at, row.images = max(last_at, row.last_object_at), images
        row.settled_at = None
    return row


def arrivals(session: Session, after_copy: int, limit: int = 5000) -> list[tuple[str, datetime, datetime]]:
    """Studies with copies of images that came after one: their UID, their first and their last arrival.

    Objects without pixels, as reports, begin no reading.
    """
    query = (
        select(StudyRow.uid, func.min(CopyRow.received_at), func.max(CopyRow.received_at))
        .join(CopyRow.instance)
        .join(InstanceRow.series)
        .join(SeriesRow.study)
        .where(CopyRow.id > after_copy, CopyRow.id <= after_copy + limit, InstanceRow.rows.is_not(None))
        .group_by(StudyRow.uid)
    )
    return [(uid, first, last) for uid, first, last in session.execute(query)]


def span(session: Session, study_uid: str) -> tuple[datetime, datetime] | None:
    """The first and the last arrival of a study's images; None where it has none."""
    query = (
        select(func.min(CopyRow.received_at), func.max(CopyRow.received_at))
        .join(CopyRow.instance)
        .join(InstanceRow.series)
        .join(SeriesRow.study)
        .where(StudyRow.uid == study_uid, InstanceRow.rows.is_not(None))
    )
    first, last = session.execute(query).one()
    return None if first is None else (first, last)


def with_reports(session: Session, after_copy: int, limit: int) -> set[str]:
    """Studies of which structured reports came after one copy."""
    query = (
        select(StudyRow.uid)
        .join(StudyRow.series)
        .join(SeriesRow.instances)
        .join(InstanceRow.copies)
        .where(CopyRow.id > after_copy, CopyRow.id <= after_copy + limit, InstanceRow.sop_class.startswith(_SR))
        .distinct()
    )
    return set(session.scalars(query))


def report_instances(session: Session, study_uid: str) -> list[tuple[str, str]]:
    """SOP Instance UIDs and files' digests of a study's structured reports."""
    query = (
        select(InstanceRow.uid, InstanceRow.digest)
        .join(InstanceRow.series)
        .join(SeriesRow.study)
        .where(StudyRow.uid == study_uid, InstanceRow.sop_class.startswith(_SR))
        .order_by(InstanceRow.id)
    )
    return [(uid, digest) for uid, digest in session.execute(query)]


def image_uids(session: Session, study_uid: str) -> list[str]:
    """SOP Instance UIDs of a study's images, sorted."""
    query = (
        select(InstanceRow.uid)
        .join(InstanceRow.series)
        .join(SeriesRow.study)
        .where(StudyRow.uid == study_uid, InstanceRow.rows.is_not(None))
    )
    return sorted(session.scalars(query))


def begin_anew(session: Session, study_uid: str, now: datetime) -> None:
    """Begin a study's reading anew, as it was given to another patient.

    Texts and measurements are kept, and none of them stands: an image's UID may be that of another image now.
    """
    row = find(session, study_uid, lock=True)
    if row is None:
        return
    row.images, row.images_digest = len(image_uids(session, study_uid)), ""
    row.last_object_at, row.settled_at, row.order_pk, row.urgency = now, None, None, 0
    row.notice, row.changed_at = GIVEN_AWAY, now
    row.opened_by, row.opened_at = "", None
    row.concern, row.assessed, row.reason = 0, False, ""
    if (text := edits.current(session, row)) is not None:
        edits.add(session, row, dict.fromkeys(text.sections, ""), base=row.text_number, author=edits.MODEL,
                  draft_number=0, now=now)  # fmt: skip
    for measured in measurements.standing(session, row):
        measured.removed_at = now
    if row.state not in SIGNED:
        row.state = "arrived"


def put_back(session: Session, reading: ReadingRow) -> None:
    """Make a reading nobody's; it stands where it stood before it was opened if no person has written.

    Args:
        reading: locked.
    """
    reading.opened_by, reading.opened_at = "", None
    if reading.state == "opened" and not edits.touched(session, reading):
        if drafts.newest(session, reading) is not None:
            reading.state = "drafted"
        else:
            reading.state = "settled" if reading.images_digest else "arrived"


def open_ones(session: Session, login: str = "") -> list[ReadingRow]:
    """Return the readings that somebody, or a user, has open; locked."""
    whose = ReadingRow.opened_by == login if login else ReadingRow.opened_by != ""
    return list(session.scalars(select(ReadingRow).where(whose).order_by(ReadingRow.id).with_for_update()))


def kinds(session: Session) -> list[str]:
    """Return all modalities that the store has, sorted."""
    return sorted(each for each in session.scalars(select(SeriesRow.modality).distinct()) if each)


def quiet(session: Session, before: datetime, limit: int = 100) -> list[ReadingRow]:
    """Readings that have not settled and of which nothing has come since a moment."""
    query = (
        select(ReadingRow)
        .where(ReadingRow.settled_at.is_(None), ReadingRow.last_object_at <= before)
        .order_by(ReadingRow.last_object_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(session.scalars(query))


def modalities(session: Session, study_pks: Sequence[int]) -> dict[int, list[str]]:
    """The modalities of studies, by their keys."""
    made: dict[int, list[str]] = {}
    if not study_pks:
        return made
    query = select(SeriesRow.study_pk, SeriesRow.modality).where(SeriesRow.study_pk.in_(study_pks)).distinct()
    for key, modality in session.execute(query):
        if modality:
            made.setdefault(key, []).append(modality)
    return {key: sorted(each) for key, each in made.items()}
