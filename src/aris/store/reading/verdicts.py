"""Verdicts of readers on what models wrote, per model version: the local watch that a hospital must keep."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from aris.errors import StoreError
from aris.store.reading.tables import DraftRow, ReadingRow, VerdictRow

Verdict = Literal["accepted", "edited", "rejected", "added", "unchanged"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
KINDS = ("finding", "sentence")
# A sentence that was signed as it was drafted, and that nobody judged: it stands, and is no agreement.
UNJUDGED: Verdict = "unchanged"


def add(
    session: Session, reading: ReadingRow, draft: DraftRow, *, kind: str, about: str, verdict: str, said: str = "",
    login: str, now: datetime,
) -> VerdictRow:  # fmt: skip
    """Keep a verdict.

    Args:
        about: the finding's name or the sentence; of one that was added, its text.
        verdict: "unchanged" of a sentence that was signed as it was drafted, without being judged.
        said: the sentence that took its place.

    Raises:
        StoreError: no such kind or verdict.
    """
    if kind not in KINDS or verdict not in VERDICTS:
        raise StoreError(f"verdict: on a {' or '.join(KINDS)}, as {', '.join(VERDICTS)}")
    if verdict == UNJUDGED and kind != "sentence":
        raise StoreError("verdict: only a sentence is unchanged at a signature")
    row = VerdictRow(
        reading_pk=reading.id, draft_number=draft.number, model=draft.model, revision=draft.revision, kind=kind,
        about=about, verdict=verdict, said=said, login=login, created_at=now,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def holding(session: Session, reading: ReadingRow) -> list[VerdictRow]:
    """The last verdict on each subject."""
    query = select(VerdictRow).where(VerdictRow.reading_pk == reading.id).order_by(VerdictRow.id)
    return list({(row.draft_number, row.kind, row.about): row for row in session.scalars(query)}.values())


def agreement(session: Session) -> Sequence[dict[str, Any]]:
    """Count verdicts by model, revision, month and kind; of several on one subject the last counts.

    `judged` counts those on what the model wrote that a reader accepted, edited or rejected, and `agreed` is the share
    of accepted ones among them. `unchanged` sentences were signed as they were drafted without being judged: they count
    for neither.
    """
    newest = select(func.max(VerdictRow.id)).group_by(
        VerdictRow.reading_pk, VerdictRow.draft_number, VerdictRow.kind, VerdictRow.about
    )
    counts: dict[tuple[str, str, str, str], dict[str, int]] = {}
    for row in session.scalars(select(VerdictRow).where(VerdictRow.id.in_(newest))):
        key = (row.model, row.revision, f"{row.created_at:%Y-%m}", row.kind)
        count = counts.setdefault(key, dict.fromkeys(VERDICTS, 0))
        count[row.verdict] += 1
    made = []
    for (model, revision, month, kind), count in sorted(counts.items()):
        judged = count["accepted"] + count["edited"] + count["rejected"]
        share = count["accepted"] / judged if judged else None
        made.append({"model": model, "revision": revision, "month": month, "kind": kind, **count, "judged": judged,
                     "agreed": share})  # fmt: skip
    return made
