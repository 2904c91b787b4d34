"""Transactions on the store's database: reading ones, and writing ones that see what they change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from aris.errors import StoreError, UnavailableError
from aris.store.files import StoreFullError

T = TypeVar("T")
# What the triggers of migration 0003 say.
_LASTING = "never changed or removed"
# PostgreSQL's serialization failure and deadlock: the same work, done again, goes through.
_AGAIN = ("40001", "40P01")


class Sessions:
    """Transactions of one database, for threads and processes that share it.

    Args:
        name: of the store, for errors.
    """

    def __init__(self, engine: Engine, name: str = "store") -> None:
        self._engine = engine
        self._name = name
        # One writer at a time, so that no two threads of ours wait for each other in the database.
        self._writing = threading.Lock()

    @property
    def dialect(self) -> str:
        """The kind of database: "sqlite" or "postgresql"."""
        return self._engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that only reads.

        Raises:
            StoreError: the database cannot be read.
        """
        try:
            with Session(self._engine, expire_on_commit=False) as session:
                yield session
        except SQLAlchemyError as error:
            raise self.error("read", error) from None

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that is committed at its end, and leaves nothing where an exception ends it.

        In SQLite it is the only writing one from its beginning. In PostgreSQL what two may change at once must be
        locked (`Select.with_for_update`).

        Raises:
            StoreFullError: no room.
            StoreError: the database cannot be written.
        """
        try:
            with self._lock(), Session(self._engine, expire_on_commit=False) as session:
                if self.dialect == "sqlite":
                    session.connection().exec_driver_sql("BEGIN IMMEDIATE")
                yield session
                session.commit()
        except IntegrityError as error:
            if _LASTING in str(error.orig):
                raise self.error("written", error) from error
            raise
        except SQLAlchemyError as error:
            raise self.error("written", error) from error

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection that sees the database as it is now, whatever others write meanwhile.

        Raises:
            StoreError: the database cannot be read.
        """
        try:
            with self._engine.connect() as connection:
                if self.dialect == "sqlite":
                    connection.exec_driver_sql("BEGIN")
                else:
                    connection = connection.execution_options(isolation_level="REPEATABLE READ")
                yield connection
                connection.rollback()
        except SQLAlchemyError as error:
            raise self.error("read", error) from None

    def write(self, work: Callable[[Session], T], attempts: int = 5) -> T:
        """Do work in a writing transaction; again, where another process was in its way.

        Raises:
            StoreFullError, StoreError: as `writing`; IntegrityError becomes a StoreError.
        """
        for attempt in range(1, attempts + 1):
            try:
                with self.writing() as session:
                    return work(session)
            except IntegrityError as error:
                if attempt == attempts:
                    raise self.error("written", error) from error
            except StoreError as error:
                cause = error.__cause__
                again = isinstance(cause, DBAPIError) and getattr(cause.orig, "sqlstate", "") in _AGAIN
                if not again or attempt == attempts:
                    raise
            time.sleep(0.02 * 2**attempt)
        raise AssertionError

    def error(self, done: str, error: SQLAlchemyError) -> StoreError:
        """Return what went wrong, without the values that were to be written."""
        said = str(getattr(error, "orig", ""))
        if isinstance(error, OperationalError) and "full" in said:
            return StoreFullError(f"{self._name}: the disk is full; make room, then try again")
        if _LASTING in said:
            return StoreError(f"{self._name}: what is signed, drafted or audited is never changed or removed")
        return UnavailableError(f"{self._name}: the database cannot be {done} ({type(error).__name__})")

    @contextmanager
    def _lock(self) -> Iterator[None]:
        if self.dialect != "sqlite":
            yield
            return
        with self._writing:
            yield


def advisory_lock(session: Session, name: str) -> None:
    """Hold a lock of this name until the transaction ends; SQLite's writers are alone anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"aris {name}"})
