"""Timelines of the house's records: read in a few threads, kept while there is room, never merged.

A record that takes long to read blocks nobody: who asks for it is told how far it is, and asks again.
"""

from __future__ import annotations

import threading
import time
import weakref
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass

from aris.errors import ArisError, NotFoundError, RecordError
from aris.flow.house import House
from aris.flow.records.sources import Location, locate, read_on_server
from aris.records import Timeline
from aris.records.fhir import Piece, find_resource, read_pieces
from aris.store.reading.records import books
from aris.store.reading.records.tables import RecordFileRow, RecordRow
from aris.store.store import Store

# Bytes of timelines that are kept, estimated by their facts; the newest one is always kept.
MOST_BYTES = 400 << 20
_FACT_BYTES, _LEAST_BYTES = 2_500, 1 << 16
_AT_ONCE = 2


@dataclass(frozen=True)
class Opened:
    """A record with its timeline."""

    row: RecordRow
    timeline: Timeline


@dataclass(frozen=True)
class Progress:
    """A record that is still being read: its size, for how many seconds, and at what."""

    row: RecordRow
    bytes: int
    seconds: float
    stage: str


@dataclass
class _Work:
    mark: str
    future: Future[Timeline]
    begun: float
    bytes: int
    stage: str = "waiting"


class Library:
    """The timelines of a house's records, for all threads of a process. Get it by `library_of`."""

    def __init__(self, house: House, most_bytes: int = MOST_BYTES) -> None:
        self._house = house
        self._most = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, tuple[str, Timeline, int]] = OrderedDict()
        self._work: dict[int, _Work] = {}
        self._threads = ThreadPoolExecutor(_AT_ONCE, "records")

    def open(self, number: int, wait_s: float = 60.0) -> Opened | Progress:
        """A record's timeline, or how far its reading is after a wait.

        Raises:
            NotFoundError: there is no such record.
            RecordError: it cannot be read.
        """
        row, files = self._find(number)
        work = self._begin(row, files)
        if isinstance(work, Timeline):
            return Opened(row, work)
        try:
            return Opened(row, work.future.result(timeout=wait_s))
        except NotYet:
            if work.future.done():
                raise
            return Progress(row, work.bytes, time.monotonic() - work.begun, work.stage)

    def timeline(self, number: int) -> Opened:
        """A record's timeline, however long it takes to read; errors as `open`."""
        row, files = self._find(number)
        work = self._begin(row, files)
        return Opened(row, work if isinstance(work, Timeline) else work.future.result())

    def resource(self, number: int, id: str) -> list[tuple[str, bytes]]:
        """Every version of a resource as it lies in its source: where, and its bytes; errors as `open`."""
        row, files = self._find(number)
        if (there := self._on_server(row)) is not None:
            found: list[tuple[str, bytes]] = []
            read_on_server(there, row.patient, wanted=id, found=found)
            return found
        return find_resource(self._pieces(row, files), id)

    def keep(self, row: RecordRow, timeline: Timeline) -> None:
        """Keep a timeline that was just read, so that it is not read again."""
        size = max(_LEAST_BYTES, len(timeline.records) * _FACT_BYTES)
        with self._lock:
            self._kept[row.id] = row.print, timeline, size
            self._kept.move_to_end(row.id)
            while len(self._kept) > 1 and sum(each[2] for each in self._kept.values()) > self._most:
                self._kept.popitem(last=False)

    def _find(self, number: int) -> tuple[RecordRow, list[RecordFileRow]]:
        with self._house.store.sessions.reading() as session:
            row = books.find(session, number)
            if row is None:
                raise NotFoundError("there is no such record")
            return row, books.parts(session, row)

    def _begin(self, row: RecordRow, files: list[RecordFileRow]) -> Timeline | _Work:
        with self._lock:
            kept = self._kept.get(row.id)
            if kept is not None and kept[0] == row.print:
                self._kept.move_to_end(row.id)
                return kept[1]
            work = self._work.get(row.id)
            if work is None or work.mark != row.print:
                work = _Work(row.print, Future(), time.monotonic(), sum(each.size for each in files))
                self._work[row.id] = work
                self._threads.submit(self._read, row, files, work)
            return work

    def _read(self, row: RecordRow, files: list[RecordFileRow], work: _Work) -> None:
        try:
            work.stage = "reading"
            found = self._timelines(row, files)
            timeline = next((each for each in found if each.patient.id == row.patient), None)
            if timeline is None:
                raise RecordError("the record is not in its files any more; they have changed")
            work.stage = "laying out"
            self.keep(row, timeline)
            self._keep_others(row, files, found)
            with self._lock:
                self._work.pop(row.id, None)
            work.future.set_result(timeline)
        except BaseException as error:
            with self._lock:
                self._work.pop(row.id, None)
            # The type alone: a message may quote what was read.
            work.future.set_exception(
                error
                if isinstance(error, ArisError)
                else RecordError(f"the record cannot be read ({type(error).__name__})")
            )

    def _timelines(self, row: RecordRow, files: list[RecordFileRow]) -> list[Timeline]:
        there = self._on_server(row)
        if there is not None:
            return read_on_server(there, row.patient)
        return read_pieces(self._pieces(row, files))

    def _keep_others(self, row: RecordRow, files: Sequence[RecordFileRow], found: list[Timeline]) -> None:
        """Keep the other patients of the same files too: an export of many is not read once for each."""
        if len(found) < 2:
            return
        by_patient = {each.patient.id: each for each in found}
        room = self._most // 2
        with self._house.store.sessions.reading() as session:
            for other in books.sharing(session, row, files, list(by_patient)):
                timeline = by_patient[other.patient]
                room -= max(_LEAST_BYTES, len(timeline.records) * _FACT_BYTES)
                if room < 0:
                    break
                self.keep(other, timeline)

    def _pieces(self, row: RecordRow, files: Sequence[RecordFileRow]) -> list[Piece]:
        if row.source.startswith(books.UPLOAD):
            with self._house.store.sessions.reading() as session:
                contents = [(each.name, books.content_of(session, each.id)) for each in files]
            try:
                return [Piece(name, zlib.decompress(data)) for name, data in contents if data is not None]
            except zlib.error:
                raise RecordError("the upload is damaged in the store") from None
        source = self._source(row.source)
        return [Piece(each.name, source.path_of(each.name)) for each in files]

    def _on_server(self, row: RecordRow) -> Location | None:
        if row.source.startswith(books.UPLOAD):
            return None
        source = self._source(row.source)
        return source if source.is_server else None

    def _source(self, name: str) -> Location:
        for each in self._house.settings.records:
            if each.name == name:
                return locate(each)
        raise RecordError(f"the source {name} is in the site's settings no more")


_LIBRARIES: weakref.WeakKeyDictionary[Store, Library] = weakref.WeakKeyDictionary()
_making = threading.Lock()


def library_of(house: House) -> Library:
    """The library of a house, one for the process."""
    with _making:
        found = _LIBRARIES.get(house.store)
        if found is None:
            found = _LIBRARIES[house.store] = Library(house)
        return found
