"""The audit trail tells whether it was changed, cut, reordered or shortened; its key is outside the database."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filled import NOW, STUDY
from sqlalchemy import create_engine, text

from aris.errors import StoreError
from aris.store.reading import audit
from aris.store.store import Store


@pytest.fixture
def url(tmp_path: Path, database_url: str | None) -> str:
    return database_url or f"sqlite:///{tmp_path / 'store' / 'aris.db'}"


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Store:
    return Store(tmp_path / "store", url=database_url)


@pytest.fixture
def trail(store: Store, tmp_path: Path) -> audit.Trail:
    made = audit.open_trail(store.sessions, tmp_path / "keys" / "audit.key")
    with store.sessions.writing() as session:
        for number in range(1, 9):
            made.add(session, f"reader{number % 2}", "view", STUDY, now=NOW, number=number, note="Ü")
    return made


def wrong(store: Store, trail: audit.Trail, heads: list[audit.Head] | None = None) -> list[str]:
    with store.sessions.reading() as session:
        return trail.verify(session, heads)


def tamper(url: str, *statements: str) -> None:
    """As one who may do all to the database, and has not the key."""
    engine = create_engine(url)
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            for event in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER IF EXISTS audit_no_{event}"))
        else:
            connection.execute(text("ALTER TABLE audit DISABLE TRIGGER USER"))
        for each in statements:
            connection.execute(text(each))
    engine.dispose()


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        (["UPDATE audit SET actor = 'nobody' WHERE number = 3"], "event 3"),
        (["UPDATE audit SET detail = '{}' WHERE number = 8"], "event 8"),
        (["UPDATE audit SET at = '2020-01-01T00:00:00+00:00' WHERE number = 1"], "event 1"),
        (["DELETE FROM audit WHERE number = 4"], "event 4: removed"),
        (["DELETE FROM audit WHERE number < 4"], "events 1 to 3: removed"),
        (["UPDATE audit SET number = 100 WHERE number = 2", "UPDATE audit SET number = 2 WHERE number = 5",
          "UPDATE audit SET number = 5 WHERE number = 100"], "event 2"),
        # Removed, and those behind it numbered anew.
        (["DELETE FROM audit WHERE number = 7", "UPDATE audit SET number = 7 WHERE number = 8"], "event 7"),
        (["INSERT INTO audit SELECT 9, at, actor, action, subject, outcome, detail, mac FROM audit WHERE number = 8"],
         "event 9"),
        (["UPDATE house SET value = 'another' WHERE key = 'identity'"], "event 1"),
    ],
)  # fmt: skip
def test_every_kind_of_tampering_is_found(
    store: Store, trail: audit.Trail, url: str, statements: list[str], told: str
) -> None:
    assert wrong(store, trail) == []
    tamper(url, *statements)
    assert any(line.startswith(told) for line in wrong(store, trail))


def test_a_cut_is_found_by_the_head_that_was_exported(
    store: Store, trail: audit.Trail, url: str, tmp_path: Path
) -> None:
    out = tmp_path / "heads.jsonl"
    with store.sessions.reading() as session:
        trail.export(session, out)
        trail.export(session, out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    heads = audit.read_heads(out)
    assert [head.number for head in heads] == [8] and wrong(store, trail, heads) == []
    with store.sessions.writing() as session:
        trail.add(session, "reader1", "sign", STUDY)
    assert wrong(store, trail, heads) == []
    tamper(url, "DELETE FROM audit WHERE number > 6")
    assert wrong(store, trail) == []  # nothing in the database tells
    assert wrong(store, trail, heads) == [
        "event 8: its seal was exported, and it is gone: the trail was cut after event 6"
    ]
    with store.sessions.writing() as session:  # new events in its place do not help
        for _ in range(3):
            trail.add(session, "reader1", "view", STUDY)
    assert wrong(store, trail, heads) == ["event 8: not the one whose seal was exported"]


def test_a_trail_made_with_another_key_is_none(store: Store, trail: audit.Trail, tmp_path: Path) -> None:
    forged = audit.Trail(b"x" * 32)
    assert len(wrong(store, forged)) == 8
    key = tmp_path / "keys" / "audit.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    key.unlink()
    with pytest.raises(StoreError, match="cannot be read"):  # and none is made in its place
        audit.open_trail(store.sessions, key)
    key.write_text("00")
    with pytest.raises(StoreError, match="not a key"):
        audit.open_trail(store.sessions, key)


def test_events_of_several_at_once_are_one_chain(tmp_path: Path, database_url: str | None) -> None:
    stores = [Store(tmp_path / "store", url=database_url) for _ in range(3)]
    key = tmp_path / "key"

    def add(number: int) -> None:
        store = stores[number % 3]
        trail = audit.open_trail(store.sessions, key)
        store.sessions.write(lambda session: trail.add(session, "x", "view", STUDY, number=number))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add, range(30)))
    with stores[0].sessions.reading() as session:
        trail = audit.open_trail(stores[0].sessions, key)
        assert trail.verify(session) == [] and trail.head(session).number == 30
