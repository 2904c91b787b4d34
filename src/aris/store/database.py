"""The database behind the store: opened, brought up to date, and set so that a commit is on the disk."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from aris.errors import StoreError
from aris.private import make_file

# Connections that stay open, and as many as threads may want at once (AnyIO's 40 and ours).
_KEPT, _MOST = 16, 48
# Bytes of the file that are read where the system has them, and not copied into each connection's own cache.
_MAPPED = 1 << 28
MIGRATIONS = Path(__file__).with_name("migrations")


def open_database(url: str) -> Engine:
    """An engine on the database, its tables brought up to the newest migration.

    Raises:
        StoreError: it cannot be opened, or is newer than this program.
    """
    from alembic.util import CommandError

    try:
        engine = _engine(url)
        if engine.dialect.name == "sqlite":
            if engine.url.database and engine.url.database != ":memory:":
                # SQLite gives its -wal and -shm files the mode of the database.
                make_file(Path(engine.url.database))
            event.listen(engine, "connect", _durable)
        upgrade(engine)
    except CommandError:
        raise StoreError("the store was made by a newer version of Aris; update Aris") from None
    except ModuleNotFoundError as error:
        raise StoreError(f"the database's driver is not installed ({error.name}); install it") from None
    except DatabaseError as error:
        if "sqlite" in url and type(error) is DatabaseError:  # not a database, or malformed
            raise StoreError("the store's index is damaged; `aris node rebuild` makes it anew") from None
        raise StoreError(f"the store's database cannot be opened ({type(error).__name__}); check its path") from None
    except (SQLAlchemyError, OSError) as error:
        raise StoreError(f"the store's database cannot be opened ({type(error).__name__}); check its path") from None
    return engine


def _engine(url: str) -> Engine:
    """An engine whose pool has a connection for each thread of a server; a file needs no look whether it still answers.

    Raises:
        SQLAlchemyError: the URL is none.
    """
    parts = make_url(url)
    pooled: dict[str, Any] = {"pool_size": _KEPT, "max_overflow": _MOST - _KEPT, "pool_pre_ping": True,
                              "pool_use_lifo": True}  # the warm ones first
    if parts.get_backend_name() == "sqlite":
        pooled = {} if parts.database in (None, "", ":memory:") else pooled | {"pool_pre_ping": False}
    return create_engine(url, **pooled)


def is_sound(engine: Engine) -> bool:
    """Return whether SQLite finds its file undamaged; True for other databases, which look after themselves."""
    if engine.dialect.name != "sqlite":
        return True
    try:
        with engine.connect() as connection:
            return connection.scalar(text("PRAGMA quick_check(1)")) == "ok"
    except SQLAlchemyError:
        return False


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Run the migrations up to a revision."""
    from alembic import command

    settings = _settings()
    for attempt in range(5):
        try:
            with engine.begin() as connection:
                settings.attributes["connection"] = connection
                command.upgrade(settings, revision)
            return
        except SQLAlchemyError:  # another process is doing the same
            if attempt == 4:
                raise
            time.sleep(0.2 * 2**attempt)


def downgrade(engine: Engine, revision: str) -> None:
    """Run the migrations down to a revision; what the newer tables hold is gone then.

    Raises:
        SQLAlchemyError: it cannot be done; nothing is changed then.
    """
    from alembic import command

    settings = _settings()
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, revision)


def _settings() -> Any:
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return settings


def _lower(text: Any) -> Any:
    return text.lower() if isinstance(text, str) else text


def _durable(connection: Any, _record: Any) -> None:
    """SQLite: a commit waits for the disk, readers do not wait for writers, and writers wait for each other.

    Its own `lower` knows the letters of ASCII alone: by it a MÜLLER is found under no spelling.
    """
    connection.create_function("lower", 1, _lower, deterministic=True)
    cursor = connection.cursor()
    pragmas = ("busy_timeout=60000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY",
               f"mmap_size={_MAPPED}")
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
