"""The clinic's side of intakes: links made, renewed and taken back; results seen; emergencies acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from sqlalchemy.orm import Session

from aris.errors import ConflictError, NotFoundError, StoreError
from aris.flow.house import House
from aris.store.intakes import intakes
from aris.store.intakes.intakes import Who
from aris.store.intakes.tables import IntakeRow
from aris.store.reading import users
from aris.store.reading.users import PermissionDeniedError

T = TypeVar("T")
# What a person did about an emergency.
HOW = ("patient called", "ambulance called", "patient is here", "handed over", "other")


class Desk:
    """Acts of persons on intakes. Each is checked and audited.

    Args:
        clock: tells the time.
    """

    def __init__(self, house: House, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._house, self._clock = house, clock

    def make(self, login: str, who: Who, *, note: str = "", hours: float | None = None) -> tuple[IntakeRow, str]:
        """Make an intake for a patient; also returns the ticket of its one-time link, which is kept nowhere.

        Raises:
            PermissionDeniedError: the user is no reader.
            StoreError: nobody is named.
        """
        if not who.patient_id.strip() and not who.patient_name.strip("^ "):
            raise StoreError("intake: name the patient, by an ID or a name")

        def work(session: Session) -> tuple[IntakeRow, str]:
            row, ticket = intakes.add(
                session, who, note=note, login=login, now=self._clock(), lasts=self._lasts(hours)
            )
            self._told(session, login, "make intake link", row)
            return row, ticket

        return self._do(login, "make intake link", "", work)

    def renew(self, login: str, name: str, *, hours: float | None = None) -> tuple[IntakeRow, str]:
        """Give a running intake a new link, by which it goes on at the same question; older links and phones are out.

        Raises:
            ConflictError: it has ended.
        """

        def work(session: Session) -> tuple[IntakeRow, str]:
            row = _running(session, name)
            ticket = intakes.give_link(row, self._clock(), self._lasts(hours))
            row.patient = None
            self._told(session, login, "renew intake link", row)
            return row, ticket

        return self._do(login, "renew intake link", name, work)

    def revoke(self, login: str, name: str) -> IntakeRow:
        """Take a running intake back: its link and its patient's phone open nothing, and no answer is kept.

        Raises:
            ConflictError: it has ended.
        """

        def work(session: Session) -> IntakeRow:
            row = _running(session, name)
            intakes.end_without(row, "revoked", self._clock())
            self._told(session, login, "revoke intake", row)
            return row

        return self._do(login, "revoke intake", name, work)

    def see(self, login: str, name: str) -> IntakeRow:
        """Mark an ended intake as seen by a reader.

        Raises:
            ConflictError: it has not ended, or nothing was answered.
        """

        def work(session: Session) -> IntakeRow:
            row = _ended(session, name)
            if intakes.mark(session, row, intakes.SEEN, login, self._clock()):
                self._told(session, login, "see intake", row)
            return row

        return self._do(login, "see intake", name, work)

    def acknowledge(self, login: str, name: str, *, how: str, note: str = "") -> IntakeRow:
        """Acknowledge an emergency, with what was done about it; it is seen by this.

        Raises:
            ConflictError: it is no emergency, or somebody was quicker.
            StoreError: it is not said what was done.
        """
        if how not in HOW:
            raise StoreError(f"emergency: say what was done, one of {', '.join(HOW)}")
        if how == "other" and not note.strip():
            raise StoreError("emergency: say in a note what was done")

        def work(session: Session) -> IntakeRow:
            row = _ended(session, name)
            if row.status != "emergency":
                raise ConflictError("intake: this is no emergency")
            if any(each.kind == intakes.ACKNOWLEDGED for each in intakes.marks_of(session, [row]).get(row.id, [])):
                raise ConflictError("intake: somebody has acknowledged this emergency already")
            intakes.mark(session, row, intakes.ACKNOWLEDGED, login, self._clock(), how=how, note=note.strip())
            intakes.mark(session, row, intakes.SEEN, login, self._clock())
            self._house.trail.add(session, login, "acknowledge intake", row.name, now=self._clock(), how=how)
            return row

        return self._do(login, "acknowledge intake", name, work)

    def _lasts(self, hours: float | None) -> timedelta:
        return timedelta(hours=self._house.settings.intake.link_hours if hours is None else hours)

    def _told(self, session: Session, login: str, action: str, row: IntakeRow) -> None:
        self._house.trail.add(session, login, action, row.name, now=self._clock())

    def _do(self, login: str, action: str, name: str, work: Callable[[Session], T]) -> T:
        def checked(session: Session) -> T:
            users.require(session, login).require("reader")
            return work(session)

        sessions, trail = self._house.store.sessions, self._house.trail
        try:
            return sessions.write(checked)
        except PermissionDeniedError:
            sessions.write(lambda session: trail.add(session, login, action, name, outcome="denied"))
            raise


def _running(session: Session, name: str) -> IntakeRow:
    row = _found(session, name)
    if row.status not in intakes.RUNNING:
        raise ConflictError("intake: it has ended; make a new one")
    return row


def _ended(session: Session, name: str) -> IntakeRow:
    row = _found(session, name)
    if row.status not in intakes.ENDED:
        raise ConflictError("intake: there is nothing to be seen yet")
    return row


def _found(session: Session, name: str) -> IntakeRow:
    row = intakes.get(session, name, lock=True)
    if row is None:
        raise NotFoundError("no such intake")
    return row
