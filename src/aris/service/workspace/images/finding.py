"""Stored objects of a study, found in one query: a series has thousands, and a viewer asks for each of them."""

from __future__ import annotations

from sqlalchemy import select

from aris.store.schema import InstanceRow, SeriesRow, StudyRow
from aris.store.store import Store, Stored


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
