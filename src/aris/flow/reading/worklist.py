"""The worklist: studies by priority, each with the reason for its place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aris.flow.house import House
from aris.flow.priority import reason_in_words
from aris.flow.reading.ages import ages
from aris.store.reading import readings
from aris.store.reading.readings import OPEN, ListQuery

URGENCIES = {0: "routine", 1: "urgent", 2: "stat"}


@dataclass(frozen=True)
class Entry:
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
        return {**self.__dict__, "modalities": list(self.modalities), "arrived_at": self.arrived_at.isoformat()}


@dataclass(frozen=True)
class Page:
    """Lines of the worklist, and how many there are in all."""

    entries: list[Entry]
    total: int


def worklist(house: House, query: ListQuery | None = None, now: datetime | None = None) -> Page:
    """A page of the worklist.

    Raises:
        StoreError: it cannot be read, or sorted so.
    """
    now = now or datetime.now(UTC)
    with house.store.sessions.reading() as session:
        rows, total = readings.listed(session, query or ListQuery(), now)
        kinds = readings.modalities(session, [study.id for _, study, _ in rows])
        old = ages(house, session, [study for _, study, _ in rows])
        entries = [
            Entry(
                study=study.uid, state=reading.state, urgency=URGENCIES[reading.urgency], concern=reading.concern,
                assessed=reading.assessed,
                reason=reason_in_words(reading.urgency, reading.reason, reading.arrived_at, reading.due_at, now,
                                       waits=reading.state in OPEN),
                patient_id=study.patient_id, patient_name=study.patient_name, birth_date=study.birth_date,
                sex=study.sex, age=old[study.id], accession=study.accession, date=study.date, time=study.time,
                description=study.description, modalities=tuple(kinds.get(study.id, ())), images=reading.images,
                arrived_at=reading.arrived_at, opened_by=reading.opened_by, notice=reading.notice,
            )
            for reading, study, _ in rows
        ]  # fmt: skip
    return Page(entries, total)
