"""Critical results, open until somebody has read one back. Attempts to tell are only ever added."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from aris.errors import StoreError
from aris.store.reading.lasting_tables import AttemptRow, CriticalRow
from aris.store.reading.tables import ReadingRow

Outcome = Literal["read back", "told", "message left", "not reached", "withdrawn"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
# Which end it: it was understood, or a person says that it is none.
ENDS = ("read back", "withdrawn")


def raise_one(session: Session, reading: ReadingRow, finding: str, by: str, now: datetime) -> CriticalRow:
    """Open a critical result of a study; the one that is known, where its words are the same."""
    key = hashlib.sha256(" ".join(finding.lower().split()).encode()).hexdigest()
    known = session.scalar(select(CriticalRow).where(CriticalRow.reading_pk == reading.id, CriticalRow.key == key))
    if known is not None:
        return known
    row = CriticalRow(reading_pk=reading.id, key=key, finding=finding, raised_by=by, raised_at=now)
    session.add(row)
    session.flush()
    return row


def attempt(
    session: Session, critical: CriticalRow, *, whom: str, how: str, outcome: str, note: str = "", login: str,
    now: datetime,
) -> AttemptRow:  # fmt: skip
    """Note an attempt.

    Raises:
        StoreError: no such outcome, nobody named, or withdrawn without a reason.
    """
    if outcome not in OUTCOMES:
        raise StoreError(f"critical result: the outcome is one of {', '.join(OUTCOMES)}")
    if outcome == "withdrawn":
        if not note.strip():
            raise StoreError("critical result: say in a note why it is withdrawn")
    elif not whom.strip() or not how.strip():
        raise StoreError("critical result: say whom you tried to tell, and how")
    row = AttemptRow(
        critical_pk=critical.id, whom=whom.strip()[:256], how=how.strip()[:64], outcome=outcome, note=note.strip(),
        login=login, at=now,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def of(session: Session, reading: ReadingRow) -> list[tuple[CriticalRow, list[AttemptRow]]]:
    """A study's critical results with their attempts."""
    query = select(CriticalRow).where(CriticalRow.reading_pk == reading.id).order_by(CriticalRow.id)
    rows = list(session.scalars(query))
    tried: dict[int, list[AttemptRow]] = {row.id: [] for row in rows}
    if rows:
        made = select(AttemptRow).where(AttemptRow.critical_pk.in_(tried)).order_by(AttemptRow.id)
        for each in session.scalars(made):
            tried[each.critical_pk].append(each)
    return [(row, tried[row.id]) for row in rows]


def attempts(session: Session, critical: CriticalRow) -> list[AttemptRow]:
    """The attempts to tell of a result, the first first."""
    query = select(AttemptRow).where(AttemptRow.critical_pk == critical.id).order_by(AttemptRow.id)
    return list(session.scalars(query))


def is_open(tried: Sequence[AttemptRow]) -> bool:
    """Return whether nobody has read it back yet, and nobody withdrew it."""
    return not any(each.outcome in ENDS for each in tried)


def open_counts(session: Session, study_uids: Collection[str]) -> dict[str, int]:
    """Count the open critical results of each study that has one."""
    if not study_uids:
        return {}
    ended = select(AttemptRow.critical_pk).where(AttemptRow.outcome.in_(ENDS))
    query = (
        select(ReadingRow.study_uid, func.count())
        .join(CriticalRow, CriticalRow.reading_pk == ReadingRow.id)
        .where(ReadingRow.study_uid.in_(study_uids), CriticalRow.id.not_in(ended))
        .group_by(ReadingRow.study_uid)
    )
    return {uid: count for uid, count in session.execute(query)}


def open_ones(session: Session) -> list[tuple[CriticalRow, str]]:
    """All that are open, the oldest first, with their Study Instance UIDs."""
    ended = select(AttemptRow.critical_pk).where(AttemptRow.outcome.in_(ENDS))
    query = (
        select(CriticalRow, ReadingRow.study_uid)
        .join(ReadingRow, ReadingRow.id == CriticalRow.reading_pk)
        .where(CriticalRow.id.not_in(ended))
        .order_by(CriticalRow.raised_at)
    )
    return [(row, uid) for row, uid in session.execute(query)]
