"""The worklist: studies by priority, each with the reason for its place."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Row
from sqlalchemy.orm import Session

from aris.flow.house import House
from aris.flow.priority import reason_in_words
from aris.flow.reading.ages import ages
from aris.store.reading import listing
from aris.store.reading.listing import ListQuery
from aris.store.reading.readings import OPEN, State

URGENCIES = {0: "routine", 1: "urgent", 2: "stat"}


class Entry(NamedTuple):
    """A line of the worklist.

    Attributes:
        study: Study Instance UID.
        state: of its reading.
        urgency: of its order; concern: 0 to 3, of its draft's findings; assessed: whether there were any to look for.
        reason: why it stands where it does, in words.
        opened_by: who has it open; "" if nobody.
        age: as DICOM's AS (057Y); "" where it is not known.
        notice: what a reader must know, as images after the signature.
    """

    study: str
    state: str
    urgency: str
    concern: int
    assessed: bool
    reason: str
    patient_id: str
    patient_name: str
    birth_date: str
    sex: str
    age: str
    accession: str
    date: str
    time: str
    description: str
    modalities: tuple[str, ...]
    images: int
    arrived_at: datetime
    opened_by: str
    notice: str

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {**self._asdict(), "modalities": list(self.modalities), "arrived_at": self.arrived_at.isoformat()}


@dataclass(frozen=True)
class Page:
    """Lines of the worklist, how many there are in all, and how many studies are in each state."""

    entries: list[Entry]
    total: int
    counts: dict[State, int]


def worklist(house: House, query: ListQuery | None = None, now: datetime | None = None) -> Page:
    """A page of the worklist.

    Raises:
        StoreError: it cannot be read, or sorted so.
    """
    now = now or datetime.now(UTC)
    with house.store.sessions.reading() as session:
        found = listing.listed(session, query or ListQuery(), now)
        return Page(_entries(house, session, found.rows, now), found.total, found.counts)


def entries_of(house: House, studies: Collection[str], now: datetime) -> list[Entry]:
    """The lines of studies as they are now, in no order; of those that are in no list none.

    Raises:
        StoreError: they cannot be read.
    """
    with house.store.sessions.reading() as session:
        return _entries(house, session, listing.rows_of(session, studies), now)


@lru_cache(maxsize=1 << 12)
def _kinds(joined: str) -> tuple[str, ...]:
    return tuple(sorted({each for each in joined.split(",") if each}))


def _entries(house: House, session: Session, rows: Sequence[Row[Any]], now: datetime) -> list[Entry]:
    old = ages(house, session, [(row.id, row.birth_date, row.date) for row in rows])
    return [
        Entry(
            study=row.uid, state=row.state, urgency=URGENCIES[row.urgency], concern=row.concern,
            assessed=row.assessed,
            reason=reason_in_words(row.urgency, row.reason, row.arrived_at, row.due_at, now,
                                   waits=row.state in OPEN),
            patient_id=row.patient_id, patient_name=row.patient_name, birth_date=row.birth_date,
            sex=row.sex, age=old[row.id], accession=row.accession, date=row.date, time=row.time,
            description=row.description, modalities=_kinds(row.kinds or ""), images=row.images,
            arrived_at=row.arrived_at, opened_by=row.opened_by, notice=row.notice,
        )
        for row in rows
    ]  # fmt: skip
