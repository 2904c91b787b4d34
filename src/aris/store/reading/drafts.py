"""Drafts: every version that a model wrote or that came from outside, each kept for good."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from aris.store.reading.tables import DraftRow, ReadingRow

MODEL, OUTSIDE = "model", "outside"


def add(
    session: Session,
    reading: ReadingRow,
    report: dict[str, Any],
    *,
    origin: str = MODEL,
    model: str = "",
    revision: str = "",
    images_digest: str = "",
    source: str = "",
    priority: str = "routine",
    applied: bool,
    now: datetime,
    details: dict[str, Any] | None = None,
) -> DraftRow | None:
    """Keep a draft; None where the very same was there: of the same images and weights, or the same document.

    Args:
        report: as `exchange.documents.report.Report` dumps itself.
        applied: whether it becomes the text to be edited.
        details: what is known of it besides, as `flow.draft_details` has it.
    """
    known = select(DraftRow.id).where(
        DraftRow.reading_pk == reading.id, DraftRow.origin == origin, DraftRow.model == model[:256],
        DraftRow.revision == revision[:128], DraftRow.images_digest == images_digest, DraftRow.source == source,
    )  # fmt: skip
    if session.scalar(known) is not None:
        return None
    number = (session.scalar(select(func.max(DraftRow.number)).where(DraftRow.reading_pk == reading.id)) or 0) + 1
    row = DraftRow(
        reading_pk=reading.id, number=number, origin=origin, model=model[:256], revision=revision[:128],
        images_digest=images_digest, source=source, priority=priority, applied=applied, report=report, created_at=now,
        details=details or {},
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def all_of(session: Session, reading: ReadingRow) -> list[DraftRow]:
    """A reading's drafts, the first first."""
    query = select(DraftRow).where(DraftRow.reading_pk == reading.id).order_by(DraftRow.number)
    return list(session.scalars(query))


def numbered(session: Session, reading: ReadingRow, number: int) -> DraftRow | None:
    """A reading's draft of a number."""
    return session.scalar(
        select(DraftRow).where(DraftRow.reading_pk == reading.id, DraftRow.number == number)
    )


def newest(session: Session, reading: ReadingRow, origin: str = MODEL) -> DraftRow | None:
    """The newest draft of an origin."""
    query = select(DraftRow).where(DraftRow.reading_pk == reading.id, DraftRow.origin == origin)
    return session.scalar(query.order_by(DraftRow.number.desc()).limit(1))
