"""The journal: what happens to studies, as the audit trail tells it, for whoever shows it live.

One look at the database serves all listeners. An event is known by its number in the audit trail, so that whoever was
cut off goes on exactly where he was. How far drafts are is told besides, without a number.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from aris.errors import ArisError
from aris.flow.arrival import DRAFT
from aris.flow.house import House
from aris.store.reading.lasting_tables import AuditRow
from aris.store.reading.tables import JobRow

log = logging.getLogger("aris.flow")
# Looking changes nothing, and telling of it would make pages look again.
ACTIONS = frozenset([
    "arrive", "settle", "draft", "outside report", "open", "close", "edit", "measure", "unmeasure", "judge", "critical",
    "tell", "sign", "addendum", "acknowledge", "deliver", "resolve", "upload", "regenerate", "order",
    "find priors", "fetch", "fetched",
])  # fmt: skip
# What happens to a record's alarms, told besides: its subject is "record N".
ALARM_ACTIONS = frozenset([
    "alarm", "alarm ended", "acknowledge alarm", "snooze alarm", "close alarm", "reopen alarm", "upload record",
    "remove record",
])  # fmt: skip
# Of intakes, whose name is the subject.
INTAKES = frozenset([
    "make intake link", "renew intake link", "revoke intake", "begin intake", "end intake", "decline intake",
    "expire intake", "see intake", "acknowledge intake",
])  # fmt: skip
POLL_S = 1.0
# After an error of the database.
_PAUSE_S = 5.0
_PAGE = 500
# A listener that is so far behind is ended: he comes again and is told from where he was.
_BEHIND = 2000
Progress = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class Happened:
    """An event of a study; `number` is the audit trail's."""

    number: int
    study: str
    action: str
    user: str
    at: str
    outcome: str


@dataclass(frozen=True)
class Alarmed:
    """An event of a record's alarms; `number` is the audit trail's, `record` the record's."""

    number: int
    record: int
    action: str
    user: str
    at: str


@dataclass(frozen=True)
class Progressed:
    """Progress of a study's draft."""

    study: str
    state: Progress
    text: str | None = None


@dataclass(frozen=True)
class Asked:
    """An event of an intake; `number` is the audit trail's, `level` of one that has ended, else ""."""

    number: int
    intake: str
    action: str
    user: str
    at: str
    level: str


Event = Happened | Alarmed | Progressed | Asked


class Listener:
    """Somebody who is told what happens, until `end` or the journal's end. Used in one event loop."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._queue: asyncio.Queue[Any] = asyncio.Queue(_BEHIND)
        self._ended = False

    def end(self) -> None:
        """Tell nothing more, not even what waits."""
        self._ended = True
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    def put(self, event: Any) -> None:
        """Have an event told, or whatever else the listeners know; one that is too far behind is ended."""
        if self._queue.full():
            self.end()
        elif not self._ended:
            self._queue.put_nowait(event)

    async def events(self, after: int | None = None) -> AsyncGenerator[int | Event]:
        """Tell what happens from now on, or after an event.

        Args:
            after: the number of the last event that is known; None to begin with the next one.

        Yields:
            first the number from which on it tells, then events in their order, none twice and none left out.
        """
        head = await self._journal.add(self)
        try:
            known = head if after is None or after > head else max(after, 0)
            if not self._ended:
                yield known
            while known < head and not self._ended:
                rows = await asyncio.to_thread(self._journal.rows, known, head)
                for row in rows:
                    if (event := _happened(row) or _alarmed(row) or _asked(row)) is not None and not self._ended:
                        yield event
                known = rows[-1].number if rows else head
            while (told := await self._queue.get()) is not None:
                yield told
        finally:
            self._journal.remove(self)


class Journal:
    """Tells listeners of one event loop what happens in a house.

    Args:
        poll_s: seconds between two looks, while there is a listener.
        looked: is called in the loop after each look with all that it found of the audit trail.
    """

    def __init__(
        self, house: House, poll_s: float = POLL_S, looked: Callable[[Sequence[AuditRow]], None] = lambda _: None
    ) -> None:
        self._house = house
        self._poll_s = poll_s
        self._looked = looked
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._head = 0
        self._running: frozenset[str] = frozenset()
        self._closed = False
        self._starting = asyncio.Lock()

    @property
    def listeners(self) -> int:
        """The number of listeners."""
        return len(self._listeners)

    async def add(self, listener: Listener) -> int:
        """Tell a listener what comes after an event, whose number is returned."""
        async with self._starting:
            if self._task is None:
                self._head, self._running = await asyncio.to_thread(self._position)
                self._task = asyncio.create_task(self._watch())
            if self._closed:
                listener.end()
            self._listeners.add(listener)
            return self._head

    def remove(self, listener: Listener) -> None:
        """Tell a listener nothing more; without any there are no looks."""
        self._listeners.discard(listener)
        if not self._listeners and self._task is not None:
            self._task.cancel()
            self._task = None

    def tell(self, progress: Progressed) -> None:
        """Tell all listeners of a draft's progress. Call it in the event loop."""
        for each in list(self._listeners):
            each.put(progress)

    def end(self) -> None:
        """End all listeners; new ones are ended at once. Call it in the event loop."""
        self._closed = True
        for each in list(self._listeners):
            each.end()

    async def _watch(self) -> None:
        while True:
            pause = self._poll_s
            try:
                rows, running = await asyncio.to_thread(self._news)
                for row in rows:
                    self._head = row.number
                    for event in _events(row):
                        for each in list(self._listeners):
                            each.put(event)
                for study in running - self._running:
                    self.tell(Progressed(study, "running"))
                self._running = running
                self._looked(rows)
                if len(rows) == _PAGE:
                    continue
            except ArisError as error:
                log.error("live events wait: %s", error)
                pause = _PAUSE_S
            except Exception as error:
                log.error("live events wait: a defect (%s)", type(error).__name__)
                pause = _PAUSE_S
            await asyncio.sleep(pause)

    def _position(self) -> tuple[int, frozenset[str]]:
        with self._house.store.sessions.reading() as session:
            return session.scalar(select(func.max(AuditRow.number))) or 0, _running(session)

    def _news(self) -> tuple[list[AuditRow], frozenset[str]]:
        with self._house.store.sessions.reading() as session:
            return _after(session, self._head), _running(session)

    def rows(self, after: int, up_to: int) -> list[AuditRow]:
        """Events of the audit trail after one and up to another, some hundreds at most; in a thread."""
        with self._house.store.sessions.reading() as session:
            return [each for each in _after(session, after) if each.number <= up_to]


def _after(session: Session, number: int) -> list[AuditRow]:
    query = select(AuditRow).where(AuditRow.number > number).order_by(AuditRow.number).limit(_PAGE)
    rows = list(session.scalars(query))
    session.expunge_all()
    return rows


def _running(session: Session) -> frozenset[str]:
    query = select(JobRow.study_uid).where(JobRow.state == "running", JobRow.kind == DRAFT)
    return frozenset(session.scalars(query))


def _alarmed(row: AuditRow) -> Alarmed | None:
    number = row.subject.removeprefix("record ")
    if row.action not in ALARM_ACTIONS or not number.isdigit() or row.outcome in ("denied", "refused"):
        return None
    return Alarmed(row.number, int(number), row.action, row.actor, row.at)


def _happened(row: AuditRow) -> Happened | None:
    if row.action not in ACTIONS or not row.subject or row.outcome in ("denied", "refused"):
        return None
    return Happened(row.number, row.subject, row.action, row.actor, row.at, row.outcome)


def _asked(row: AuditRow) -> Asked | None:
    if row.action not in INTAKES or not row.subject or row.outcome in ("denied", "refused"):
        return None
    return Asked(row.number, row.subject, row.action, row.actor, row.at, str(row.detail.get("level", "")))


def _events(row: AuditRow) -> list[Event]:
    made: list[Event] = []
    if (asked := _asked(row)) is not None:
        made.append(asked)
    if (happened := _happened(row)) is None:
        return made if (alarmed := _alarmed(row)) is None else [alarmed]
    made.append(happened)
    states: dict[str, Progress] = {"settle": "waiting", "draft": "failed" if row.outcome == "failed" else "done"}
    if (state := states.get(row.action)) is not None:
        made.append(Progressed(row.subject, state))
    return made

