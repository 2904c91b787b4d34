"""The user's cache of models in the form in which they run: one mapped file each, named after what it was made of.

An entry is a header (JSON) and arrays on boundaries of 64 bytes. It is written under another name and renamed, so a
reader meets a whole entry or none, also beside other processes. Its SHA-256 is computed once, and then again only when
the file has changed since (size, times, inode). What is damaged, of another owner, or cannot be written is as if it
were not there: the cache is a convenience, and nothing fails for want of it.

`ARIS_CACHE` names another folder, or is "off"; `ARIS_CACHE_GB` bounds its size (10 by default, 0 is off too).
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

_MAGIC = b"ARISCACH"
_ALIGN = 64
_BLOCK = 1 << 22
_MAX_HEADER = 64 << 20
_DEFAULT_GB = 10.0
# Free space that stays on the disk after an entry was written.
_SPARE = 1 << 30
_ABANDONED_S = 24 * 3600


@dataclass(frozen=True)
class Array:
    """An array of an entry: its bytes, and what they are in PyTorch's words."""

    data: Bytes
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class CacheEntry:
    """An entry that was found: what was stored with it, and its arrays, writable views of the file's private map."""

    meta: dict[str, Any]
    arrays: dict[str, Array]


def folder() -> Path | None:
    """Return the folder of entries; None if the cache is switched off."""
    named = os.environ.get("ARIS_CACHE", "").strip()
    if named.lower() in ("off", "0", "no", "none") or limit_bytes() == 0:
        return None
    if named:
        return Path(named).expanduser() / "models"
    import platformdirs

    return Path(platformdirs.user_cache_dir("aris")) / "models"


def limit_bytes() -> int:
    """Bytes that all entries may take together."""
    try:
        limit = float(os.environ.get("ARIS_CACHE_GB", ""))
    except ValueError:
        limit = _DEFAULT_GB
    return int(max(0.0, limit if math.isfinite(limit) else _DEFAULT_GB) * (1 << 30))


def read(key: str) -> CacheEntry | None:
    """The entry of a key, mapped; None if there is none that is whole and the user's own."""
    path = _path(key)
    if path is None:
        return None
    try:
        if not _own(path.parent.stat()):
            return None
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            if not _own(state) or state.st_size < 16:
                return None
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        if not _whole(path, mapped, state):
            _discard(path)
            return None
        entry = _parsed(mapped)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        with suppress(OSError):
            _discard(path)
        return None
    with suppress(OSError):
        os.utime(_stamp(path))  # when it was last used
    return entry


def write(key: str, meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> bool:
    """Keep an entry; False if it cannot be, for whatever reason."""
    path = _path(key)
    if path is None:
        return False
    header, locations, size = _laid_out(meta, arrays)
    if size > limit_bytes():
        return False
    partial: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _own(path.parent.stat()):
            return False
        path.parent.chmod(0o700)
        _prune(path.parent, limit_bytes() - size)
        if shutil.disk_usage(path.parent).free < size + _SPARE:
            return False
        digest = hashlib.sha256()
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as file:  # mode 0600
            partial = Path(file.name)

            def put(data: Any) -> None:
                digest.update(data)
                file.write(data)

            put(header)
            for array, location in zip(arrays.values(), locations, strict=True):
                put(bytes(location - file.tell()))
                flat = array.data.reshape(-1)
                for start in range(0, len(flat), _BLOCK):
                    put(np.ascontiguousarray(flat[start : start + _BLOCK]).data)
        partial.replace(path)
        partial = None
        _mark_whole(path, digest.hexdigest(), path.stat())
    except OSError:  # a full disk, a folder that cannot be written
        if partial is not None:
            with suppress(OSError):
                partial.unlink()
        return False
    return True


def content_digest(paths: Iterable[Path]) -> str:
    """The SHA-256 of files' contents, computed anew only where a file has changed since it was computed last.

    Raises:
        OSError: a file is not there or cannot be read.
    """
    whole = hashlib.sha256()
    for path in paths:
        whole.update(_digest_of(path).encode())
    return whole.hexdigest()


def state_of(path: Path) -> str:
    """Names a file as it is now: where it is, its size and inode, and when it was changed.

    Raises:
        OSError: it is not there.
    """
    return f"{path.resolve()} {_state(path.stat())}"


@dataclass(frozen=True)
class Kept:
    """An entry as `aris models cache show` lists it."""

    key: str
    what: str
    nbytes: int
    used: float


def entries() -> list[Kept]:
    """List the cache's entries, last used first."""
    location = folder()
    found = []
    for path in sorted(location.glob("*.aris")) if location is not None else []:
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            with path.open("rb") as file:
                start = file.read(16)
                size = int.from_bytes(start[8:], "little")
                if start[:8] != _MAGIC or size > _MAX_HEADER:
                    raise ValueError
                meta = json.loads(file.read(size))["meta"]
            found.append(Kept(path.stem, str(meta.get("what", "")), path.stat().st_size, _last_used(path)))
    return sorted(found, key=lambda each: -each.used)


def clear() -> int:
    """Remove everything from the cache; return how many bytes that freed."""
    location = folder()
    freed = 0
    for path in sorted(location.iterdir()) if location is not None and location.is_dir() else []:
        if path.suffix in (".aris", ".whole", ".partial", ".sha256"):
            with suppress(OSError):
                size = path.stat().st_size
                path.unlink()
                freed += size
    return freed


def _path(key: str) -> Path | None:
    location = folder()
    return None if location is None else location / f"{key}.aris"


def _stamp(path: Path) -> Path:
    return path.with_suffix(".whole")


def _own(state: os.stat_result) -> bool:
    """Return whether nobody else can have put it there."""
    if not hasattr(os, "getuid"):  # Windows: the profile's own rights hold
        return True
    return state.st_uid == os.getuid() and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _state(state: os.stat_result) -> str:
    return f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_dev} {state.st_ino}"


def _whole(path: Path, mapped: mmap.mmap, state: os.stat_result) -> bool:
    """Return whether an entry is as it was written: by what was noted of the file, else by its digest."""
    digest, _, noted = _read_text(_stamp(path)).partition(" ")
    if not digest:  # nothing to compare with
        return False
    if noted == _state(state):
        return True
    with memoryview(mapped) as view:
        if hashlib.sha256(view).hexdigest() != digest:
            return False
    with suppress(OSError):
        _mark_whole(path, digest, state)
    return True


def _mark_whole(path: Path, digest: str, state: os.stat_result) -> None:
    _write_text(_stamp(path), f"{digest} {_state(state)}")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii") if _own(path.stat()) else ""
    except (OSError, ValueError):
        return ""


def _write_text(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile(
        "w", encoding="ascii", dir=path.parent, suffix=".partial", delete=False
    ) as file:
        partial = Path(file.name)
        try:
            file.write(text)
            file.flush()
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise


def _discard(path: Path) -> None:
    path.unlink(missing_ok=True)
    _stamp(path).unlink(missing_ok=True)


def _laid_out(meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[bytes, list[int], int]:
    """The header with its length, where each array begins, and the size of it all."""

    def header(locations: list[int]) -> bytes:
        described = {
            name: [array.dtype, list(array.shape), f"{location:016d}", array.data.nbytes]
            for (name, array), location in zip(arrays.items(), locations, strict=True)
        }
        text = json.dumps({"meta": dict(meta), "arrays": described}).encode()
        return _MAGIC + len(text).to_bytes(8, "little") + text

    at = len(header([0] * len(arrays)))  # of the same length whatever the places are
    locations = []
    for array in arrays.values():
        at = -(-at // _ALIGN) * _ALIGN
        locations.append(at)
        at += array.data.nbytes
    return header(locations), locations, at


def _parsed(mapped: mmap.mmap) -> CacheEntry:
    """Parse an entry.

    Raises:
        ValueError, KeyError, TypeError: it is not an entry.
    """
    size = int.from_bytes(mapped[8:16], "little")
    if mapped[:8] != _MAGIC or size > min(_MAX_HEADER, len(mapped) - 16):
        raise ValueError
    header = json.loads(mapped[16 : 16 + size])
    arrays = {}
    for name, (dtype, shape, location, nbytes) in header["arrays"].items():
        data = np.frombuffer(mapped, dtype=np.uint8, count=nbytes, offset=int(location))
        arrays[name] = Array(data, str(dtype), tuple(shape))
    return CacheEntry(dict(header["meta"]), arrays)


def _digest_of(path: Path) -> str:
    location = folder()
    name = f"{hashlib.sha256(state_of(path).encode()).hexdigest()[:32]}.sha256"
    noted = None if location is None else location / name
    known = "" if noted is None else _read_text(noted)
    if len(known) == 64:
        return known
    digest = hashlib.sha256()
    with path.open("rb") as file:
        before = _state(os.fstat(file.fileno()))
        while block := file.read(_BLOCK):
            digest.update(block)
        unchanged = _state(os.fstat(file.fileno())) == before
    if noted is not None and unchanged and _worth_noting(path):
        with suppress(OSError):
            noted.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_text(noted, digest.hexdigest())
    return digest.hexdigest()


def _worth_noting(path: Path) -> bool:
    """Small files are read again each time, which is quicker than to look up what was noted, and always right.

    A file that was changed a moment ago may change again within the same tick of the file system's clock.
    """
    state = path.stat()
    return state.st_size > _BLOCK and time.time() - max(state.st_mtime, state.st_ctime) > 2


def _last_used(path: Path) -> float:
    with suppress(OSError):
        return _stamp(path).stat().st_mtime
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _prune(location: Path, room: int) -> None:
    """Remove what writers left behind, and those entries that were not used for longest, until the rest fits."""
    now = time.time()
    for path in location.glob("*.partial"):
        with suppress(OSError):
            if now - path.stat().st_mtime > _ABANDONED_S:
                path.unlink()
    total = 0
    for path in sorted(location.glob("*.aris"), key=_last_used, reverse=True):
        with suppress(OSError):
            total += path.stat().st_size
            if total > room:
                total -= path.stat().st_size
                _discard(path)
    notes = sorted(location.glob("*.sha256"), key=_last_used, reverse=True)
    for path in notes[1000:]:
        with suppress(OSError):
            path.unlink()
