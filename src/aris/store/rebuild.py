"""The index made anew from the objects, where it was lost, emptied or damaged. The old one is put aside."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from aris.errors import StoreError
from aris.private import make_folder
from aris.store.encryption.keyring import WrappingKey
from aris.store.files import FileStore
from aris.store.objects import ObjectError, identity, parse_file
from aris.store.private import claim
from aris.store.reading import reading_tables
from aris.store.reading.house import ARRIVALS
from aris.store.store import DATABASE, INDEXED, OBJECTS, Store


@dataclass
class Rebuilt:
    """Result of a rebuild.

    Attributes:
        indexed: objects that have their place again.
        apart: of these, objects of another patient than their study's.
        senders: of how many it is still known who sent them.
        damaged: digests of files that are no longer what they were; they are left where they are, without a place.
        kept: the old index's file; None where there was none.
        carried: rows of the reading room (orders, drafts, signed reports, audit events and so on) that were taken over.
        lost: tables of the reading room of which the old file no longer gives every row.
    """

    indexed: int = 0
    apart: int = 0
    senders: int = 0
    damaged: list[str] = field(default_factory=list)
    kept: Path | None = None
    carried: int = 0
    lost: list[str] = field(default_factory=list)


def rebuild(
    folder: Path, step: Callable[[int], None] = lambda _: None, wrapping: WrappingKey | None = None
) -> Rebuilt:
    """Make a store's index anew from its objects, in the order in which they came.

    Args:
        step: is called with the number of objects, first, then with 0 after each of them.
        wrapping: the key of encrypted files; `usual_key` by default.

    Raises:
        StoreError: there is no store, or somebody uses it.
    """
    folder = folder.expanduser()
    if not (folder / OBJECTS).is_dir():
        raise StoreError(f"{folder}: no store; name its folder with --store")
    claim(folder, (DATABASE, OBJECTS))
    fresh = folder / f"{DATABASE}.rebuilding"
    with _alone(folder):
        known = _history(folder / DATABASE)
        _remove(fresh)
    made = Rebuilt()
    with Store(folder, url=f"sqlite:///{fresh.absolute()}", wrapping=wrapping) as store:
        paths = {digest: store.files.path(digest) for digest in store.files.digests()}
        # As they came: the first under a UID is the instance, and the first of a study names its patient.
        order = sorted(
            paths, key=lambda each: (known[each][0] if each in known else len(known), paths[each].stat().st_mtime)
        )
        step(len(order))
        for digest in order:
            _index(store, digest, known.get(digest), made)
            step(0)
    with _alone(folder):
        _carry(folder / DATABASE, fresh, made)
        made.kept = _put_aside(folder)
        fresh.replace(folder / DATABASE)
        _remove(fresh)
        if not made.indexed:
            (folder / OBJECTS / INDEXED).unlink(missing_ok=True)
    Store(folder, wrapping=wrapping).close()
    return made


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    files = FileStore(folder / OBJECTS)
    try:
        with files.alone():
            yield
    finally:
        files.close()


def _remove(database: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        database.with_name(database.name + ending).unlink(missing_ok=True)


def _index(store: Store, digest: str, before: tuple[int, str, datetime | None] | None, made: Rebuilt) -> None:
    file = store.files.file(digest)
    if not store.files.is_whole(digest):
        made.damaged.append(digest)
        return
    try:
        dataset = parse_file(file, "object")
        found = identity(dataset, "object")
    except ObjectError:
        made.damaged.append(digest)
        return
    source, received = (before[1], before[2]) if before else ("", None)
    received = received or datetime.fromtimestamp(file.path.stat().st_mtime, UTC)
    outcome = store.index(dataset, found, digest, file.size(), source, received)
    made.indexed += 1
    made.apart += outcome == "kept apart"
    made.senders += bool(source)


def _history(database: Path) -> dict[str, tuple[int, str, datetime | None]]:
    """Read what an old index can still tell: each digest's order of arrival, sender, and time."""
    rows: list[tuple[str, str, str, bool]] = []
    if database.exists() and database.stat().st_size:
        for table in ("copies", "apart"):
            with suppress(sqlite3.Error), closing(sqlite3.connect(database)) as old:
                # Row by row: a damaged file gives what lies before the damage.
                found = old.execute(f"SELECT digest, source, received_at FROM {table} ORDER BY id")
                rows.extend((*row, table == "apart") for row in found if all(isinstance(each, str) for each in row))
    # What was kept apart comes last: whose a study is may have been said by a person (`Store.resolve`).
    rows.sort(key=lambda row: (row[3], row[2]))
    return {digest: (location, source[:64], _moment(at)) for location, (digest, source, at, _) in enumerate(rows)}


def _carry(old: Path, fresh: Path, made: Rebuilt) -> None:
    """Take the reading room's rows over as they are: no object holds them."""
    if not (old.exists() and old.stat().st_size):
        return
    with closing(sqlite3.connect(old)) as source, closing(sqlite3.connect(fresh)) as target:
        target.execute("PRAGMA synchronous=FULL")
        for table in reading_tables():
            try:
                columns = [row[1] for row in source.execute(f"PRAGMA table_info({table})")]
                if not columns:  # a store from before there were any
                    continue
                names, marks = ", ".join(f'"{each}"' for each in columns), ", ".join("?" * len(columns))
                # Row by row: a damaged file gives what lies before the damage.
                for row in source.execute(f"SELECT {names} FROM {table}"):
                    target.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", row)
                    made.carried += 1
            except sqlite3.Error:
                made.lost.append(table)
        # The copies have other numbers now: all are looked through again, and what is known changes nothing.
        target.execute("DELETE FROM house WHERE key = ?", (ARRIVALS,))
        # Of a study whose objects are all gone there is nothing to read; where they come again it is.
        target.execute("UPDATE readings SET images = 0 WHERE study_uid NOT IN (SELECT uid FROM studies)")
        target.commit()


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None


def _put_aside(folder: Path) -> Path | None:
    """Move the database and its side files to a folder of their own."""
    if not (folder / DATABASE).exists():
        return None
    aside = folder / f"index-before-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
    make_folder(aside)
    for ending in ("", "-wal", "-shm"):
        path = folder / f"{DATABASE}{ending}"
        if path.exists():
            path.replace(aside / path.name)
    return aside / DATABASE
