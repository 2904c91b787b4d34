"""Records taken in: a reader's upload into the store, and a source's files noted with the patients in them."""

from __future__ import annotations

import hashlib
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy.orm import Session

from aris.errors import ArisError, ConflictError, NotFoundError, RecordError
from aris.exchange.documents.report import clean
from aris.flow.house import House
from aris.flow.records.identity import person_of, same_person
from aris.flow.records.library import Library, library_of
from aris.flow.records.sources import Location, content_mark, locate, read_on_server
from aris.flow.settings import FhirRecords, FolderRecords
from aris.records import Timeline
from aris.records.fhir import Piece, read_pieces, unpacked
from aris.store.reading.records import books
from aris.store.reading.records.tables import RecordFileRow, RecordRow

MOST_BYTES = 256 << 20  # of an upload, unpacked
MOST_PATIENTS = 500  # in an upload
_LEVEL = 3


@dataclass(frozen=True)
class Taken:
    """The outcome of an upload: the records, whether they were known already, and what could not be read."""

    records: tuple[RecordRow, ...]
    known: bool
    problems: tuple[str, ...]


def take_upload(house: House, login: str, file: Path | bytes, label: str, now: datetime | None = None) -> Taken:
    """Keep a file of FHIR R4 resources in the store, with the records in it.

    Args:
        file: its path, or its bytes; also in gzip.
        label: the file's name, for people.

    Raises:
        RecordError: it cannot be read, is no FHIR R4, or is too large.
        StoreError: the store cannot be written.
    """
    now = now or datetime.now(UTC)
    name = " ".join(clean(label).split())[:200] or "record"
    data = unpacked(file, name, MOST_BYTES)
    mark = hashlib.sha256(data).hexdigest()
    source = books.UPLOAD + mark[:40]
    with house.store.sessions.reading() as session:
        known = _records_in(session, source)
    if known:
        return Taken(tuple(known), True, ())
    timelines = read_pieces([Piece(name, data)])
    if not any(each.records or each.patient.name for each in timelines):
        raise RecordError(f"{name}: there is no patient and no fact about one in it")
    if len(timelines) > MOST_PATIENTS:
        raise RecordError(
            f"{name}: it has {len(timelines)} patients; as a folder in the site's settings it may have more"
        )
    content = zlib.compress(data, _LEVEL)

    def work(session: Session) -> list[RecordRow]:
        row = books.put_file(session, source, name, mark, len(data), now, content=content, login=login)
        people = [(each.patient.id or "nobody", person_of(each, {})) for each in timelines]
        made = books.put_people(session, row, people, now)
        house.trail.add(
            session, login, "upload record", f"record {made[0].id}", now=now, records=len(made), bytes=len(data)
        )
        return made

    made = house.store.sessions.write(work)
    _keep(library_of(house), made, timelines)
    problems = dict.fromkeys(clean(str(each)) for timeline in timelines for each in timeline.problems)
    return Taken(tuple(made), False, tuple(problems)[:200])


def remove_upload(house: House, login: str, number: int, now: datetime | None = None) -> int:
    """Take an uploaded file with its records out of the store; alarms and the audit trail stay. How many records.

    Raises:
        NotFoundError: there is no such record.
        ConflictError: it was not uploaded.
    """
    now = now or datetime.now(UTC)

    def work(session: Session) -> int:
        row = books.find(session, number)
        if row is None:
            raise NotFoundError("there is no such record")
        if not row.source.startswith(books.UPLOAD):
            raise ConflictError("only what was uploaded can be removed here; the others are their source's")
        gone = len(_records_in(session, row.source))
        for file in books.files_of(session, row.source).values():
            books.drop_file(session, file, now)
        house.trail.add(session, login, "remove record", f"record {number}", now=now, records=gone)
        return gone

    return house.store.sessions.write(work)


def _records_in(session: Session, source: str) -> list[RecordRow]:
    from sqlalchemy import select

    query = select(RecordRow).where(RecordRow.source == source, RecordRow.gone.is_(False)).order_by(RecordRow.id)
    return list(session.scalars(query))


def _keep(library: Library, rows: Sequence[RecordRow], timelines: Sequence[Timeline]) -> None:
    by_patient = {clean(each.patient.id): each for each in timelines}
    for row in rows:
        if row.patient in by_patient:
            library.keep(row, by_patient[row.patient])


@dataclass
class Seen:
    """A source as it was last looked at, in this process.

    Attributes:
        state: "waiting", "reading", "ready" or "failed" with `problem`.
        files, read: how many there are, and how many of them were looked at in this pass.
    """

    state: str = "waiting"
    files: int = 0
    read: int = 0
    problem: str = ""
    at: datetime | None = None


class Sources:
    """Looks at the sources of the site's settings, and notes what is new in them.

    Args:
        stopped: says when to leave off.
    """

    def __init__(self, house: House, stopped: Callable[[], bool] = lambda: False) -> None:
        self._house = house
        self._stopped = stopped
        self._lock = threading.Lock()

    def look(self) -> int:
        """Look at every source once. How many files or patients were new or had changed.

        Raises:
            StoreError: the store cannot be written.
        """
        changed = 0
        with self._lock:
            self._forget_sources()
            for source in self._house.settings.records:
                seen = seen_of(self._house, source.name)
                seen.state, seen.read, seen.problem = "reading", 0, ""
                try:
                    if isinstance(source, FolderRecords):
                        changed += self._folder(source, seen)
                    else:
                        changed += self._server(source, seen)
                    seen.state = "ready"
                except RecordError as error:
                    seen.state, seen.problem = "failed", clean(str(error))
                except ArisError:
                    raise
                except Exception as error:  # the other sources go on; the type alone, as a message may quote
                    seen.state, seen.problem = "failed", f"it cannot be looked at ({type(error).__name__})"
                seen.at = datetime.now(UTC)
                if self._stopped():
                    break
        return changed

    def _forget_sources(self) -> None:
        """Records of a source that the settings name no more are gone."""
        named = {each.name for each in self._house.settings.records}
        with self._house.store.sessions.reading() as session:
            gone = [name for name in books.counts(session) if name not in named and name != "uploads"]
        for name in gone:
            def work(session: Session, name: str = name) -> None:
                for file in books.files_of(session, name).values():
                    books.drop_file(session, file, datetime.now(UTC))

            self._house.store.sessions.write(work)

    def _folder(self, source: FolderRecords, seen: Seen) -> int:
        there = locate(source)
        found = {_storable(name): (path, mark, size) for name, path, mark, size in there.files()}
        seen.files = len(found)
        with self._house.store.sessions.reading() as session:
            known = {name: row.print for name, row in books.files_of(session, source.name).items()}
        changed = 0
        for name in known.keys() - found.keys():
            self._house.store.sessions.write(partial(self._drop, source.name, name))
            changed += 1
        for name, (path, mark, size) in found.items():
            if self._stopped():
                break
            seen.read += 1
            if known.get(name) == mark:
                continue
            changed += 1
            self._note(source, name, mark, size, partial(_read_file, name, path))
        return changed

    def _server(self, source: FhirRecords, seen: Seen) -> int:
        there: Location = locate(source)
        seen.files = len(source.patients)
        changed, failures = 0, ""
        for id in source.patients:
            if self._stopped():
                break
            seen.read += 1
            name = f"Patient/{id}"
            try:
                timelines = read_on_server(there, id)
            except RecordError as error:
                failures = clean(str(error))
                continue
            except ArisError:
                raise
            except Exception as error:
                failures = f"{name}: it cannot be read ({type(error).__name__})"
                continue
            mark = content_mark(timelines[0])
            with self._house.store.sessions.reading() as session:
                row = books.find_file(session, source.name, name)
            if row is not None and row.print == mark:
                continue
            changed += 1
            self._note(source, name, mark, len(timelines[0].records) * 1000, partial(list, timelines))
        if failures:
            raise RecordError(failures)
        return changed

    def _note(
        self, source: FolderRecords | FhirRecords, name: str, mark: str, size: int, read: Callable[[], list[Timeline]]
    ) -> None:
        """Read a file and note whose records it has; where it cannot be read, note that."""
        now = datetime.now(UTC)
        try:
            timelines = read()
        except RecordError as error:
            self._note_broken(source.name, name, mark, size, clean(str(error)))
            return
        except Exception as error:  # one file keeps nobody else's from being read
            self._note_broken(source.name, name, mark, size, f"it cannot be read ({type(error).__name__})")
            return

        def work(session: Session) -> list[tuple[RecordRow, bool]]:
            row = books.put_file(session, source.name, name, mark, size, now)
            people = [(_key(session, row, person), person) for person in
                      (person_of(each, source.issuers) for each in timelines) if person.patient]  # fmt: skip
            made = books.put_people(session, row, people, now)
            return [(each, len(books.parts(session, each)) == 1) for each in made]

        try:
            made = self._house.store.sessions.write(work)
        except ArisError:
            raise
        except Exception as error:
            self._note_broken(source.name, name, mark, size, f"it cannot be kept ({type(error).__name__})")
            return
        _keep(library_of(self._house), [row for row, alone in made if alone], timelines)

    def _note_broken(self, source: str, name: str, mark: str, size: int, problem: str) -> None:
        now = datetime.now(UTC)
        self._house.store.sessions.write(
            lambda session: books.put_broken(session, source, name, mark, size, now, problem)
        )

    def _drop(self, source: str, name: str, session: Session) -> None:
        row = books.find_file(session, source, name)
        if row is not None:
            books.drop_file(session, row, datetime.now(UTC))


def _storable(name: str) -> str:
    """A file's name as the store can keep it: bytes that are no UTF-8 are written out."""
    return name.encode("utf-8", "backslashreplace").decode()


def _read_file(name: str, path: Path) -> list[Timeline]:
    if path.name.encode("utf-8", "replace").decode() != path.name:
        raise RecordError(f"{name}: the file's name is no UTF-8; rename it")
    return read_pieces([Piece(name, path)])


def _key(session: Session, file: RecordFileRow, person: books.Person) -> str:
    """The key of a person's record: his id, or one of this file alone where the id is somebody else's in another."""
    other = books.elsewhere(session, file, person.patient)
    if other is None or not other.searched:
        return person.patient
    made = RecordRow(name=person.name, birth_date=person.birth_date, sex=person.sex,
                     identifiers=[{"value": value, "issuer": issuer} for value,
                     issuer in person.identifiers])  # fmt: skip
    if not (person.name or person.birth_date or person.identifiers) or same_person(made, other)[0] is not None:
        return person.patient
    if (person.name, person.birth_date) == (other.name, other.birth_date):
        return person.patient
    return f"{person.patient[:128]} {hashlib.sha256(file.name.encode()).hexdigest()[:16]}"


_SEEN: dict[tuple[int, str], Seen] = {}


def seen_of(house: House, source: str) -> Seen:
    """State of a source as this process last looked at it."""
    return _SEEN.setdefault((id(house.store), source), Seen())
