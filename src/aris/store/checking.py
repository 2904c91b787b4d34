"""Checks of a store: objects that are gone or damaged, signed reports that are not what was signed."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select, text

from aris.store.encryption.keyring import KeyringError
from aris.store.reading import reports
from aris.store.reading.lasting_tables import ReportRow
from aris.store.reading.tables import ReadingRow
from aris.store.schema import ApartRow, CopyRow
from aris.store.store import Store


def problems(store: Store, step: Callable[[int], None] = lambda _: None) -> list[str]:
    """Return what is wrong, one line each; nothing where all is well.

    The audit trail has a check of its own (`audit.Trail.verify`).

    Args:
        step: is called with the number of objects, first, then with 0 after each of them.
    """
    wrong: list[str] = []
    with store.sessions.reading() as session:
        digests = sorted({*session.scalars(select(CopyRow.digest)), *session.scalars(select(ApartRow.digest))})
        step(len(digests))
        for digest in digests:
            step(0)
            try:
                whole = store.files.is_whole(digest)
            except KeyringError:
                wrong.append(f"object {digest}: its file is encrypted by a key that the keyring has not; restore it")
                continue
            if not whole:
                gone = "damaged" if store.files.path(digest).exists() else "gone"
                wrong.append(f"object {digest}: its file is {gone}; restore it, or have it sent again")
        named = select(ReportRow, ReadingRow.study_uid).join(ReadingRow, ReadingRow.id == ReportRow.reading_pk)
        for report, study in session.execute(named.order_by(ReportRow.id)):
            if not reports.is_sound(session, report):
                wrong.append(f"report {report.number} of study {study}: not what was signed; restore it from a backup")
        if store.sessions.dialect == "sqlite":
            found = session.scalars(text("PRAGMA integrity_check(20)"))
            wrong += [f"database: {line}" for line in found if line != "ok"]
            broken = session.execute(text("PRAGMA foreign_key_check")).all()
            wrong += [f"database: a row of {row[0]} refers to one of {row[2]} that is not there" for row in broken]
    indexed = set(digests)
    stray = sum(digest not in indexed for digest in store.files.digests())
    if stray:
        wrong.append(f"{stray} objects are not in the index; `aris node rebuild` gives them their place")
    return wrong
