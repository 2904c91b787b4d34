"""Report templates of a site: texts by section that a reader begins with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from aris.errors import StoreError
from aris.store.reading.tables import TemplateRow

MOST = 1000


def add(
    session: Session, *, name: str, modality: str, sections: Mapping[str, str], normal: bool, login: str, now: datetime
) -> TemplateRow:
    """Keep a template.

    Raises:
        StoreError: there are as many as may be.
    """
    if (session.scalar(select(func.count()).select_from(TemplateRow)) or 0) >= MOST:
        raise StoreError(f"template: there are {MOST:,} already; remove some")
    row = TemplateRow(
        name=name, modality=modality, sections=dict(sections), normal=normal, login=login, created_at=now
    )
    session.add(row)
    session.flush()
    return row


def all_of(session: Session) -> list[TemplateRow]:
    """Every template, by name."""
    return list(session.scalars(select(TemplateRow).order_by(TemplateRow.name, TemplateRow.id)))


def remove(session: Session, number: int) -> bool:
    """Remove a template. Whether there was one."""
    row = session.get(TemplateRow, number)
    if row is not None:
        session.delete(row)
    return row is not None
