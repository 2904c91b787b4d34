"""Commands and the user's resident server: used where it is the same, silently done without where it is not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import aris as package
from aris.backends import NativeBackend
from aris.backends.resident.address import Wanted
from aris.backends.resident.backend import ServedBackend
from aris.service.resident import ResidentServer

Aris = Callable[..., Any]


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> NativeBackend:
    return package.load(tiny_model)


@pytest.fixture
def loads(model: NativeBackend, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that commands loaded themselves."""
    loaded: list[str] = []

    def load(name: str, **_: Any) -> NativeBackend:
        loaded.append(str(name))
        return model

    monkeypatch.setattr("aris.backends.load", load)
    return loaded


@pytest.fixture
def server(
    model: NativeBackend, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ResidentServer]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("r")))
    monkeypatch.delenv("ARIS_SERVER", raising=False)
    made = ResidentServer(model, Wanted(str(tiny_model)).terms())
    made.start()
    assert made.path is not None
    yield made
    made.close()


def ask(aris: Aris, model: Path, *more: str) -> Any:
    done = aris("ask", "Are the lungs clear?", "--model", model, "--max-tokens", 8, "--json", *more)
    assert done.exit_code == 0, done.output
    return {key: value for key, value in json.loads(done.stdout).items() if key != "timings"}


def test_the_server_answers_and_nothing_is_loaded(
    server: ResidentServer, loads: list[str], aris: Aris, tiny_model: Path, film_png: Path
) -> None:
    by_server = ask(aris, tiny_model, "-i", str(film_png))
    assert loads == []
    assert ask(aris, tiny_model, "-i", str(film_png), "--no-server") == by_server and loads == [str(tiny_model)]


@pytest.mark.parametrize("value", ["off", "/nowhere/at/all", "http://127.0.0.1:9"])
def test_without_a_server_the_model_is_loaded_and_nothing_is_said(
    server: ResidentServer, loads: list[str], aris: Aris, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("ARIS_SERVER", value)
    done = aris("ask", "Are they clear?", "--model", tiny_model, "--max-tokens", 4, "--json")
    assert done.exit_code == 0 and loads == [str(tiny_model)] and "server" not in done.stderr.lower()


def test_another_setting_loads(server: ResidentServer, loads: list[str], aris: Aris, tiny_model: Path) -> None:
    ask(aris, tiny_model, "--dtype", "float32", "--device", "cpu")
    assert loads == [str(tiny_model)]


def test_a_server_that_stops_between_two_files_is_not_noticed(
    server: ResidentServer,
    loads: list[str],
    aris: Aris,
    tiny_model: Path,
    film_png: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, closed = ServedBackend.score_many, []
    alone = aris("findings", film_png, film_png, "--model", tiny_model, "--force", "--no-server")

    def once(self: ServedBackend, *args: Any) -> Any:
        found = real(self, *args)
        server.close()
        closed.append(1)
        return found

    monkeypatch.setattr(ServedBackend, "score_many", once)
    done = aris("findings", film_png, film_png, "--model", tiny_model, "--force")
    assert (done.exit_code, done.stdout, done.stderr) == (alone.exit_code, alone.stdout, alone.stderr)
    assert closed


def test_commands_that_measure_or_serve_use_none(server: ResidentServer, tiny_model: Path) -> None:
    from aris.cli.session import Session

    settings: dict[str, Any] = {"dtype": "auto", "device": "auto", "adapter": None}
    assert Session(str(tiny_model), **settings)._served() is not None
    assert Session(str(tiny_model), **settings, here=True)._served() is None
    assert Session(str(tiny_model), **settings, adapters={"one": "folder"})._served() is None
