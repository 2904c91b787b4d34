"""Edits: every version of a reading's text. Two readers never lose any; the second is told."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from aris.store.reading.tables import EditRow, ReadingRow

# The author of a draft's text.
MODEL = "(model)"


def add(
    session: Session, reading: ReadingRow, sections: dict[str, str], *, base: int, author: str, draft_number: int,
    now: datetime,
) -> EditRow:  # fmt: skip
    """Keep a text. Where its base is no longer the newest it gets no number, and the newest text stays.

    Args:
        reading: locked.
        base: the number of the text that was changed; 0 for none.
    """
    fits = base == reading.text_number
    row = EditRow(
        reading_pk=reading.id, number=base + 1 if fits else None, base=base, author=author, draft_number=draft_number,
        sections=sections, created_at=now,
    )  # fmt: skip
    session.add(row)
    if fits:
        reading.text_number = base + 1
    session.flush()
    return row


def current(session: Session, reading: ReadingRow) -> EditRow | None:
    """The newest text; None if there is none."""
    return numbered(session, reading, reading.text_number)


def numbered(session: Session, reading: ReadingRow, number: int) -> EditRow | None:
    """The text of a number."""
    return session.scalar(select(EditRow).where(EditRow.reading_pk == reading.id, EditRow.number == number))


def all_of(session: Session, reading: ReadingRow) -> list[EditRow]:
    """Every text, those that were kept beside too, in the order in which they came."""
    return list(session.scalars(select(EditRow).where(EditRow.reading_pk == reading.id).order_by(EditRow.id)))


def kept_beside(session: Session, reading: ReadingRow) -> list[EditRow]:
    """Texts whose base was no longer the newest."""
    query = select(EditRow).where(EditRow.reading_pk == reading.id, EditRow.number.is_(None))
    return list(session.scalars(query.order_by(EditRow.id)))


def touched_at(session: Session, reading: ReadingRow) -> datetime | None:
    """The moment at which a person first wrote of the text; None where nobody has."""
    query = select(EditRow.created_at).where(EditRow.reading_pk == reading.id, EditRow.author != MODEL)
    return session.scalar(query.order_by(EditRow.id).limit(1))


def touched(session: Session, reading: ReadingRow) -> bool:
    """Return whether a person has written any of the text."""
    query = select(EditRow.id).where(EditRow.reading_pk == reading.id, EditRow.author != MODEL)
    return session.scalar(query.limit(1)) is not None
