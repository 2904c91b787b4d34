"""Answers of patients: a one-time link is used up, and the conversation goes on a turn at a time.

Nothing holds the database while an answer is read: the state is changed first, and kept if nobody was quicker.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session

from aris.errors import ConflictError, DataError
from aris.flow.house import House
from aris.flow.intakes.results import headline, partial_result, result_of
from aris.store.intakes import intakes
from aris.store.intakes.intakes import Who
from aris.store.intakes.tables import IntakeRow
from aris.store.reading.audit import SYSTEM
from aris.tasks.intake import LEVELS, IntakeState, resume, start

PATIENT = "(patient)"
# Whoever opens a link at the last moment still has time to answer.
_LEAST = timedelta(hours=2)
_TRIES = 5


class OutdatedError(DataError):
    """The conversation was begun with another version of the questions; what was answered is kept for the clinic."""


@dataclass(frozen=True)
class PatientIntake:
    """An intake as its patient has it open."""

    name: str
    state: IntakeState


@dataclass(frozen=True)
class OpenedIntake:
    """An intake that a link has opened, with the secret that opens it from now on."""

    session: PatientIntake
    secret: str


class Answering:
    """The patients' side of a house's intakes.

    Args:
        clock: tells the time.
    """

    def __init__(self, house: House, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._house, self._clock = house, clock

    def usable(self, ticket: str) -> bool:
        """Return whether a link can still be used; asking uses nothing up."""
        with self._house.store.sessions.reading() as session:
            return intakes.by_ticket(session, ticket, "link", self._clock()) is not None

    def redeem(self, ticket: str) -> OpenedIntake | None:
        """Use a link up; None if it is none, was used, or its time is over."""

        def work(session: Session) -> OpenedIntake | None:
            now = self._clock()
            row = intakes.by_ticket(session, ticket, "link", now, lock=True)
            if row is None:
                return None
            secret = intakes.give_link(row, now, max(row.expires_at - now, _LEAST)).partition(".")[2]
            row.patient, row.link = row.link, None
            if row.state is None:
                row.state, row.status = start().model_dump(mode="json"), "consent"
                row.turn += 1
            self._house.trail.add(session, PATIENT, "begin intake", row.name, now=now)
            return OpenedIntake(PatientIntake(row.name, start()), f"{row.name}.{secret}")

        return self._house.store.sessions.write(work)

    def of_patient(self, ticket: str) -> PatientIntake | None:
        """Return the intake that a patient's secret opens; None if it is wrong, or its time is over.

        Raises:
            OutdatedError: this version cannot go on with it.
        """
        row = self._row(ticket)
        return None if row is None else PatientIntake(row.name, self._state(row))

    def update(self, ticket: str, change: Callable[[IntakeState], IntakeState]) -> PatientIntake | None:
        """Change a patient's intake; None as for `of_patient`. Of a declined one nothing is kept.

        Raises:
            OutdatedError: as `of_patient`.
            ConflictError: others change it all the time.
        """
        for _ in range(_TRIES):
            row = self._row(ticket)
            if row is None:
                return None
            before = self._state(row)
            after = change(before)
            if after == before:
                return PatientIntake(row.name, after)
            # Made before the transaction: it takes a while.
            values = self._values(row, after)
            if self._house.store.sessions.write(partial(self._keep, ticket=ticket, turn=row.turn, values=values)):
                return PatientIntake(row.name, after)
        raise ConflictError("intake: answers come from several places at once; try again")

    def _row(self, ticket: str) -> IntakeRow | None:
        with self._house.store.sessions.reading() as session:
            return intakes.by_ticket(session, ticket, "patient", self._clock())

    def _state(self, row: IntakeRow) -> IntakeState:
        """The row's conversation; one of another version is ended, and what was answered stays for the clinic."""
        if row.status == "unfinished":
            raise OutdatedError("intake: it has ended")
        try:
            if row.status in intakes.ENDED:  # what is told at the end needs no question of this version
                return IntakeState.model_validate(row.state)
            return resume(json.dumps(row.state))
        except (DataError, ValidationError) as error:
            if row.status in intakes.RUNNING:
                self._house.store.sessions.write(lambda session: leave(session, self._house, row.name, self._clock()))
            raise OutdatedError(str(error)) from None

    def _values(self, row: IntakeRow, state: IntakeState) -> dict[str, Any]:
        if state.status == "declined":
            return {"status": "declined"}
        rank, complaint, reason = headline(state)
        values: dict[str, Any] = {
            "status": state.status, "state": state.model_dump(mode="json"), "rank": rank, "complaint": complaint,
            "reason": reason, "asked": state.asked,
        }  # fmt: skip
        if state.status in intakes.ENDED:
            now = self._clock()
            try:
                result = result_of(state, self._house.settings.intake, who_of(row), row.name, now)
            except Exception:  # an emergency reaches the clinic, whatever its summary lacks
                result = partial_result(values["state"])
            values |= {"ended_at": now, "link": None, "result": result}
        return values

    def _keep(self, session: Session, ticket: str, turn: int, values: dict[str, Any]) -> bool:
        now = self._clock()
        row = intakes.by_ticket(session, ticket, "patient", now, lock=True)
        if row is None or row.turn != turn:
            return False
        trail = self._house.trail
        if values["status"] == "declined":
            intakes.end_without(row, "declined", now)
            trail.add(session, PATIENT, "decline intake", row.name, now=now)
            return True
        for name, value in values.items():
            setattr(row, name, value)
        row.turn, row.changed_at = turn + 1, now
        if row.status in intakes.ENDED:
            trail.add(session, PATIENT, "end intake", row.name, now=now, status=row.status, level=LEVELS[row.rank])
        return True


def who_of(row: IntakeRow) -> Who:
    """The patient that the clinic named."""
    return Who(row.patient_id, row.issuer, row.patient_name, row.birth_date, row.sex)


def leave(session: Session, house: House, name: str, now: datetime, *, expired: bool = False) -> None:
    """End a running intake that does not go on: what was answered since the consent stays for the clinic.

    Args:
        expired: only if its time is over; it may have been given more meanwhile.
    """
    row = intakes.get(session, name, lock=True)
    if row is None or row.status not in intakes.RUNNING or (expired and row.expires_at > now):
        return
    if row.status != "asking":
        intakes.end_without(row, "expired", now)
        house.trail.add(session, SYSTEM, "expire intake", name, now=now)
        return
    try:
        result = result_of(resume(json.dumps(row.state)), house.settings.intake, who_of(row), name, now)
    except DataError:
        result = partial_result(row.state)
    row.status, row.result, row.link = "unfinished", result, None
    row.ended_at = row.changed_at = now
    house.trail.add(session, SYSTEM, "end intake", name, now=now, status="unfinished", level=LEVELS[row.rank])


def tidy(house: House, now: datetime) -> int:
    """End the intakes whose time is over, and forget links of which nothing came; returns how many ended."""
    with house.store.sessions.reading() as session:
        due = intakes.due(session, now)
        old = intakes.forgotten(session, now)
    if not due and not old:
        return 0

    def work(session: Session) -> int:
        for name in due:
            leave(session, house, name, now, expired=True)
        intakes.remove(session, old)
        return len(due)

    return house.store.sessions.write(work)
