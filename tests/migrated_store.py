"""New stores of the tests begin as a copy of one that was migrated once: the migrations take longer than most tests."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session", autouse=True)
def migrated_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let `open_database` write the newest tables at once into a SQLite file without any; the rest it does as ever."""
    database = pytest.importorskip("aris.store.database")
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    plain = database.upgrade
    made: list[str] = []

    def statements() -> list[str]:
        if not made:
            path = tmp_path_factory.mktemp("migrated") / "aris.db"
            engine = create_engine(f"sqlite:///{path}")
            plain(engine)
            engine.dispose()
            with sqlite3.connect(path) as connection:
                made.extend(list(connection.iterdump())[1:-1])  # without BEGIN and COMMIT
        return made

    def upgrade(engine: Any, revision: str = "head") -> None:
        if revision == "head" and engine.dialect.name == "sqlite" and engine.url.database:
            try:
                with engine.begin() as connection:
                    if not connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar():
                        for statement in statements():
                            connection.exec_driver_sql(statement)
                        return
            except SQLAlchemyError:
                pass  # what is wrong comes out in what follows
        plain(engine, revision)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "upgrade", upgrade)
        yield
