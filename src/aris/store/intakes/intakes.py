"""Intakes: made with a one-time link, changed by the patient a turn at a time, listed by level and waiting."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Select, delete, func, or_, select
from sqlalchemy.orm import Session

from aris.store.intakes.tables import IntakeMarkRow, IntakeRow

View = Literal["to see", "running", "seen", "without answers"]
RUNNING = ("waiting", "consent", "asking")
ENDED = ("finished", "emergency", "unfinished")
# Nothing that was answered is kept of these.
WITHOUT = ("declined", "expired", "revoked")
SEEN, ACKNOWLEDGED = "seen", "acknowledged"
# So long a line says that a link was not used, was declined or taken back.
_FORGET = timedelta(days=30)
_TICKET = re.compile(r"([A-Za-z0-9_-]{16})\.([A-Za-z0-9_-]{20,64})\Z")


@dataclass(frozen=True)
class Who:
    """The patient as the clinic names him; dates as DICOM has them (20260131)."""

    patient_id: str = ""
    issuer: str = ""
    patient_name: str = ""
    birth_date: str = ""
    sex: str = ""


def add(session: Session, who: Who, *, note: str, login: str, now: datetime, lasts: timedelta) -> tuple[IntakeRow, str]:
    """Make an intake; also returns the ticket of its one-time link."""
    row = IntakeRow(
        name=secrets.token_urlsafe(12), **who.__dict__, note=note, made_by=login, made_at=now, expires_at=now + lasts,
        changed_at=now, ended_at=None, status="waiting", rank=0, turn=0, asked=0, complaint="", reason="", state=None,
        result=None, link=None, patient=None,
    )  # fmt: skip
    session.add(row)
    ticket = give_link(row, now, lasts)
    session.flush()
    return row, ticket


def give_link(row: IntakeRow, now: datetime, lasts: timedelta) -> str:
    """Give an intake a new one-time link, whose ticket is returned; an older one opens nothing any longer."""
    secret = secrets.token_urlsafe(32)
    row.link, row.expires_at, row.changed_at = digest(secret), now + lasts, now
    return f"{row.name}.{secret}"


def digest(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def by_ticket(
    session: Session, ticket: str, kind: Literal["link", "patient"], now: datetime, *, lock: bool = False
) -> IntakeRow | None:
    """The running intake that a link's or a patient's ticket opens; None if it opens none, or its time is over.

    A patient's ticket opens an intake that has ended, too, until its time is over: the last page stays readable.
    """
    found = _TICKET.match(ticket)
    row = None if found is None else get(session, found[1], lock=lock)
    if found is None or row is None or row.expires_at <= now:
        return None
    wanted = row.link if kind == "link" else row.patient
    if wanted is None or not hmac.compare_digest(wanted, digest(found[2])):
        return None
    return row if row.status in RUNNING or (kind == "patient" and row.status in ENDED) else None


def get(session: Session, name: str, *, lock: bool = False) -> IntakeRow | None:
    """An intake by its name."""
    query = select(IntakeRow).where(IntakeRow.name == name)
    return session.scalar(query.with_for_update() if lock else query)


def end_without(row: IntakeRow, status: str, now: datetime) -> None:
    """End an intake of which no answer is kept."""
    row.status, row.state, row.result = status, None, None
    row.rank, row.asked, row.complaint, row.reason = 0, 0, "", ""
    row.link = row.patient = None
    row.changed_at = row.ended_at = now


def due(session: Session, now: datetime) -> list[str]:
    """The names of running intakes whose time is over."""
    over = (IntakeRow.status.in_(RUNNING), IntakeRow.expires_at <= now)
    return list(session.scalars(select(IntakeRow.name).where(*over)))


def forgotten(session: Session, now: datetime) -> list[int]:
    """The numbers of intakes of which nothing came long ago."""
    old = (IntakeRow.status.in_(WITHOUT), IntakeRow.changed_at < now - _FORGET)
    return list(session.scalars(select(IntakeRow.id).where(*old)))


def remove(session: Session, numbers: Sequence[int]) -> None:
    """Remove intakes with their marks."""
    if not numbers:
        return
    session.execute(delete(IntakeMarkRow).where(IntakeMarkRow.intake_pk.in_(numbers)))
    session.execute(delete(IntakeRow).where(IntakeRow.id.in_(numbers)))


def _marked(kind: str) -> Any:
    return select(IntakeMarkRow.id).where(IntakeMarkRow.intake_pk == IntakeRow.id, IntakeMarkRow.kind == kind).exists()


def _settled() -> Any:
    """Somebody has seen it; an emergency was acknowledged, too."""
    return _marked(SEEN) & ((IntakeRow.status != "emergency") | _marked(ACKNOWLEDGED))


def _in_view(query: Select[Any], view: View) -> Select[Any]:
    if view == "running":
        return query.where(IntakeRow.status.in_(RUNNING))
    if view == "without answers":
        return query.where(IntakeRow.status.in_(WITHOUT))
    return query.where(IntakeRow.status.in_(ENDED), _settled() if view == "seen" else ~_settled())


def listed(
    session: Session, views: Iterable[View], *, who: Who | None = None, limit: int = 200, offset: int = 0
) -> tuple[list[IntakeRow], int]:
    """Intakes by level, then by how long they wait; and how many there are in all.

    Args:
        who: those of one patient: with the same number, and nothing that says that it is somebody else's.
    """
    wanted = [_in_view(select(IntakeRow.id), view) for view in dict.fromkeys(views)]
    query = select(IntakeRow).where(or_(*[IntakeRow.id.in_(each) for each in wanted]))
    if who is not None:
        query = query.where(IntakeRow.patient_id == who.patient_id, *_agrees(who))
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    since = func.coalesce(IntakeRow.ended_at, IntakeRow.made_at)
    rows = session.scalars(query.order_by(IntakeRow.rank.desc(), since, IntakeRow.id).limit(limit).offset(offset))
    return list(rows), total


def _agrees(who: Who) -> list[Any]:
    return [
        or_(getattr(IntakeRow, name) == "", getattr(IntakeRow, name) == value)
        for name, value in (("issuer", who.issuer), ("birth_date", who.birth_date))
        if value
    ]


def counts(session: Session) -> dict[View, int]:
    """Count the intakes of each view."""
    views: tuple[View, ...] = ("to see", "running", "seen", "without answers")
    return {
        view: session.scalar(select(func.count()).select_from(_in_view(select(IntakeRow.id), view).subquery())) or 0
        for view in views
    }


def emergencies(session: Session) -> list[IntakeRow]:
    """The emergencies that nobody has acknowledged, the oldest first."""
    query = select(IntakeRow).where(IntakeRow.status == "emergency", ~_marked(ACKNOWLEDGED))
    return list(session.scalars(query.order_by(IntakeRow.ended_at)))


def newest_of(session: Session, numbers: Iterable[str]) -> dict[str, list[IntakeRow]]:
    """The ended intakes of patients by their number, the newest first; one query whatever their count."""
    wanted = sorted({each for each in numbers if each})
    found: dict[str, list[IntakeRow]] = {}
    if wanted:
        query = select(IntakeRow).where(IntakeRow.patient_id.in_(wanted), IntakeRow.status.in_(ENDED))
        for row in session.scalars(query.order_by(IntakeRow.ended_at.desc())):
            found.setdefault(row.patient_id, []).append(row)
    return found


def mark(
    session: Session, row: IntakeRow, kind: str, login: str, now: datetime, *, how: str = "", note: str = ""
) -> bool:
    """Set a person's mark; False where that person has set it before."""
    known = select(IntakeMarkRow.id).where(
        IntakeMarkRow.intake_pk == row.id, IntakeMarkRow.kind == kind, IntakeMarkRow.login == login
    )
    if session.scalar(known) is not None:
        return False
    session.add(IntakeMarkRow(intake_pk=row.id, kind=kind, how=how, note=note, login=login, at=now))
    row.changed_at = now
    session.flush()
    return True


def marks_of(session: Session, rows: Iterable[IntakeRow]) -> dict[int, list[IntakeMarkRow]]:
    """The marks of intakes by their number, the first first."""
    wanted = [row.id for row in rows]
    found: dict[int, list[IntakeMarkRow]] = {}
    if wanted:
        query = select(IntakeMarkRow).where(IntakeMarkRow.intake_pk.in_(wanted)).order_by(IntakeMarkRow.id)
        for each in session.scalars(query):
            found.setdefault(each.intake_pk, []).append(each)
    return found
