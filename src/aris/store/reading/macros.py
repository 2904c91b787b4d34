"""Macros of a site: names that stand for texts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from aris.errors import StoreError
from aris.store.reading.tables import MacroRow

MOST = 1000


def put(session: Session, name: str, text: str, login: str, now: datetime) -> MacroRow:
    """Keep a macro; one of the same name takes the new text.

    Raises:
        StoreError: there are as many as may be.
    """
    row = session.scalar(select(MacroRow).where(MacroRow.name == name).with_for_update())
    if row is None:
        if (session.scalar(select(func.count()).select_from(MacroRow)) or 0) >= MOST:
            raise StoreError(f"macro: there are {MOST:,} already; remove some")
        row = MacroRow(name=name, text=text, login=login, created_at=now)
        session.add(row)
    row.text, row.login, row.created_at = text, login, now
    session.flush()
    return row


def all_of(session: Session) -> list[MacroRow]:
    """Every macro, by name."""
    return list(session.scalars(select(MacroRow).order_by(MacroRow.name)))


def remove(session: Session, name: str) -> bool:
    """Remove a macro. Whether there was one."""
    row = session.scalar(select(MacroRow).where(MacroRow.name == name))
    if row is not None:
        session.delete(row)
    return row is not None
