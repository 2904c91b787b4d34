"""The sample records in the store, put there and taken out with the sample studies."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from aris.flow.house import House
from aris.flow.records.samples import LABEL, sample_records
from aris.flow.records.taking import take_upload
from aris.store.reading.records import books
from aris.store.reading.records.tables import RecordFileRow

_BEGIN, _END = LABEL.split("{name}")


def add_sample_records(house: House, actor: str, issuer: str) -> int:
    """Put the sample records into the store, where they are not there. How many were added.

    Raises:
        StoreError: the store cannot be written.
    """
    with house.store.sessions.reading() as session:
        there = {row.name for row in _samples(session)}
    added = 0
    for label, data in sample_records(issuer):
        if label in there:
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "record.json"
            path.write_bytes(data)
            take_upload(house, actor, path, label)
        added += 1
    return added


def remove_sample_records(house: House, actor: str) -> int:
    """Take the sample records out of the store. How many there were.

    Raises:
        StoreError: the store cannot be written.
    """

    def work(session: Session) -> int:
        rows = _samples(session)
        for row in rows:
            books.drop_file(session, row, datetime.now(UTC))
        if rows:
            house.trail.add(session, actor, "remove samples", records=len(rows))
        return len(rows)

    return house.store.sessions.write(work)


def _samples(session: Session) -> list[RecordFileRow]:
    query = select(RecordFileRow).where(RecordFileRow.source.startswith(books.UPLOAD))
    rows = session.scalars(query.where(RecordFileRow.name.startswith(_BEGIN)))
    return [row for row in rows if row.name.endswith(_END)]
