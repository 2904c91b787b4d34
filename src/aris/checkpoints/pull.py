"""Getting checkpoints from the hub, and finding those that were got before.

A download is checked against the hub's sizes and digests. The commit that was pulled is remembered, and used from
then on: a model does not change under its user.
"""

from __future__ import annotations

import json
import os
import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from aris.checkpoints import digests
from aris.checkpoints.registry import ModelSpec, did_you_mean
from aris.errors import CheckpointError

# What a checkpoint needs; pickles are never fetched.
_PATTERNS = ["*.json", "*.safetensors", "*.model", "*.jinja", "LICENSE*", "NOTICE*", "README.md"]


def local_folder(name: str, spec: ModelSpec | None, *, revision: str | None = None) -> Path:
    """The folder of a model that was pulled before. Never goes to the network.

    Raises:
        CheckpointError: there is no such model, or it was not pulled.
    """
    repo = spec.repo if spec is not None else name
    if repo.count("/") != 1 or repo.startswith((".", "/", "~")) or repo.endswith("/"):
        raise CheckpointError(
            f"{name}: no such model, folder or .gguf file; see: aris models list{did_you_mean(name)}"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = revision or _remembered(repo) or (spec.revision if spec is not None else None)
    try:
        return Path(snapshot_download(repo, revision=wanted, local_files_only=True, allow_patterns=_PATTERNS))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError):
        meant = "" if spec is not None else did_you_mean(name)
        raise CheckpointError(f"{name}: not on this machine; run: aris models pull {name}{meant}") from None


def pull(name: str, spec: ModelSpec | None, *, revision: str | None = None) -> Path:
    """Download a checkpoint and check it, or complete one that was begun.

    Raises:
        CheckpointError: gated, not found, offline, no room, or damaged on the way: one line each.
    """
    repo = spec.repo if spec is not None else name
    if not repo:
        raise CheckpointError(f"{name}: comes with the package; there is nothing to pull")
    if repo.count("/") != 1:
        raise CheckpointError(f"{name}: no such model; see: aris models list{did_you_mean(name)}")
    from huggingface_hub import HfApi, snapshot_download

    wanted = revision or (spec.revision if spec is not None else None)
    damaged: list[str] = []
    for _ in range(2):  # what comes damaged is fetched once more
        try:
            info = HfApi().model_info(repo, revision=wanted, files_metadata=True)
            folder = Path(snapshot_download(repo, revision=info.sha, allow_patterns=_PATTERNS))
        except Exception as error:  # the hub's client raises a dozen kinds; each becomes one line
            raise CheckpointError(_reason(name, repo, wanted, error)) from None
        damaged = _remove_damaged(folder, info.siblings or [])
        if not damaged:
            digests.remember(_downloaded(folder))
            _remember(repo, str(info.sha))
            return folder
    raise CheckpointError(f"{name}: {damaged[0]}; check the network and pull again")


def require_whole(name: str, folder: Path) -> None:
    """Compare a pulled model's files with the digests that the hub's cache keeps them by, once for each pull.

    So weights of a pull that was cut off, or that another program got, are checked before they are used.

    Raises:
        CheckpointError: a file is damaged.
    """
    paths = _downloaded(folder)
    try:
        if digests.passed_before(paths):
            return
        for path in paths:
            kept = path.readlink().name if path.is_symlink() else ""
            if re.fullmatch("[0-9a-f]{64}", kept):
                whole = digests.sha256([path]) == kept
            elif re.fullmatch("[0-9a-f]{40}", kept):
                whole = digests.git_blob_sha1(path) == kept
            else:
                whole = True  # a cache without links keeps no digests; sizes are checked as tensors are read
            if not whole:
                raise CheckpointError(f"{name}: {path.name} is damaged; run: aris models pull {name}")
    except OSError as error:
        raise CheckpointError(f"{name}: {error.filename}: {error.strerror}; run: aris models pull {name}") from None
    digests.remember(paths)


def _downloaded(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if not path.is_dir()]


def is_local(spec: ModelSpec) -> bool:
    """Return whether a model can be loaded without the network."""
    if not spec.repo:
        return True
    try:
        local_folder(spec.name, spec)
    except CheckpointError:
        return False
    return True


def _remove_damaged(folder: Path, siblings: list[Any]) -> list[str]:
    """Compare files with the size, and large ones with the digest, that the hub gives; what is wrong, in words."""
    damaged = []
    for file in siblings:
        if not any(fnmatch(file.rfilename, pattern) for pattern in _PATTERNS):
            continue
        path = folder / file.rfilename
        digest = getattr(file.lfs, "sha256", None) if file.lfs is not None else None
        if not path.is_file():
            damaged.append(f"{path.name} did not come")
        elif file.size is not None and path.stat().st_size != file.size:
            damaged.append(f"{path.name} came damaged (wrong size) and was removed")
            _discard(path)
        elif digest and digests.sha256([path]) != digest:
            damaged.append(f"{path.name} came damaged (wrong digest) and was removed")
            _discard(path)
    return damaged


def _discard(path: Path) -> None:
    """Remove a file and what it links to, so that the next download fetches it anew."""
    target = path.resolve()
    path.unlink(missing_ok=True)
    target.unlink(missing_ok=True)


def _reason(name: str, repo: str, revision: str | None, error: Exception) -> str:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    status = getattr(getattr(error, "response", None), "status_code", None)
    if "GatedRepoError" in kinds or status in (401, 403):
        return (
            f"{name}: gated; accept its licence on the model's page ({repo}), then log in with: hf auth login, "
            "and pull again"
        )
    if "RevisionNotFoundError" in kinds:
        return f"{name}: no revision {revision} of {repo}; leave --revision out, or give a commit of it"
    if "RepositoryNotFoundError" in kinds or status == 404:
        return f"{name}: the hub has no model {repo}, or hides it until you log in with: hf auth login"
    if isinstance(error, OSError) and error.errno == 28:
        return f"{name}: no space left on this disk; free some, or set HF_HOME to a larger one, and pull again"
    if "OfflineModeIsEnabled" in kinds:
        return f"{name}: offline mode is on (HF_HUB_OFFLINE); unset it and pull again"
    if kinds & {"ConnectError", "ConnectTimeout", "ConnectionError", "TransportError", "LocalEntryNotFoundError"}:
        return f"{name}: the hub cannot be reached; check the network, or give the path of a folder with the model"
    if isinstance(error, PermissionError):
        return f"{name}: the cache cannot be written; set HF_HOME to a folder that can"
    return f"{name}: the download failed ({type(error).__name__}); check the network and pull again"


def _lock_file() -> Path:
    import platformdirs

    return Path(os.environ.get("ARIS_HOME") or platformdirs.user_data_dir("aris")) / "revisions.json"


def _remembered(repo: str) -> str | None:
    try:
        value = json.loads(_lock_file().read_text(encoding="utf-8")).get(repo)
    except (OSError, ValueError, AttributeError):
        return None
    return value if isinstance(value, str) else None


def _remember(repo: str, commit: str) -> None:
    path = _lock_file()
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps({**known, repo: commit}, indent=2) + "\n", encoding="utf-8")
        fresh.replace(path)
    except OSError:
        pass  # the hub's own cache still has the files; only the pin is lost
