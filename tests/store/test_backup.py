"""A backup is made while the store is in use, and becomes the same store in either database."""

from __future__ import annotations

import json
import shutil
import stat
from datetime import datetime
from pathlib import Path

import pytest
from filled import NOW, STUDY, fill
from sqlalchemy import select

from aris.errors import StoreError
from aris.store.backup import backup, restore
from aris.store.checking import problems
from aris.store.reading import audit, reading_tables
from aris.store.schema import Base
from aris.store.store import Store
from dicom_objects import as_bytes, image
from postgres_server import PostgresServer


def rows(store: Store) -> dict[str, list[tuple[object, ...]]]:
    names = [*reading_tables(), "studies", "series", "instances", "copies", "apart"]
    made = {}
    with store.sessions.reading() as session:
        for name in names:
            table = Base.metadata.tables[name]
            made[name] = [tuple(row) for row in session.execute(select(table).order_by(*table.primary_key))]
    return made


def without_offsets(found: dict[str, list[tuple[object, ...]]]) -> dict[str, list[tuple[object, ...]]]:
    """The index's own moments are in UTC, with an offset in PostgreSQL and without in SQLite."""
    return {
        name: [
            tuple(each.replace(tzinfo=None) if isinstance(each, datetime) else each for each in row) for row in table
        ]
        for name, table in found.items()
    }


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_a_store_comes_back_as_it_was(
    tmp_path: Path, database_url: str | None, postgres: PostgresServer | None, target: str
) -> None:
    if target == "postgresql" and postgres is None:
        pytest.skip("no PostgreSQL here")
    url = postgres.empty() if target == "postgresql" and postgres is not None else None
    with Store(tmp_path / "store", url=database_url) as store:
        fill(store, tmp_path / "key")
        made = backup(store, tmp_path / "backup")
        assert made.objects == made.copied == 2 and min(made.rows.values()) > 0
        before = rows(store)
    for path in [tmp_path / "backup", *(tmp_path / "backup").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    came = restore(tmp_path / "backup", tmp_path / "again", url=url)
    assert came.rows == made.rows and came.objects == 2
    with Store(tmp_path / "again", url=url) as again:
        assert without_offsets(rows(again)) == without_offsets(before)
        assert problems(again) == []
        trail = audit.open_trail(again.sessions, tmp_path / "key")
        with again.sessions.writing() as session:
            assert trail.verify(session) == []
            trail.add(session, "ana", "view", STUDY, now=NOW)
        assert again.add(as_bytes(image(7))).outcome == "stored"  # keys go on behind the last one


def test_a_second_backup_copies_what_is_new_and_a_broken_off_one_leaves_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "backup"
    with Store(tmp_path / "store") as store:
        fill(store, tmp_path / "key")
        backup(store, out)
        store.add(as_bytes(image(3)))
        assert (made := backup(store, out)).objects == 3 and made.copied == 1
        store.add(as_bytes(image(4)))
        with monkeypatch.context() as broken:
            broken.setattr("aris.store.backup._copy", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                backup(store, out)
    assert restore(out, tmp_path / "again").rows["instances"] == 2
    assert len(list(out.glob("database-*"))) == 2


def test_what_is_damaged_or_in_the_way_is_said(tmp_path: Path) -> None:
    out = tmp_path / "backup"
    with Store(tmp_path / "store") as store:
        fill(store, tmp_path / "key")
        backup(store, out)
    with pytest.raises(StoreError, match="holds something"):
        restore(out, tmp_path / "store")
    with pytest.raises(StoreError, match="no backup"):
        restore(tmp_path, tmp_path / "new")
    for damage, told in (
        (lambda copy: next(copy.glob("database-*")).write_bytes(b"x"), "damaged"),
        (lambda copy: next(copy.glob("objects/*/*.dcm")).write_bytes(b"x"), "damaged"),
        (lambda copy: next(copy.glob("objects/*/*.dcm")).unlink(), "missing"),
        (lambda copy: (copy / "manifest.json").write_text("{}"), "damaged"),
        (lambda copy: _newer(copy / "manifest.json"), "newer"),
    ):
        copy = tmp_path / "copy"
        shutil.copytree(out, copy)
        damage(copy)
        with pytest.raises(StoreError, match=told):
            restore(copy, tmp_path / "new")
        shutil.rmtree(copy)
        shutil.rmtree(tmp_path / "new", ignore_errors=True)


def _newer(manifest: Path) -> None:
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"revision": "9999"}))


def test_a_damaged_object_keeps_no_report_from_being_backed_up(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        fill(store, tmp_path / "key")
        damaged = next(store.files.digests())
        store.files.path(damaged).write_bytes(b"x")
        made = backup(store, tmp_path / "backup")
    assert made.damaged == (damaged,) and made.objects == 1 and made.rows["reports"] > 0
    assert restore(tmp_path / "backup", tmp_path / "again").objects == 1
    with Store(tmp_path / "again") as again:
        assert len(problems(again)) == 1  # and it is said there
