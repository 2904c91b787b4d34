"""Files named by the SHA-256 of their contents. A file is there whole or not at all, and stays after a power cut."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from aris.errors import StoreError, is_full_disk
from aris.private import FILE, make_file, make_folder, sync_folder

RESERVE_BYTES = 256 << 20


class StoreFullError(StoreError):
    """The disk is full, or nearly: what was sent is not kept."""


class FileStore:
    """A folder of files. One process's threads, and several processes, may add to it at once.

    Args:
        folder: is made if it is not there, for its owner alone: the files hold patient data.
        reserve_bytes: are left free on the disk, so that the database can always be written.
    """

    def __init__(self, folder: Path, reserve_bytes: int = RESERVE_BYTES) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        self._reserve = reserve_bytes
        self._verifying = threading.Lock()
        self._verified: dict[str, tuple[int, int, int, int]] = {}
        try:
            for each in (folder, self._incoming):
                make_folder(each)
            make_file(folder / "open.lock")
            # Held, shared, as long as this store is open: who would clear what others are writing cannot have it alone.
            self._open = (folder / "open.lock").open("a")
            _lock(self._open, alone=False)
        except OSError as error:
            raise StoreError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from None

    def close(self) -> None:
        """Let others clear what is left of this one's writing. Files can still be read and added."""
        self._open.close()

    def add(self, data: bytes) -> str:
        """Keep the bytes; when this returns, they are on the disk.

        Returns:
            their digest, in hexadecimal.

        Raises:
            StoreFullError: no room; nothing is left behind.
            StoreError: the folder cannot be written.
        """
        return self.keep(data)[0]

    def keep(self, data: bytes) -> tuple[str, bool]:
        """As `add`; also whether it was written: False where a file with these very contents was there.

        Raises:
            StoreFullError, StoreError: as `add`.
        """
        digest = hashlib.sha256(data).hexdigest()
        location = self.path(digest)
        try:
            whole = location.exists() and self.is_whole(digest)
            if not whole:
                if shutil.disk_usage(self._folder).free < len(data) + self._reserve:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._write(data, location)
            # Also where the file was there: whoever put it there may not have come to this line.
            sync_folder(location.parent)
        except OSError as error:
            if is_full_disk(error):
                raise StoreFullError(f"{self._folder}: the disk is full; make room, then send again") from None
            raise StoreError(f"{self._folder}: cannot be written ({error.strerror})") from None
        return digest, not whole

    def is_whole(self, digest: str) -> bool:
        """Return whether this digest's file is there with its contents unchanged. Little of it is in memory."""
        try:
            with self.path(digest).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == digest
        except OSError:
            return False

    def any(self) -> bool:
        """Return whether there is a file."""
        return next(self.digests(), None) is not None

    def digests(self) -> Iterator[str]:
        """The digest of every file."""
        for folder in sorted(each for each in self._folder.iterdir() if re.fullmatch("[0-9a-f]{2}", each.name)):
            for file in folder.iterdir():
                if re.fullmatch(r"[0-9a-f]{64}\.dcm", file.name):
                    yield file.stem

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder so that nobody else has it open.

        Raises:
            StoreError: somebody has.
        """
        if not _lock(self._open, alone=True):
            _lock(self._open, alone=False)
            raise StoreError(f"{self._folder.parent}: the store is in use; stop the node first")
        try:
            yield
        finally:
            _lock(self._open, alone=False)

    def path(self, digest: str) -> Path:
        """Return the path of this digest's file, also where there is none yet."""
        return self._folder / digest[:2] / f"{digest}.dcm"

    def read(self, digest: str) -> bytes:
        """The bytes of this digest.

        Raises:
            StoreError: they are gone or no longer what they were.
        """
        try:
            data = self.path(digest).read_bytes()
        except OSError as error:
            raise StoreError(f"{self.path(digest)}: cannot be read ({error.strerror}); restore it") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise StoreError(f"{self.path(digest)}: its contents have changed on the disk; restore it from a backup")
        return data

    def verified(self, digest: str) -> Path:
        """The file of this digest, whose contents are what they were: compared once, and again if it is touched.

        Raises:
            StoreError: it is gone or its contents have changed.
        """
        path = self.path(digest)
        try:
            status = path.stat()
            seen = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if self._verified.get(digest) == seen:
                return path
            # One at a time: whoever wants the same file need not read it too.
            with self._verifying:
                if self._verified.get(digest) == seen:
                    return path
                whole = self.is_whole(digest)
                if whole:
                    if len(self._verified) >= 4096:
                        self._verified.clear()
                    self._verified[digest] = seen
        except OSError as error:
            raise StoreError(f"{path}: cannot be read ({error.strerror}); restore it") from None
        if not whole:
            raise StoreError(f"{path}: its contents have changed on the disk; restore it from a backup")
        return path

    def clear_incoming(self) -> int:
        """Remove what was being written when a process ended; nothing, where another has the folder open and may write.

        Returns:
            how many files were removed.
        """
        alone = _lock(self._open, alone=True)
        try:
            left = list(self._incoming.iterdir()) if alone else []
            for each in left:
                each.unlink(missing_ok=True)
        finally:
            _lock(self._open, alone=False)
        return len(left)

    def _write(self, data: bytes, location: Path) -> None:
        fresh = not location.parent.exists()
        make_folder(location.parent)
        if fresh:
            sync_folder(self._folder)
        handle, name = tempfile.mkstemp(dir=self._incoming)  # for the owner alone
        try:
            with os.fdopen(handle, "wb") as file:
                if hasattr(os, "fchmod"):
                    os.fchmod(handle, FILE)  # a umask takes away, also from the owner
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, location)  # noqa: PTH105
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _lock(file: TextIO, *, alone: bool) -> bool:
    """Take a lock that goes with its process: shared, or at once and alone. Whether it is had.

    Where a system or a disk has no such locks, nobody is known to be alone.
    """
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
    except (ImportError, OSError, ValueError):  # no such locks; held by others; closed
        return False
    return True
