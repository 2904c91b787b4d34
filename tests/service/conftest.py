"""What the tests of the server share: a server over a tiny checkpoint that never stops."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Served, serving

import aris
import tiny_checkpoint
from aris.backends import NativeBackend
from aris.service import Limits
from imported_late import late

openai = late("openai")


@pytest.fixture(scope="session")
def endless_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint whose answers take minutes: greedy, it falls into a loop."""
    return tiny_checkpoint.save(tmp_path_factory.mktemp("service") / "tiny", max_position_embeddings=60_000)


@pytest.fixture(scope="session")
def backend(endless_folder: Path) -> NativeBackend:
    return aris.load(endless_folder, device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def served(backend: NativeBackend) -> Iterator[Served]:
    """A server without a key and with wide limits."""
    with serving(backend, limits=Limits(output_tokens=50_000)) as up:
        yield up


@pytest.fixture
def client(served: Served) -> openai.OpenAI:
    return served.openai()
