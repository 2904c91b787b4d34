"""Answers from the literature that a user chose to keep: seen by nobody else."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from aris.errors import ConflictError
from aris.store.reading.access.tables import SavedAnswerRow
from aris.store.reading.lasting_tables import UserRow

MOST = 500


def keep(
    session: Session, login: str, library: str, question: str, answer: dict[str, Any], now: datetime
) -> SavedAnswerRow:
    """Keep an answer for a user.

    Raises:
        ConflictError: the user has kept as many as there is room for.
    """
    user = session.scalars(select(UserRow.id).where(UserRow.login == login)).one()
    count = session.scalar(select(func.count()).select_from(SavedAnswerRow).where(SavedAnswerRow.user_pk == user)) or 0
    if count >= MOST:
        raise ConflictError(f"saved answers: you have kept {MOST}; remove some first")
    row = SavedAnswerRow(
        user_pk=user, library=library, question=question.replace("\0", " "), answer=answer, saved_at=now
    )
    session.add(row)
    session.flush()
    return row


def kept(session: Session, login: str) -> list[SavedAnswerRow]:
    """Return a user's kept answers, the newest first."""
    query = select(SavedAnswerRow).join(UserRow, UserRow.id == SavedAnswerRow.user_pk).where(UserRow.login == login)
    return list(session.scalars(query.order_by(SavedAnswerRow.id.desc())))


def forget(session: Session, login: str, number: int) -> bool:
    """Remove one of a user's kept answers; False where there is none of this number."""
    mine = select(UserRow.id).where(UserRow.login == login)
    gone = delete(SavedAnswerRow).where(SavedAnswerRow.id == number, SavedAnswerRow.user_pk.in_(mine))
    return bool(session.execute(gone).rowcount)  # type: ignore[attr-defined]
