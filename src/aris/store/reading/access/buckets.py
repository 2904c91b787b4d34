"""Counts of attempts that all processes of a store share: buckets that fill up again in a minute."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from aris.store.reading.access.tables import AttemptBucketRow
from aris.store.sessions import advisory_lock

_MINUTE = timedelta(minutes=1)


def take(session: Session, buckets: dict[str, int], now: datetime) -> float:
    """Take one attempt out of each bucket, or none where one of them is empty.

    Args:
        buckets: by name, how many attempts a minute each holds.

    Returns:
        0 where it was taken; else the seconds to wait.
    """
    advisory_lock(session, "attempts")
    # One that nobody took of for a minute is full, as one that is not there.
    session.execute(delete(AttemptBucketRow).where(AttemptBucketRow.at < now - _MINUTE))
    rows: dict[str, AttemptBucketRow] = {}
    wait = 0.0
    for name, most in buckets.items():
        row = session.get(AttemptBucketRow, name[:80])
        if row is None:
            row = AttemptBucketRow(name=name[:80], left=float(most), at=now)
        left = min(float(most), row.left + max(0.0, (now - row.at) / _MINUTE) * most)
        row.left, row.at, rows[name] = left, max(now, row.at), row
        if left < 1.0:
            wait = max(wait, (1.0 - left) * 60.0 / most)
    for row in rows.values():
        row.left -= 0.0 if wait else 1.0
        session.add(row)
    session.flush()
    return wait
