"""API tokens: `aris_` and 256 random bits, kept as SHA-256, for a user, within scopes, for a time."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from aris.errors import StoreError
from aris.store.reading.access.tables import ApiTokenRow
from aris.store.reading.access.web_sessions import digest_of
from aris.store.reading.lasting_tables import UserRow
from aris.store.reading.users import User

Scope = Literal["model", "read", "write", "dicomweb", "audit"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
PREFIX = "aris_"
_MOST, _LONGEST = 100, 3660
_NOTED = timedelta(seconds=60)


@dataclass(frozen=True)
class ApiToken:
    """A token that holds, and its user; `due`: it is time to note its use (`touch`)."""

    number: int
    user: User
    scopes: frozenset[str]
    due: bool


def add(
    session: Session, login: str, name: str, scopes: Sequence[str], now: datetime, days: int | None
) -> tuple[ApiTokenRow, str]:
    """Make a token; return its row and the token itself, which is nowhere else.

    Args:
        days: that it lasts; None: until it is revoked.

    Raises:
        StoreError: no name, no such scope, no such time, or too many tokens.
    """
    name = " ".join(name.split())
    if not name or len(name) > 64:
        raise StoreError("token: give it a name of 1 to 64 characters")
    unknown = [each for each in scopes if each not in SCOPES]
    if unknown or not scopes:
        raise StoreError(f"token: give it scopes out of {', '.join(SCOPES)}")
    if days is not None and not 1 <= days <= _LONGEST:
        raise StoreError(f"token: it lasts 1 to {_LONGEST} days")
    user = session.scalar(select(UserRow).where(UserRow.login == login).with_for_update())
    if user is None:
        raise StoreError("token: no such user")
    query = select(func.count()).select_from(ApiTokenRow)
    held = session.scalar(query.where(ApiTokenRow.user_pk == user.id, ApiTokenRow.revoked_at.is_(None)))
    if (held or 0) >= _MOST:
        raise StoreError(f"token: you have {_MOST}; revoke those that are not used")
    token = PREFIX + secrets.token_urlsafe(32)
    row = ApiTokenRow(
        digest=digest_of(token), user_pk=user.id, name=name, scopes=sorted(set(scopes), key=SCOPES.index),
        created_at=now, expires_at=None if days is None else now + timedelta(days=days), last_used_at=None,
        revoked_at=None,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row, token


def find(session: Session, token: str, now: datetime) -> ApiToken | None:
    """The token, if it holds and its user may act."""
    found = session.execute(
        select(ApiTokenRow, UserRow)
        .join(UserRow, UserRow.id == ApiTokenRow.user_pk)
        .where(ApiTokenRow.digest == digest_of(token))
    ).one_or_none()
    if found is None:
        return None
    row, user = found
    if row.revoked_at is not None or not user.active or (row.expires_at is not None and row.expires_at <= now):
        return None
    due = row.last_used_at is None or now - row.last_used_at >= _NOTED
    return ApiToken(row.id, User.of(user), frozenset(row.scopes), due)


def touch(session: Session, number: int, now: datetime) -> None:
    """Note that a token is used."""
    session.execute(update(ApiTokenRow).where(ApiTokenRow.id == number).values(last_used_at=now))


def of(session: Session, login: str) -> list[ApiTokenRow]:
    """A user's tokens that were not revoked, the newest first."""
    query = select(ApiTokenRow).join(UserRow, UserRow.id == ApiTokenRow.user_pk)
    held = query.where(UserRow.login == login, ApiTokenRow.revoked_at.is_(None))
    return list(session.scalars(held.order_by(ApiTokenRow.id.desc())))


def revoke(session: Session, login: str, number: int, now: datetime) -> bool:
    """Revoke a token of a user; return whether there was one."""
    row = session.scalar(
        select(ApiTokenRow)
        .join(UserRow, UserRow.id == ApiTokenRow.user_pk)
        .where(UserRow.login == login, ApiTokenRow.id == number, ApiTokenRow.revoked_at.is_(None))
    )
    if row is None:
        return False
    row.revoked_at = now
    session.flush()
    return True


def revoke_all(session: Session, login: str, now: datetime) -> int:
    """Revoke a user's tokens; return how many."""
    rows = of(session, login)
    for row in rows:
        row.revoked_at = now
    session.flush()
    return len(rows)
