"""Folders and files for their owner alone: they may show or name a patient. Made so whatever the umask."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

FOLDER, FILE = 0o700, 0o600


def make_folder(folder: Path) -> None:
    """Make a folder with what is above it; only the last one is for its owner alone.

    Raises:
        OSError: it cannot be made.
    """
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True, mode=FOLDER)
        folder.chmod(FOLDER)  # a umask takes away, also from the owner


def make_file(path: Path) -> None:
    """Make an empty file for its owner alone, where there is none.

    Raises:
        OSError: it cannot be made.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), FILE)
    except FileExistsError:
        return
    try:
        if hasattr(os, "fchmod"):
            os.fchmod(handle, FILE)
    finally:
        os.close(handle)


def write_private(path: Path, data: bytes) -> None:
    """Write a file, replacing one that is there: a kill or a power cut leaves the one before or this one, whole.

    Raises:
        OSError: it cannot be written; nothing of it is left behind.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".aris-")
    try:
        with os.fdopen(handle, "wb") as file:
            if hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), 0o600)  # a umask takes away, also from the owner
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Put a folder's names on the disk: a renamed file survives a power cut only then.

    Raises:
        OSError: it cannot be opened, or the disk failed.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
