"""What several rooms' tests share: the data folder, and tiny configurations in the shapes of the real models."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from migrated_store import migrated_once
from postgres_server import PostgresServer, temporary_server

__all__ = ["migrated_once"]  # for every test

# CI tries the same cases each time, so that a change is judged by what it changed; elsewhere they are new each time.
# Nowhere does a case fail for having been slow: a busy machine is no fault.
settings.register_profile("aris", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=50, derandomize=True, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "aris")
# No test uses a server that happens to run here.
os.environ["ARIS_SERVER"] = "off"

# One thread a worker: the tests run side by side, and small products do not gain from more.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Triton reads this when it is first imported, which libraries do too. Where there is a GPU its kernels run on that.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")


def find_data_dir() -> Path | None:
    """The shared data: `$ARIS_DATA`, or `shared/data` beside the checkout."""
    named = os.environ.get("ARIS_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def data_dir() -> Path:
    folder = find_data_dir()
    if folder is None:
        pytest.skip("no shared data here (set ARIS_DATA)")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer | None]:
    """A running PostgreSQL; None where none is installed."""
    with temporary_server() as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def commands_once() -> Iterator[None]:
    """Let Typer's runner, which makes all commands of `aris` anew for each call, make them once."""
    import typer.testing

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.testing, "_get_command", cache(typer.testing._get_command))
        yield


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """What `Store` takes as its database: None for SQLite in its folder, or the URL of an empty one in PostgreSQL."""
    if request.param == "sqlite":
        yield None
        return
    server: PostgresServer | None = request.getfixturevalue("postgres")
    if server is None:
        pytest.skip("no PostgreSQL here (Debian: postgresql; pip: psycopg)")
    url = server.fresh()
    yield url
    server.drop(url)


def pytest_configure() -> None:
    gc.disable()  # until all is imported: there is nothing yet to free


def pytest_collection(session: pytest.Session) -> None:
    """Let each worker begin at another file: what one of them has compiled the others only read."""
    worker = getattr(session.config, "workerinput", None)
    here = Path(__file__).parent
    if worker is None or here not in [Path(each).resolve() for each in session.config.args]:
        return
    files = sorted(here.rglob("test_*.py"))
    share = -(-len(files) // worker["workercount"])
    at = share * int(worker["workerid"].removeprefix("gw"))
    for path in files[at : at + share] if at else ():
        for folder in (path.parent, *path.parent.parents):
            if folder.is_relative_to(here) and str(folder) not in sys.path:
                sys.path.insert(0, str(folder))
        with suppress(Exception, pytest.skip.Exception):  # said where pytest imports it
            importlib.import_module(path.stem)


def pytest_collection_finish() -> None:
    gc.freeze()  # nor look through a million objects of modules again and again
    gc.enable()


@pytest.hookimpl(tryfirst=True)  # before -m is looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    lines = [line.split() for line in (here / "slow_tests.txt").read_text().splitlines() if not line.startswith("#")]
    seen: set[str] = set()
    for item in items:
        if not item.path.is_relative_to(here):
            continue
        name = f"{item.path.relative_to(here).as_posix()}::{item.nodeid.partition('::')[2]}"
        function = name.partition("[")[0]
        for pattern, *rest in lines:
            if fnmatch(function, pattern) and (not rest or function in seen):
                item.add_marker(pytest.mark.slow)
                break
        seen.add(function)


# Files whose tests take longest, in this order: they begin first, so that no worker waits for the other in the end.
LONG = ("test_cuda_runner.py", "test_distributed.py", "test_triton_compiles.py", "test_real_weights.py", "test_node.py",
        "test_same_bits.py", "test_server_process.py", "test_run.py", "test_gpu_kernels.py", "test_corpus.py",
        "test_deidentify.py", "test_evidence.py")  # fmt: skip
# Files whose tests have nothing in common that is dear, so that they may be done in several places.
APART = ("test_cuda_runner.py", "test_distributed.py", "test_triton_compiles.py")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file's tests go to one worker, so that its model is loaded once."""
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            folder, _, name = path.rpartition("/")
            if name in APART:
                return nodeid
            # The vocabulary, and transformers' tokenizer made of it, take as long as all their tests.
            return folder if folder.endswith("tests/prompting") else path

        def _assign_work_unit(self, node: Any) -> None:
            if not any(self.assigned_work.values()):  # the first
                for name in reversed(LONG):
                    for scope in [each for each in self.workqueue if f"/{name}" in f"/{each}"]:
                        self.workqueue.move_to_end(scope, last=False)
            super()._assign_work_unit(node)

    return ByFile(config, log)
