"""Values of the whole store: its identity, and how far arrivals have been looked through."""

from __future__ import annotations

import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session

from aris.store.reading.lasting_tables import HouseRow
from aris.store.sessions import advisory_lock

_IDENTITY = "identity"
# Up to which copy of the index arrivals were looked through.
ARRIVALS = "arrivals"


def get(session: Session, key: str, default: str = "") -> str:
    """A value."""
    found = session.scalar(select(HouseRow.value).where(HouseRow.key == key))
    return default if found is None else found


def put(session: Session, key: str, value: str) -> None:
    """Set a value."""
    row = session.get(HouseRow, key)
    if row is None:
        session.add(HouseRow(key=key, value=value))
    else:
        row.value = value
    session.flush()


def identity(session: Session) -> str:
    """The store's own identity: 32 hexadecimal digits, drawn when the first asks for it; "" while none was drawn."""
    return get(session, _IDENTITY)


def settle_identity(session: Session) -> str:
    """The store's identity, drawn now where there is none."""
    if not identity(session):
        advisory_lock(session, "identity")
        if not identity(session):
            put(session, _IDENTITY, secrets.token_hex(16))
    return identity(session)
