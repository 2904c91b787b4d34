"""Folders and files for their owner alone: they name patients. Made so whatever the umask, and checked at start."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from aris.errors import StoreError
from aris.private import FILE, FOLDER, make_folder

# Entries that a start looks at; a node looks at all of them.
_GLANCE = 20_000


def claim(folder: Path, known: tuple[str, ...]) -> None:
    """Make a store's folder, or take one that is there: nobody else may look into it from now on.

    Args:
        known: names of which one shows that the folder is a store already.

    Raises:
        StoreError: it is another user's, or it is open to others and holds other things, whose owner may want it so.
        OSError: it cannot be made.
    """
    if not folder.exists():
        make_folder(folder)
        return
    status = folder.stat()
    if not stat.S_ISDIR(status.st_mode):
        raise StoreError(f"{folder}: not a folder; choose another for the store")
    _require_own(folder, status)
    if os.name == "posix" and stat.S_IMODE(status.st_mode) & 0o077:
        names = [each.name for each in os.scandir(folder)]
        if names and not any(name in known for name in names):
            raise StoreError(
                f"{folder}: others may read this folder, and it holds other things; give the store a folder of its own"
            )
        folder.chmod(FOLDER)


def tighten(folder: Path, *, every: bool = False) -> int:
    """Take from others what they may do with a store's folders and files.

    Args:
        every: look at all of them, however many there are; else at some ten thousand, which takes no time.

    Returns:
        how many were open to others.

    Raises:
        StoreError: something in it is another user's.
    """
    if os.name != "posix":
        return 0
    found = 0
    for seen, entry in enumerate(_inside(folder)):
        if seen >= _GLANCE and not every:
            break
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:  # another process has just removed it
            continue
        if stat.S_ISLNK(status.st_mode):
            continue
        _require_own(Path(entry.path), status)
        wanted = FOLDER if stat.S_ISDIR(status.st_mode) else FILE
        if stat.S_IMODE(status.st_mode) & 0o077:
            try:
                Path(entry.path).chmod(wanted)
            except FileNotFoundError:
                continue
            found += 1
    return found


def _inside(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Everything below a folder; the folders of a folder after its files, so that a glance sees the database first."""
    below = [folder]
    while below:
        with os.scandir(below.pop(0)) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    below.append(Path(entry.path))


def _require_own(path: Path, status: os.stat_result) -> None:
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        raise StoreError(
            f"{path}: belongs to another user; run Aris as that user, give it to this one (chown), or choose another "
            "folder for the store"
        )
