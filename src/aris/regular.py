"""Files that somebody named, opened without waiting: a pipe, device or socket has no end, or nobody who writes."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from typing import Protocol


class Openable(Protocol):
    """Bytes that are kept somewhere: a file, or what a file holds in another form."""

    @property
    def path(self) -> Path:
        """The place where they lie; what lies there need not be these bytes."""

    def raw(self) -> io.RawIOBase:
        """Open them without a buffer, to be read from anywhere in them."""

    def size(self) -> int:
        """Count them."""


def open_regular(path: str | Path) -> io.BufferedReader:
    """Open a regular file to be read.

    Raises:
        OSError: it cannot be opened, or is a folder, a pipe, a device or a socket.
        ValueError: the path is none.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
    except BaseException:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def read_regular(path: str | Path, most: int = -1) -> bytes:
    """A regular file's bytes, or the first of them.

    Args:
        most: bytes at most; all by default.

    Raises:
        OSError, ValueError: as `open_regular`.
    """
    with open_regular(path) as file:
        return file.read(most)
