"""Web sessions: a random secret in a cookie, its SHA-256 in the database, two limits in time."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from aris.store.reading.access.tables import WebSessionRow
from aris.store.reading.lasting_tables import UserRow
from aris.store.reading.users import User

# How often it is written down that a session is used.
_NOTED = timedelta(seconds=60)


@dataclass(frozen=True)
class WebSession:
    """A session that holds, and its user.

    Attributes:
        number: of its row.
        ends_at: when it ends, used or not.
        due: whether it is time to note that it is used (`touch`).
    """

    number: int
    user: User
    method: str
    ends_at: datetime
    proved_at: datetime | None
    due: bool


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a secret, which has all its entropy itself and needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def begin(session: Session, login: str, method: str, now: datetime, lasts: timedelta) -> str:
    """Begin a session for a user, and end those that are over; return its secret, 256 bits as 43 characters."""
    session.execute(delete(WebSessionRow).where(WebSessionRow.expires_at <= now))
    user = session.execute(select(UserRow.id, UserRow.changed_at).where(UserRow.login == login)).one()
    secret = secrets.token_urlsafe(32)
    session.add(
        WebSessionRow(
            digest=digest_of(secret), user_pk=user.id, user_stamp=user.changed_at, method=method, created_at=now,
            seen_at=now, expires_at=now + lasts, proved_at=None,
        )
    )  # fmt: skip
    session.flush()
    return secret


def find(session: Session, secret: str, now: datetime, idle: timedelta) -> WebSession | None:
    """The session of a secret; None if there is none, it is over, or its user was changed or may no longer act."""
    found = session.execute(
        select(WebSessionRow, UserRow)
        .join(UserRow, UserRow.id == WebSessionRow.user_pk)
        .where(WebSessionRow.digest == digest_of(secret))
    ).one_or_none()
    if found is None:
        return None
    row, user = found
    over = row.expires_at <= now or row.seen_at + idle <= now
    if over or not user.active or user.changed_at != row.user_stamp:
        return None
    return WebSession(
        row.id, User.of(user), row.method, row.expires_at, row.proved_at, now - row.seen_at >= min(_NOTED, idle / 4)
    )


def touch(session: Session, number: int, now: datetime) -> None:
    """Note that a session is used."""
    session.execute(update(WebSessionRow).where(WebSessionRow.id == number).values(seen_at=now))


def end(session: Session, number: int) -> None:
    """End a session."""
    session.execute(delete(WebSessionRow).where(WebSessionRow.id == number))


def end_all(session: Session, login: str) -> int:
    """End a user's sessions; return how many."""
    whose = select(UserRow.id).where(UserRow.login == login).scalar_subquery()
    return session.execute(delete(WebSessionRow).where(WebSessionRow.user_pk == whose)).rowcount  # type: ignore[attr-defined]


def present(session: Session, now: datetime, idle: timedelta) -> set[str]:
    """The logins of users who are signed in somewhere."""
    query = (
        select(UserRow.login)
        .join(WebSessionRow, WebSessionRow.user_pk == UserRow.id)
        .where(WebSessionRow.expires_at > now, WebSessionRow.seen_at > now - idle, UserRow.active.is_(True),
               WebSessionRow.user_stamp == UserRow.changed_at)
    )  # fmt: skip
    return set(session.scalars(query))


def prove(session: Session, number: int, login: str, now: datetime) -> bool:
    """Note that the user has just signed in anew at the provider; return whether the session is still there."""
    row = session.scalar(
        select(WebSessionRow)
        .join(UserRow, UserRow.id == WebSessionRow.user_pk)
        .where(WebSessionRow.id == number, WebSessionRow.expires_at > now, UserRow.login == login)
    )
    if row is None:
        return False
    row.proved_at = now
    session.flush()
    return True


def take_proof(session: Session, number: int) -> datetime | None:
    """Return when the user signed in anew, and forget it: a proof is for one signature."""
    row = session.scalar(select(WebSessionRow).where(WebSessionRow.id == number).with_for_update())
    if row is None or row.proved_at is None:
        return None
    at, row.proved_at = row.proved_at, None
    session.flush()
    return at


def users_of(session: Session, now: datetime, idle: timedelta) -> dict[int, User]:
    """Return the users of all sessions that hold, by the session's number."""
    rows = session.execute(
        select(WebSessionRow.id, UserRow)
        .join(UserRow, UserRow.id == WebSessionRow.user_pk)
        .where(
            WebSessionRow.expires_at > now, WebSessionRow.seen_at > now - idle, UserRow.active.is_(True),
            WebSessionRow.user_stamp == UserRow.changed_at,
        )
    )  # fmt: skip
    return {number: User.of(user) for number, user in rows}


def give_proof_back(session: Session, number: int, at: datetime) -> None:
    """Put a proof back that no signature came of; its time goes on."""
    session.execute(
        update(WebSessionRow)
        .where(WebSessionRow.id == number, WebSessionRow.proved_at.is_(None))
        .values(proved_at=at)
    )
