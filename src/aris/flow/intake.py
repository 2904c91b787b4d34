"""Files into the store: what a user uploads, and what others put into a watched folder."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aris.errors import ArisError, StoreError
from aris.flow.house import House
from aris.imaging.sources import FileSource
from aris.private import make_folder
from aris.store.files import StoreFullError
from aris.store.objects import ObjectError, canonical, identity, parse
from aris.store.store import Added, Store

log = logging.getLogger("aris.flow")
# Where a watched folder's files go: taken in, or not.
TAKEN, REFUSED = "aris-taken", "aris-refused"
# A file that has not changed for so long is whole.
_STILL_S = 2.0


@dataclass(frozen=True)
class Upload:
    """The outcome for one file: `added`, or the reason why not."""

    path: Path
    added: Added | None
    error: str = ""


def add_file(store: Store, path: Path, source: str) -> Added:
    """Keep a DICOM file.

    Raises:
        StoreFullError: no room.
        StoreError: it cannot be read, or is no DICOM object.
    """
    try:
        return store.add_file(FileSource(path), source=source, name=str(path))[1]
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from None


def add_bytes(store: Store, data: bytes, source: str, name: str) -> tuple[str, Added]:
    """Keep the contents of a DICOM file. Its Study Instance UID, and what became of it.

    Raises:
        StoreFullError: no room.
        StoreError: it is no DICOM object.
    """
    known = identity(parse(data, name, pixels=False), name)
    return known.study, store.add(canonical(data, known), source=source, name=name)


def upload(store: Store, paths: Sequence[Path], source: str = "UPLOAD") -> Iterator[Upload]:
    """Keep files, and all files of folders; what cannot be kept stops nothing but a full disk.

    Raises:
        StoreFullError: no room.
    """
    for path in paths:
        for each in sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]:
            if path.is_dir() and each.name.upper() == "DICOMDIR":
                continue
            try:
                yield Upload(each, add_file(store, each, source))
            except StoreFullError:
                raise
            except ArisError as error:
                yield Upload(each, None, str(error))


def watch(house: House, now: float | None = None) -> int:
    """Take in what lies still in the watched folders. How many files were.

    A file is moved only after it is in the store: one that is left by a crash is taken in again, as what is known.
    Only what is no DICOM object is refused; what cannot be kept now stays, and is tried again.
    """
    taken = 0
    for folder in house.settings.watch:
        try:
            for name in (TAKEN, REFUSED):
                make_folder(folder / name)
            moment = time.time() if now is None else now
            waiting = sorted(each for each in _files(folder) if _waits(each, moment))
        except OSError as error:
            log.error("a watched folder cannot be read (%s)", error.strerror)
            continue
        left = 0
        for path in waiting:
            try:
                into = _take(house, path)
                if into is None:
                    left += 1
                    continue
                _move(path, folder, into)
            except StoreFullError:
                log.error("a watched folder waits: the disk is full")
                return taken
            except OSError as error:
                log.error("a file of a watched folder cannot be moved (%s)", error.strerror)
                continue
            taken += into == TAKEN
        if left:
            log.error("a watched folder: %d files cannot be kept now; they stay, and are tried again", left)
    return taken


def _take(house: House, path: Path) -> str | None:
    """Take a file in. The folder that it goes to; None where it can neither be kept now nor is no DICOM object."""
    try:
        add_file(house.store, path, "FOLDER")
    except StoreFullError:
        raise
    except ObjectError as error:
        log.warning("a file of a watched folder was refused (%s)", type(error).__name__)
        return REFUSED
    except StoreError:
        return None
    return TAKEN


def _files(folder: Path) -> Iterator[Path]:
    """Files below a watched folder; of those that were taken or refused none is looked at again."""
    for inside, folders, names in os.walk(folder):
        if Path(inside) == folder:
            folders[:] = [each for each in folders if each not in (TAKEN, REFUSED)]
        yield from (Path(inside) / name for name in names)


def _waits(path: Path, now: float) -> bool:
    if path.name.startswith(".") or path.is_symlink():
        return False
    return path.is_file() and now - path.stat().st_mtime >= _STILL_S


def _move(path: Path, folder: Path, into: str) -> None:
    target = folder / into / path.relative_to(folder)
    number = 0
    while target.exists():
        number += 1
        target = folder / into / f"{path.relative_to(folder)}.{number}"
    target.parent.mkdir(parents=True, exist_ok=True)
    path.replace(target)
