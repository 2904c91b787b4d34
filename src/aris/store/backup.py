"""Backup and restore: the database as text that fits either kind, and the objects' files, each checked by its digest.

A backup is a folder: `manifest.json`, the `database-*.jsonl.gz` that it names, and `objects/`. Made again into the same
folder it copies only what is new. The audit trail's key is not in it: keep that elsewhere. Of an encrypted store all of
it is encrypted, by the store's own keys; the key that opens its keyring is not in it either.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import DateTime, LargeBinary, MetaData, Table, create_engine, event, func, insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from aris import __version__
from aris.errors import StoreError, is_full_disk
from aris.imaging.sources import FileSource
from aris.private import make_file, make_folder, write_private
from aris.store.database import open_database, upgrade
from aris.store.encryption.keyring import Keyring, KeyringError, WrappingKey
from aris.store.encryption.sealed import DataKey
from aris.store.encryption.spool import sealing, unsealing
from aris.store.files import FileStore
from aris.store.private import claim
from aris.store.store import DATABASE, OBJECTS, Store

MANIFEST, DUMP = "manifest.json", "database"
_FORM = 1
# The identity of a dump, where it is encrypted.
_DUMPED = b"database"


@dataclass(frozen=True)
class BackedUp:
    """The contents of a backup.

    Attributes:
        rows: of each table.
        objects: files in all; copied: of these, those that were not there yet.
        damaged: digests of objects that are no longer what they were, and are in no earlier backup: they are left out.
        encrypted: whether it is, by the key of the store's files.
    """

    rows: dict[str, int]
    objects: int
    copied: int
    damaged: tuple[str, ...] = ()
    encrypted: bool = False


def backup(store: Store, out: Path, step: Callable[[int], None] = lambda _: None) -> BackedUp:
    """Write a store into a folder while it is in use.

    Args:
        step: is called with the number of objects, first, then with 0 after each of them.

    Raises:
        StoreError: the folder cannot be written, or is none of ours.
    """
    try:
        claim(out, (MANIFEST, OBJECTS))
        # The database first: objects are only ever added, so that each one that a row names is there.
        key = store.files.keyring.current()
        rows, digest, revision = _dump(store, out, key)
        digests = sorted(store.files.digests())
        kept = FileStore(out / OBJECTS, 0, store.files.keyring.wrapping)
        _copy_keyring(store.files.keyring, kept.keyring)
        step(len(digests))
        copied, damaged = 0, []
        for each in digests:
            try:
                copied += _copy(store, each, kept, step)
            except StoreError:  # one damaged file must not keep the reports from being backed up
                damaged.append(each)
        manifest = {
            "form": _FORM, "aris": __version__, "revision": revision, "made_at": datetime.now(UTC).isoformat(),
            "rows": rows, "database": _dump_name(digest), "database_sha256": digest,
            "objects": len(digests) - len(damaged), "damaged": damaged, "encrypted": key is not None,
        }  # fmt: skip
        # Until here the backup that was there before is whole.
        write_private(out / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
        kept.close()
        for other in out.glob(f"{DUMP}-*.jsonl.gz"):
            if other.name != manifest["database"]:
                other.unlink()
    except OSError as error:
        full = "the disk is full; make room" if is_full_disk(error) else f"cannot be written ({error.strerror})"
        raise StoreError(f"{out}: {full}") from None
    return BackedUp(rows, len(digests) - len(damaged), copied, tuple(damaged), key is not None)


def restore(
    source: Path, folder: Path, *, url: str | None = None, wrapping: WrappingKey | None = None
) -> BackedUp:
    """Make a store of a backup, in a folder and a database that hold nothing. Of an encrypted one it is encrypted.

    Args:
        url: of the database, which may be of another kind than the one that was backed up.
        wrapping: the key that opens the keyring of an encrypted one; `usual_key` by default.

    Raises:
        StoreError: the backup is damaged or newer than this program, or there is something where it is to go.
    """
    manifest = _manifest(source)
    if folder.exists() and any(folder.iterdir()):
        raise StoreError(f"{folder}: holds something; restore into a folder that is empty or not there")
    digest = hashlib.sha256()
    try:
        with (source / manifest["database"]).open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError as error:
        raise StoreError(f"{source}: the backup's database is missing ({error.strerror})") from None
    if digest.hexdigest() != manifest["database_sha256"]:
        raise StoreError(f"{source}: the backup's database is damaged; take another backup")
    claim(folder, (DATABASE, OBJECTS))
    files, kept = FileStore(folder / OBJECTS, wrapping=wrapping), FileStore(source / OBJECTS, 0, wrapping)
    copied = 0
    try:
        _copy_keyring(kept.keyring, files.keyring)
        # Objects first: a store whose index names what is not there would be worse than none.
        for each in sorted(kept.digests()):
            if not kept.is_whole(each):
                raise StoreError(f"{kept.path(each)}: damaged; take another backup")
            files.keep_pieces(partial(_pieces, kept.file(each)))
            copied += 1
    finally:
        files.close()
        kept.close()
    if copied < manifest["objects"]:
        raise StoreError(f"{source}: {manifest['objects'] - copied} objects are missing; take another backup")
    database = folder / DATABASE
    if url is None:
        make_file(database)
    rows = _load(url or f"sqlite:///{database.absolute()}", source, manifest, kept.keyring)
    if rows != manifest["rows"]:
        raise StoreError(f"{source}: rows are missing from the backup's database; take another backup")
    Store(folder, url=url, wrapping=wrapping).close()
    return BackedUp(rows, copied, copied)


def _manifest(source: Path) -> dict[str, Any]:
    try:
        found = json.loads((source / MANIFEST).read_bytes())
        if found["form"] != _FORM:
            raise StoreError(f"{source}: the backup was made by a newer version of Aris; update Aris")
        if Path(found["database"]).name != found["database"]:
            raise ValueError
        return {**found, "rows": dict(found["rows"]), "objects": int(found["objects"])}
    except OSError:
        raise StoreError(f"{source}: no backup of Aris ({MANIFEST} is missing)") from None
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{source}: the backup's manifest is damaged; take another backup") from None


def _pieces(file: FileSource) -> Iterator[bytes]:
    with file.open() as opened:
        while piece := opened.read(1 << 20):
            yield piece


def _copy_keyring(source: Keyring, target: Keyring) -> None:
    """Copy a keyring as it is: it is opened by the same key."""
    if source.ring() is None:
        target.path.unlink(missing_ok=True)
    elif not target.path.exists() or target.path.read_bytes() != source.path.read_bytes():
        write_private(target.path, source.path.read_bytes())


def _dump(store: Store, out: Path, key: DataKey | None) -> tuple[dict[str, int], str, str]:
    """Rows by table, digest of the file, revision of the tables; all of one moment."""
    fresh = out / f".{DUMP}.part"
    fresh.unlink(missing_ok=True)
    make_file(fresh)
    rows: dict[str, int] = {}
    with store.sessions.snapshot() as connection:
        known = MetaData()
        known.reflect(connection)
        revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
        with sealing(fresh, key, _DUMPED) as packed, gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6) as file:
            for table in known.sorted_tables:
                if table.name == "alembic_version":
                    continue
                rows[table.name] = 0
                for row in connection.execute(select(table).order_by(*table.primary_key)).yield_per(500):
                    values = {name: _plain(value) for name, value in row._mapping.items()}
                    file.write(json.dumps([table.name, values]).encode() + b"\n")
                    rows[table.name] += 1
    with fresh.open("rb") as done:
        digest = hashlib.file_digest(done, "sha256").hexdigest()
    fresh.replace(out / _dump_name(digest))
    return rows, digest, str(revision)


def _copy(store: Store, digest: str, kept: FileStore, step: Callable[[int], None]) -> bool:
    location = kept.path(digest)
    step(0)
    try:
        encrypted = store.files.key_of(digest) is not None
        # What lies there in clear, or under a key that is no longer known, is copied anew.
        if location.exists() and (kept.key_of(digest) is not None) == encrypted and kept.is_whole(digest):
            return False
    except (KeyringError, OSError):
        pass
    source = store.files.verified(digest)
    make_folder(location.parent)
    fresh = location.with_suffix(".part")
    fresh.unlink(missing_ok=True)
    make_file(fresh)
    shutil.copyfile(source.path, fresh)  # as it lies there: encrypted, where it is
    fresh.replace(location)
    return True


def _load(url: str, source: Path, manifest: dict[str, Any], keyring: Keyring) -> dict[str, int]:
    from alembic.util import CommandError

    engine = create_engine(url)
    rows = dict.fromkeys(manifest["rows"], 0)
    if engine.dialect.name == "sqlite":
        # Rows of a table may refer to each other, and come in the order of their keys.
        event.listen(engine, "connect", lambda made, _: made.execute("PRAGMA foreign_keys=OFF"))
    try:
        upgrade(engine, manifest["revision"])
        known = MetaData()
        known.reflect(engine)
        with engine.begin() as connection:
            for table in known.sorted_tables:
                if table.name in rows and connection.scalar(select(func.count()).select_from(table)):
                    raise StoreError("restore: the database holds something; restore into an empty one")
            for name, values in _lines(source / manifest["database"], keyring):
                table = known.tables[name]
                row = {key: _typed(table, key, each) for key, each in values.items()}
                connection.execute(insert(table).values(row))
                rows[name] += 1
            _settle_sequences(connection, known)
    except CommandError:
        raise StoreError(f"{source}: the backup was made by a newer version of Aris; update Aris") from None
    except (SQLAlchemyError, ValueError, KeyError, EOFError) as error:
        raise StoreError(f"restore: the database cannot be written ({type(error).__name__})") from None
    finally:
        engine.dispose()
    open_database(url).dispose()
    return rows


def _settle_sequences(connection: Any, known: MetaData) -> None:
    """In PostgreSQL the next row's key follows the last one's."""
    if connection.dialect.name != "postgresql":
        return
    for table in known.sorted_tables:
        if "id" in table.c:
            connection.execute(
                text(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), "
                    f"(SELECT coalesce(max(id), 0) + 1 FROM {table.name}), false)"
                )
            )


def _dump_name(digest: str) -> str:
    return f"{DUMP}-{digest[:16]}.jsonl.gz"


def _lines(dump: Path, keyring: Keyring) -> Iterator[tuple[str, dict[str, Any]]]:
    with unsealing(dump, keyring, _DUMPED) as packed, gzip.GzipFile(fileobj=packed, mode="rb") as file:
        for line in file:
            name, values = json.loads(line)
            yield name, values


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return {"base64": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, datetime):
        return (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)).isoformat()
    assert not isinstance(value, date)
    return value


def _typed(table: Table, key: str, value: Any) -> Any:
    kind = table.c[key].type
    if value is None:
        return None
    if isinstance(kind, DateTime):
        return datetime.fromisoformat(value)
    if isinstance(kind, LargeBinary):
        return base64.b64decode(value["base64"])
    return value
