"""Digests of files, each computed once: files that passed are remembered by their paths, sizes and times of change."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

_BLOCK = 1 << 20


def sha256(paths: Iterable[Path]) -> str:
    """The SHA-256 of files that follow each other, in hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def git_blob_sha1(path: Path) -> str:
    """The name that git gives to a file's contents: SHA-1 over a short header and the bytes."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def passed_before(paths: Iterable[Path]) -> bool:
    """Return whether these very files were remembered as whole, and none has changed since.

    Raises:
        OSError: one of them is not there.
    """
    return _stamp(paths).exists()


def remember(paths: Iterable[Path]) -> None:
    """Keep that these files are whole. Without a writable cache they are checked again next time."""
    stamp = _stamp(paths)
    try:
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()
    except OSError:
        pass


def _stamp(paths: Iterable[Path]) -> Path:
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(paths)]
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "aris" / f"whole-{hashlib.sha256(repr(states).encode()).hexdigest()[:32]}"
