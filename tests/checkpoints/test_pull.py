"""Pulling: every way it can fail in one line, and a damaged download that never loads. The hub is a local stand-in."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError, RevisionNotFoundError

from aris.checkpoints import find, open_checkpoint, pull
from aris.errors import CheckpointError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def response(status: int) -> httpx2.Response:
    return httpx2.Response(status, request=httpx2.Request("GET", "http://hub.invalid/"))


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARIS_HOME", str(tmp_path / "home"))


def hub(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *, fails: Exception | None = None, damaged: bool = False
) -> None:
    """A hub that holds `folder` at COMMIT, or that fails."""
    good = b"weights" * 100
    (folder / "model.safetensors").write_bytes(good if not damaged else b"WEIGHTS" + good[7:])
    lfs = SimpleNamespace(sha256=hashlib.sha256(good).hexdigest())
    sibling = SimpleNamespace(rfilename="model.safetensors", size=len(good), lfs=lfs)

    def info(self: Any, repo: str, **options: Any) -> Any:
        if fails is not None:
            raise fails
        return SimpleNamespace(sha=COMMIT, siblings=[sibling])

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repo, **options: str(folder))


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (GatedRepoError("gated", response=response(403)), "accept its licence.*hf auth login"),
        (RepositoryNotFoundError("none", response=response(404)), "the hub has no model"),
        (RevisionNotFoundError("none", response=response(404)), "no revision"),
        (OfflineModeIsEnabled("offline"), "offline mode is on"),
        (httpx2.ConnectError("refused"), "cannot be reached"),
        (OSError(errno.ENOSPC, "No space left on device"), "no space left"),
        (PermissionError("cache"), "cannot be written"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_failures_get_one_line_that_says_what_to_do(
    error: Exception, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub(monkeypatch, tmp_path, fails=error)
    with pytest.raises(CheckpointError, match=says) as caught:
        pull.pull("medgemma-4b-it", find("medgemma-4b-it"))
    assert "\n" not in str(caught.value) and str(caught.value).startswith("medgemma-4b-it: ")


def test_a_damaged_download_is_removed_and_its_commit_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub(monkeypatch, tmp_path, damaged=True)
    with pytest.raises(CheckpointError, match=r"wrong digest.*removed"):
        pull.pull("google/gemma-3-4b-pt", None)
    assert not (tmp_path / "model.safetensors").exists()
    assert pull._remembered("google/gemma-3-4b-pt") is None


def test_what_was_pulled_is_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, tmp_path)
    assert pull.pull("google/gemma-3-4b-pt", None) == tmp_path
    asked: dict[str, Any] = {}

    def local(repo: str, **options: Any) -> str:
        asked.update(options)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", local)
    assert pull.local_folder("google/gemma-3-4b-pt", None) == tmp_path
    assert asked["revision"] == COMMIT and asked["local_files_only"] is True


def test_what_was_not_pulled_is_said_without_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="not on this machine; run: aris models pull google/gemma-3-4b-it"):
        open_checkpoint("google/gemma-3-4b-it")
    with pytest.raises(CheckpointError, match="comes with the package"):
        pull.pull("aris-nano", find("aris-nano"))
