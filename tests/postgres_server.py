"""A real PostgreSQL for tests, where Debian's is installed: in a temporary folder, reached by a socket alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

_numbers = count(1)


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`; None where there is no PostgreSQL."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    named = shutil.which("initdb")
    return None if named is None else Path(named).resolve().parent


class PostgresServer:
    """A running server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._template = ""

    def fresh(self) -> str:
        """The URL of a new database that has the store's tables and no rows: a copy of one that was made first."""
        if not self._template:
            from aris.store.database import open_database

            self._template = self._create("")
            open_database(self._url(self._template)).dispose()
        return self._url(self._create(f"TEMPLATE {self._template}"))

    def drop(self, url: str) -> None:
        """Remove a database, whoever still uses it: each takes some megabytes."""
        import psycopg

        name = url.partition("?")[0].rpartition("/")[2]
        with psycopg.connect(f"host={self._folder} user=aris dbname=postgres", autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def empty(self) -> str:
        """The URL of a new database without tables."""
        return self._url(self._create(""))

    def _create(self, how: str) -> str:
        import psycopg

        name = f"aris_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(f"host={self._folder} user=aris dbname=postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} {how}")
        return name

    def _url(self, name: str) -> str:
        return f"postgresql://aris@/{name}?host={self._folder}"


@contextmanager
def running(folder: Path) -> Iterator[PostgresServer]:
    """A server as long as the block runs; as another user where this one is root, whom PostgreSQL refuses."""
    import psycopg

    user: list[str] = []
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        shutil.chown(folder, "nobody", "nogroup")
    bin_folder = programs()
    assert bin_folder is not None
    data = str(folder / "data")
    how = ["-U", "aris", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    make = [*user, bin_folder / "initdb", "-D", data, *how]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=folder)
    # A server that is killed with its machine is not what these tests are about.
    quick = ["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=60"]
    start = [bin_folder / "postgres", "-D", data, "-h", "", "-k", folder, *quick]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([*user, *start], stdout=log, stderr=log, cwd=folder)
    try:
        for _ in range(600):
            try:
                psycopg.connect(f"host={folder} user=aris dbname=postgres").close()
                break
            except psycopg.OperationalError:
                if server.poll() is not None:
                    raise RuntimeError((folder / "log").read_text()) from None
                time.sleep(0.1)
        yield PostgresServer(folder)
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait(60)


@contextmanager
def temporary_server() -> Iterator[PostgresServer | None]:
    """As `running`, in a folder of its own; None where there is no PostgreSQL or no psycopg."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        yield None
        return
    if programs() is None:
        yield None
        return
    # Not pytest's own folder, into which another user may not look; and a socket's path must be short.
    # In memory where that can be had: its files are many.
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > 1 << 30 else "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="aris-pg-", dir=place))
    try:
        with running(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)
