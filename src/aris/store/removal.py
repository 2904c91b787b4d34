"""Removal of studies that are nobody's: samples. What was drafted, written and signed of them stays, unlisted.

A patient's study is never removed; nothing in the reading room asks for it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from aris.store.reading import house, readings
from aris.store.reading.tables import JobRow
from aris.store.resolving import taken_out
from aris.store.schema import ApartRow, CopyRow, StudyRow


def remove(session: Session, study_uids: Collection[str], now: datetime) -> tuple[list[str], set[str]]:
    """Take studies out of the index, with the work that waits for them.

    Returns:
        the studies that were there, and the digests of files that nothing refers to any more.
    """
    removed: list[str] = []
    digests: set[str] = set()
    for uid in sorted(study_uids):
        study = session.scalar(select(StudyRow).where(StudyRow.uid == uid).with_for_update())
        if study is None:
            continue
        digests |= {digest for digest, *_ in taken_out(session, study)}
        removed.append(uid)
        session.execute(delete(JobRow).where(JobRow.study_uid == uid, JobRow.state != "done"))
        reading = readings.find(session, uid, lock=True)
        if reading is not None:  # where it comes again it is as new images of it
            reading.images, reading.images_digest, reading.settled_at = 0, "", now
    # Numbers of rows that are gone may be given to others, which must be looked at then.
    last = session.scalar(select(func.max(CopyRow.id))) or 0
    if int(house.get(session, house.ARRIVALS, "0")) > last:
        house.put(session, house.ARRIVALS, str(last))
    for row in (CopyRow, ApartRow):
        digests -= set(session.scalars(select(row.digest).where(row.digest.in_(digests))))
    return removed, digests
