"""Stored objects of a study, found in one query: a series has thousands, and a viewer asks for each of them."""

from __future__ import annotations

import re

from sqlalchemy import select

from aris.store.schema import InstanceRow, SeriesRow, StudyRow
from aris.store.store import Store, Stored


def middle_image(store: Store, study: str, series: str) -> Stored | None:
    """The image in the middle of a series by its Instance Numbers; None where it has no image.

    The order of display needs every header; the numbers are in the index, and nearly always say the same.
    """
    query = (
        select(InstanceRow.uid, InstanceRow.number)
        .join(InstanceRow.series)
        .join(SeriesRow.study)
        .where(StudyRow.uid == study, SeriesRow.uid == series, InstanceRow.rows.is_not(None))
        .order_by(InstanceRow.id)
    )
    with store.sessions.reading() as session:
        rows = [(uid, number.strip()) for uid, number in session.execute(query)]
    rows.sort(key=lambda row: (0, int(row[1])) if re.fullmatch("-?[0-9]{1,12}", row[1]) else (1, 0))
    return find_objects(store, uid=rows[len(rows) // 2][0])[0] if rows else None


def find_objects(store: Store, *, study: str = "", series: str = "", uid: str = "") -> list[Stored]:
    """Objects of a study, of a series, or one, in the order of their arrival; none that is kept apart."""
    query = (
        select(
            InstanceRow.uid, InstanceRow.sop_class, SeriesRow.uid, StudyRow.uid, InstanceRow.transfer_syntax,
            InstanceRow.digest,
        )
        .join(InstanceRow.series)
        .join(SeriesRow.study)
        .order_by(InstanceRow.id)
    )  # fmt: skip
    for column, value in ((StudyRow.uid, study), (SeriesRow.uid, series), (InstanceRow.uid, uid)):
        query = query.where(column == value) if value else query
    with store.sessions.reading() as session:
        return [Stored(*row, file=store.files.file(row[-1]), source="") for row in session.execute(query)]
