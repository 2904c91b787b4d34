"""Preferences of each user: JSON that the pages make and read, bounded in size and depth."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from aris.errors import StoreError
from aris.store.columns import canonical
from aris.store.reading.access.tables import PreferencesRow
from aris.store.reading.lasting_tables import UserRow

MOST_BYTES, MOST_DEPTH = 64 << 10, 8


def get(session: Session, login: str) -> dict[str, Any]:
    """A user's preferences; empty where he has kept none."""
    query = select(PreferencesRow.value).join(UserRow, UserRow.id == PreferencesRow.user_pk)
    found = session.scalar(query.where(UserRow.login == login))
    return found if isinstance(found, dict) else {}


def put(session: Session, login: str, value: dict[str, Any], now: datetime) -> None:
    """Keep a user's preferences in place of those before.

    Raises:
        StoreError: they are too large or nested too deep.
    """
    if _depth(value) > MOST_DEPTH:
        raise StoreError(f"preferences: nested deeper than {MOST_DEPTH}")
    if len(canonical(value)) > MOST_BYTES:
        raise StoreError(f"preferences: larger than {MOST_BYTES >> 10} KB")
    user = session.scalar(select(UserRow.id).where(UserRow.login == login).with_for_update())
    if user is None:
        raise StoreError("preferences: no such user")
    row = session.get(PreferencesRow, user)
    if row is None:
        session.add(PreferencesRow(user_pk=user, value=value, changed_at=now))
    else:
        row.value, row.changed_at = value, now
    session.flush()


def _depth(value: Any) -> int:
    """Depth of lists and objects in each other, counted no further than it matters."""
    level, depth = [value], 0
    while level and depth <= MOST_DEPTH:
        inner: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                inner += each.values()
            elif isinstance(each, list):
                inner += each
        depth += any(isinstance(each, dict | list) for each in level)
        level = inner
    return depth
