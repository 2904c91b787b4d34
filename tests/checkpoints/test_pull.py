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
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("ARIS_HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))


def hub(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *, fails: Exception | None = None, arrives: tuple[bytes, ...] = ()
) -> None:
    """A hub that holds a model at COMMIT, or that fails; what arrives may differ from what it holds, time by time."""
    good = b"weights" * 100
    coming = list(arrives)
    lfs = SimpleNamespace(sha256=hashlib.sha256(good).hexdigest())
    sibling = SimpleNamespace(rfilename="model.safetensors", size=len(good), lfs=lfs)

    def info(self: Any, repo: str, **options: Any) -> Any:
        if fails is not None:
            raise fails
        return SimpleNamespace(sha=COMMIT, siblings=[sibling])

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", info)
    def download(repo: str, **options: Any) -> str:
        path = folder / "model.safetensors"
        if not path.exists():  # as the hub's client does: what is there is not fetched again
            path.write_bytes(coming.pop(0) if coming else good)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)


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


def test_what_comes_damaged_is_fetched_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, tmp_path, arrives=(b"cut off",))
    assert pull.pull("google/gemma-3-4b-pt", None) == tmp_path
    assert (tmp_path / "model.safetensors").read_bytes() == b"weights" * 100


@pytest.mark.parametrize(("content", "says"), [(b"WEIGHTS" * 100, "wrong digest"), (b"cut off", "wrong size")])
def test_what_comes_damaged_twice_is_removed_and_its_commit_is_not_remembered(
    content: bytes, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub(monkeypatch, tmp_path, arrives=(content, content))
    with pytest.raises(CheckpointError, match=rf"{says}.*removed"):
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


def cached(folder: Path, weights: bytes, config: bytes) -> Path:
    """A snapshot as the hub's client keeps it: links to blobs that are named by their digests."""
    blobs, snapshot = folder / "blobs", folder / "snapshots" / COMMIT
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    git = hashlib.sha1(b"blob %d\0" % len(config) + config, usedforsecurity=False).hexdigest()
    for name, blob, content in (
        ("model.safetensors", hashlib.sha256(weights).hexdigest(), weights),
        ("config.json", git, config),
    ):
        (blobs / blob).write_bytes(content)
        (snapshot / name).symlink_to(Path("../../blobs") / blob)
    return snapshot


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_that_was_damaged_in_the_cache_never_loads(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = cached(tmp_path, b"weights" * 100, b"{}")
    pull.require_whole("m", snapshot)
    with monkeypatch.context() as patched:
        patched.setattr("aris.checkpoints.digests.sha256", lambda paths: pytest.fail("hashed again"))
        pull.require_whole("m", snapshot)  # remembered
    blob = (snapshot / name).resolve()
    blob.write_bytes(b"W" + blob.read_bytes()[1:])
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repo, **options: str(snapshot))
    with pytest.raises(CheckpointError, match=rf"{name} is damaged; run: aris models pull google/gemma-3-4b-it"):
        open_checkpoint("google/gemma-3-4b-it")
