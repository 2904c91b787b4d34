"""Sign-ins that are under way at a provider: each for a while, for one browser, once, at whichever process it ends."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from aris.store.reading.access.tables import PendingSignInRow

_MOST = 10_000


@dataclass(frozen=True)
class Kept:
    """A sign-in under way, as it is kept; see `PendingSignInRow`."""

    next: str
    redirect_uri: str
    session: int | None
    login: str
    began: datetime


def put(session: Session, secret: str, kept: Kept, lasts: timedelta) -> None:
    """Keep one under the digest of a browser's secret; those that are over go, and the oldest of too many."""
    session.execute(delete(PendingSignInRow).where(PendingSignInRow.began_at < kept.began - lasts))
    if (session.scalar(select(func.count()).select_from(PendingSignInRow)) or 0) >= _MOST:
        oldest = select(PendingSignInRow.digest).order_by(PendingSignInRow.began_at).limit(1)
        session.execute(delete(PendingSignInRow).where(PendingSignInRow.digest == oldest.scalar_subquery()))
    session.add(PendingSignInRow(
        digest=_digest(secret), next=kept.next, redirect_uri=kept.redirect_uri, session=kept.session,
        login=kept.login, began_at=kept.began,
    ))  # fmt: skip


def take(session: Session, secret: str, now: datetime, lasts: timedelta) -> Kept | None:
    """Give one out, once; None if it is over or there was none."""
    row = session.get(PendingSignInRow, _digest(secret), with_for_update=True)
    if row is None:
        return None
    session.delete(row)
    kept = Kept(row.next, row.redirect_uri, row.session, row.login, row.began_at)
    return kept if now <= kept.began + lasts else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
