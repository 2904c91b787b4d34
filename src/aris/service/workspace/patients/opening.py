"""Records as every route of a patient opens them, and a record in a list."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from sqlalchemy.orm import Session

from aris.errors import RecordError
from aris.flow.monitoring.alarms import counts_by_record
from aris.flow.records.library import Opened, Progress, library_of
from aris.service.workspace.context import Caller, Workspace, allow, here
from aris.service.workspace.errors import RefusedError
from aris.service.workspace.schemas.patients import AlarmCounts, Identifier, PatientEntry
from aris.service.workspace.viewing import audit_view
from aris.store.reading.records import books
from aris.store.reading.records.tables import RecordRow

Looker = Annotated[Caller, allow("reader", "viewer", scope="read")]
Reader = Annotated[Caller, allow("reader", scope="write")]
Here = Annotated[Workspace, here]
Number = Annotated[int, Path(ge=1, lt=1 << 31)]
# What is asked below a record waits so long for it; the page itself is told how far it is much sooner.
_WAIT_S = 45.0


def opened(workspace: Workspace, caller: Caller, number: int, what: str) -> Opened:
    """A record with its timeline, its view written down.

    Raises:
        NotFoundError: there is no such record.
        RefusedError: it cannot be read, or is still being read.
    """
    try:
        found = library_of(workspace.house).open(number, _WAIT_S)
    except RecordError as error:
        raise RefusedError(422, "unreadable", str(error)) from None
    if isinstance(found, Progress):
        raise RefusedError(503, "reading", "the record is still being read; ask again", {"Retry-After": "2"})
    audit_view(workspace, caller, f"record {number}", what)
    return found


def counts_of(found: dict[str, int] | None) -> AlarmCounts:
    """Counts of alarms as the pages get them."""
    return AlarmCounts(**(found or {}))


def entries_of(workspace: Workspace, session: Session, rows: list[RecordRow]) -> list[PatientEntry]:
    """Records as a list shows them."""
    counts = counts_by_record(workspace.house, workspace.now())
    return [entry_of(session, row, counts.get(row.id)) for row in rows]


def entry_of(session: Session, row: RecordRow, counts: dict[str, int] | None) -> PatientEntry:
    """A record as a list shows it."""
    return PatientEntry(
        id=row.id, name=row.name, birth_date=row.birth_date, sex=row.sex, identifiers=identifiers_of(row),
        source=source_of(session, row), uploaded=row.source.startswith(books.UPLOAD), entries=row.entries,
        newest=None if row.newest is None else row.newest.isoformat(), alarms=counts_of(counts),
    )  # fmt: skip


def identifiers_of(row: RecordRow) -> list[Identifier]:
    """A patient's numbers."""
    return [Identifier(value=each["value"], issuer=each["issuer"]) for each in row.identifiers]


def source_of(session: Session, row: RecordRow) -> str:
    """The source of a record, for people: its name in the settings, or the name of the file that was uploaded."""
    if not row.source.startswith(books.UPLOAD):
        return row.source
    files = books.parts(session, row)
    return files[0].name if files else "upload"
