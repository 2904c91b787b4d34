"""What the tests of the command line share: a runner, films on disk, a tiny checkpoint, a scripted aris-nano."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from typer.testing import CliRunner, Result

import tiny_checkpoint
from films import filmlike
from scripted_backend import ScriptedBackend, nano

Aris = Callable[..., Result]


@pytest.fixture
def aris(monkeypatch: pytest.MonkeyPatch) -> Aris:
    """Runs `aris` in this process: aris("draft", "film.png") -> its exit code, stdout and stderr."""
    from aris.cli import app

    for name in ("ARIS_MODEL", "ARIS_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    runner = CliRunner()
    return lambda *args, **keywords: runner.invoke(app, [str(arg) for arg in args], **keywords)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint in Hugging Face layout, with a tower."""
    return tiny_checkpoint.save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def film_png(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that passes for a film."""
    path = tmp_path_factory.mktemp("films") / "film.png"
    PIL.Image.fromarray(filmlike()).save(path)
    return path


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ScriptedBackend]:
    """Let every command load a scripted model like aris-nano; arguments as for `scripted_backend.nano`."""

    def use(**changes: Any) -> ScriptedBackend:
        text = ("FINDINGS: Opacity on the right.\n", "IMPRESSION: ", "Pneumonia is likely.")
        model = nano(**({"pieces": text} | changes))
        monkeypatch.setattr("aris.backends.load", lambda *_, **__: model)
        return model

    return use
