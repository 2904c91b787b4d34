"""Files of records and the patients in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from aris.store.reading.records.tables import RecordFileRow, RecordIdentifierRow, RecordPartRow, RecordRow, WatchedRow

UPLOAD = "upload/"


@dataclass(frozen=True)
class Person:
    """A patient as a file names him.

    Attributes:
        patient: the resource's id.
        birth_date: as written, at most to the day.
        identifiers: pairs of value and issuer.
        entries: how many facts the file has of him; newest: when it last learned something.
    """

    patient: str
    name: str = ""
    birth_date: str = ""
    sex: str = ""
    identifiers: tuple[tuple[str, str], ...] = ()
    entries: int = 0
    newest: datetime | None = None


def find_file(session: Session, source: str, name: str) -> RecordFileRow | None:
    """The file of a source by its name, or None."""
    return session.scalar(select(RecordFileRow).where(RecordFileRow.source == source, RecordFileRow.name == name))


def files_of(session: Session, source: str) -> dict[str, RecordFileRow]:
    """The files of a source by their names."""
    return {row.name: row for row in session.scalars(select(RecordFileRow).where(RecordFileRow.source == source))}


def put_file(
    session: Session, source: str, name: str, mark: str, size: int, now: datetime, *, content: bytes | None = None,
    problem: str = "", login: str = "",
) -> RecordFileRow:  # fmt: skip
    """Note a file as it was read now."""
    row = find_file(session, source, name)
    if row is None:
        row = RecordFileRow(source=source, name=name, login=login)
        session.add(row)
    row.print, row.size, row.problem, row.read_at = mark, size, problem[:2000], now
    row.content = content
    session.flush()
    return row


def put_people(
    session: Session, file: RecordFileRow, people: Sequence[tuple[str, Person]], now: datetime
) -> list[RecordRow]:
    """Note whose records a file has, in place of what it had before.

    Args:
        people: each with the key of his record.

    Returns:
        the records that the file is part of now.
    """
    wanted = dict(people)
    for part in list(session.scalars(select(RecordPartRow).where(RecordPartRow.file_pk == file.id))):
        row = session.get_one(RecordRow, part.record_pk)
        if row.key not in wanted:
            session.delete(part)
            session.flush()
            _renew(session, row, now)
    made = []
    for key, person in people:
        found = session.scalar(select(RecordRow).where(RecordRow.source == file.source, RecordRow.key == key[:160]))
        if found is not None:
            row = found
        else:
            row = RecordRow(source=file.source, key=key[:160], patient=person.patient[:128], name="", birth_date="",
                            sex="",
                            identifiers=[], searched="", entries=0, newest=None, print="", gone=False,
                            read_at=now)  # fmt: skip
            session.add(row)
            session.flush()
        known = session.scalar(
            select(RecordPartRow).where(RecordPartRow.record_pk == row.id, RecordPartRow.file_pk == file.id)
        )
        if known is None:
            session.add(RecordPartRow(record_pk=row.id, file_pk=file.id))
            session.flush()
        _describe(session, row, person)
        _renew(session, row, now)
        made.append(row)
    session.flush()
    return made


def _describe(session: Session, row: RecordRow, person: Person) -> None:
    # A file of an export that holds no Patient resource says nothing of who it is.
    if person.name or person.birth_date or person.identifiers or not row.searched:
        row.name, row.birth_date, row.sex = person.name[:512], person.birth_date[:10], person.sex[:16]
        row.identifiers = [{"value": value[:256], "issuer": issuer[:256]} for value, issuer in person.identifiers[:32]]
        numbers = [value for value, _ in person.identifiers[:32]]
        row.searched = " ".join((row.name, row.birth_date, *numbers, person.patient)).casefold()[:8000]
        session.execute(delete(RecordIdentifierRow).where(RecordIdentifierRow.record_pk == row.id))
        for value in dict.fromkeys(folded(each) for each in numbers):
            if value:
                session.add(RecordIdentifierRow(record_pk=row.id, value=value))
    if person.newest is not None and (row.newest is None or person.newest > row.newest):
        row.newest = person.newest
    row.entries = max(row.entries, person.entries)


def _renew(session: Session, row: RecordRow, now: datetime) -> None:
    """Set a record's print from its files'; it is gone where there are none."""
    marks = list(
        session.scalars(
            select(RecordFileRow.print).join(RecordPartRow, RecordPartRow.file_pk == RecordFileRow.id)
            .where(RecordPartRow.record_pk == row.id).order_by(RecordFileRow.name)
        )
    )  # fmt: skip
    row.print, row.gone, row.read_at = digest_of(marks), not marks, now


def drop_file(session: Session, file: RecordFileRow, now: datetime) -> None:
    """Forget a file that is there no more; records that lay in it alone are gone."""
    put_people(session, file, [], now)
    session.delete(file)
    session.flush()


def folded(value: str) -> str:
    """A number as it is compared."""
    return value.strip().casefold()[:256]


def digest_of(marks: Iterable[str]) -> str:
    """Make a single print of several."""
    import hashlib

    return hashlib.sha256("\x1f".join(marks).encode()).hexdigest()


def find(session: Session, number: int) -> RecordRow | None:
    """A record that is there, by its number, or None."""
    row = session.get(RecordRow, number)
    return None if row is None or row.gone else row


def parts(session: Session, record: RecordRow) -> list[RecordFileRow]:
    """The files that a record lies in, by name; without the content of uploads."""
    query = (
        select(RecordFileRow).join(RecordPartRow, RecordPartRow.file_pk == RecordFileRow.id)
        .where(RecordPartRow.record_pk == record.id).order_by(RecordFileRow.name)
    )  # fmt: skip
    return list(session.scalars(query))


def page(session: Session, text: str, source: str, limit: int, offset: int) -> tuple[int, list[RecordRow]]:
    """(how many records have all of the words, a page of them by name)."""
    query = select(RecordRow).where(RecordRow.gone.is_(False))
    for word in text.casefold().replace(",", " ").replace("^", " ").split()[:8]:
        query = query.where(RecordRow.searched.contains(word, autoescape=True))
    if source:
        query = query.where(RecordRow.source.startswith(UPLOAD) if source == "uploads" else RecordRow.source == source)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    rows = session.scalars(query.order_by(func.lower(RecordRow.name), RecordRow.id).limit(limit).offset(offset))
    return total, list(rows)


def candidates(
    session: Session, numbers: Iterable[str], family: str, birth_date: str, most: int = 200
) -> list[RecordRow]:
    """Records that have one of the numbers, or the family name together with the birth date (YYYY-MM-DD)."""
    found: dict[int, RecordRow] = {}
    values = [each for each in map(folded, numbers) if each]
    if values:
        query = (
            select(RecordRow).join(RecordIdentifierRow, RecordIdentifierRow.record_pk == RecordRow.id)
            .where(RecordIdentifierRow.value.in_(values), RecordRow.gone.is_(False)).limit(most)
        )  # fmt: skip
        found |= {row.id: row for row in session.scalars(query)}
    if family and birth_date:
        query = (
            select(RecordRow).where(RecordRow.birth_date == birth_date, RecordRow.gone.is_(False),
                                    func.lower(RecordRow.name).contains(family.casefold(), autoescape=True)).limit(most)
        )  # fmt: skip
        found |= {row.id: row for row in session.scalars(query)}
    return list(found.values())


def due(session: Session, now: datetime, most: int) -> list[RecordRow]:
    """Records that changed since they were judged, then those of which time alone may have changed something."""
    changed = (
        select(RecordRow).outerjoin(WatchedRow, WatchedRow.record_pk == RecordRow.id)
        .where(RecordRow.gone.is_(False), (WatchedRow.id.is_(None)) | (WatchedRow.print != RecordRow.print))
        .order_by(RecordRow.id).limit(most)
    )  # fmt: skip
    found = list(session.scalars(changed))
    if len(found) < most:
        late = (
            select(RecordRow).join(WatchedRow, WatchedRow.record_pk == RecordRow.id)
            .where(RecordRow.gone.is_(False), WatchedRow.print == RecordRow.print, WatchedRow.due_at <= now)
            .order_by(WatchedRow.due_at).limit(most - len(found))
        )  # fmt: skip
        found += list(session.scalars(late))
    return found


def counts(session: Session) -> dict[str, tuple[int, int]]:
    """By source: how many files, and how many records."""
    files: dict[str, int] = {}
    made: dict[str, int] = {}
    for source, count in session.execute(select(RecordFileRow.source, func.count()).group_by(RecordFileRow.source)):
        files[_group(source)] = files.get(_group(source), 0) + count
    query = select(RecordRow.source, func.count()).where(RecordRow.gone.is_(False)).group_by(RecordRow.source)
    for source, count in session.execute(query):
        made[_group(source)] = made.get(_group(source), 0) + count
    return {name: (files.get(name, 0), made.get(name, 0)) for name in {*files, *made}}


def problems(session: Session, most: int = 20) -> list[tuple[str, str, str]]:
    """Files that could not be read: source, name, why."""
    query = select(RecordFileRow.source, RecordFileRow.name, RecordFileRow.problem).where(RecordFileRow.problem != "")
    return [(a, b, c) for a, b, c in session.execute(query.order_by(RecordFileRow.id.desc()).limit(most))]


def content_of(session: Session, file_pk: int) -> bytes | None:
    """The compressed content of an upload; None for a file that lies elsewhere."""
    found: Any = session.scalar(select(RecordFileRow.content).where(RecordFileRow.id == file_pk))
    return found


def _group(source: str) -> str:
    return "uploads" if source.startswith(UPLOAD) else source


def sharing(
    session: Session, record: RecordRow, files: Sequence[RecordFileRow], patients: Sequence[str]
) -> list[RecordRow]:
    """Other records, of some patients, that lie in the very same files as one."""
    query = select(RecordRow).where(
        RecordRow.source == record.source, RecordRow.id != record.id, RecordRow.print == record.print,
        RecordRow.gone.is_(False),
    )  # fmt: skip
    wanted = set(patients)
    own = sorted(each.id for each in files)
    found = [row for row in session.scalars(query.limit(5000)) if row.patient in wanted]
    return [
        row for row in found
        if sorted(session.scalars(select(RecordPartRow.file_pk).where(RecordPartRow.record_pk == row.id))) == own
    ]  # fmt: skip


def put_broken(
    session: Session, source: str, name: str, mark: str, size: int, now: datetime, problem: str
) -> RecordFileRow:
    """Note a file that cannot be read now; the records in it are as they were, and cannot be read either."""
    row = put_file(session, source, name, mark, size, now, problem=problem)
    for part in session.scalars(select(RecordPartRow).where(RecordPartRow.file_pk == row.id)):
        _renew(session, session.get_one(RecordRow, part.record_pk), now)
    return row


def elsewhere(session: Session, file: RecordFileRow, patient: str) -> RecordRow | None:
    """The record of a patient's id that lies in another file of the same source, or None."""
    query = (
        select(RecordRow).join(RecordPartRow, RecordPartRow.record_pk == RecordRow.id)
        .where(RecordRow.source == file.source, RecordRow.key == patient[:160], RecordPartRow.file_pk != file.id)
    )  # fmt: skip
    return session.scalars(query.limit(1)).first()
