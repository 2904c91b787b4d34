"""Files named by the SHA-256 of their contents. A file is there whole or not at all, and stays after a power cut.

Where the folder has a keyring they are encrypted (`aris.store.encryption`): whoever reads one comes by here.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from aris.errors import StoreError, is_full_disk
from aris.imaging.sources import FileSource
from aris.private import FILE, make_file, make_folder, sync_folder
from aris.store.encryption.keyring import Keyring, KeysChangedError, WrappingKey
from aris.store.encryption.sealed import (
    HEADER,
    MAGIC,
    PIECE,
    DamagedFileError,
    DataKey,
    SealedFile,
    key_of,
    plain_length,
    seal,
)

RESERVE_BYTES = 256 << 20
_PIECE = 1 << 20


class StoreFullError(StoreError):
    """The disk is full, or nearly: what was sent is not kept."""


class StoredFile(FileSource):
    """A file of the store, encrypted or not, as whoever reads it sees it.

    Attributes:
        digest: of its contents.
        label: a name for messages, in place of its path.
    """

    digest: str
    label: str
    _files: FileStore

    def __init__(self, files: FileStore, digest: str, label: str = "") -> None:
        super().__init__(files.path(digest))
        for name, value in (("_files", files), ("digest", digest), ("label", label)):
            object.__setattr__(self, name, value)

    @property
    def given_name(self) -> str:
        return self.label or super().given_name

    def raw(self) -> io.RawIOBase:
        return self._files.raw(self.digest)

    def open(self) -> io.BufferedReader:
        raw = self.raw()
        return io.BufferedReader(raw, PIECE if isinstance(raw, SealedFile) else io.DEFAULT_BUFFER_SIZE)

    def size(self) -> int:
        return self._files.size(self.digest)

    def labelled(self, label: str) -> StoredFile:
        """The same under another name."""
        return StoredFile(self._files, self.digest, label)


def unnamed(files: Iterable[StoredFile]) -> list[StoredFile]:
    """The files in their order, under names that say nothing."""
    return [each.labelled(f"{number:06}.dcm") for number, each in enumerate(files)]


class FileStore:
    """A folder of files. One process's threads, and several processes, may add to it at once.

    Args:
        folder: is made if it is not there, for its owner alone: the files hold patient data.
        reserve_bytes: are left free on the disk, so that the database can always be written.
        wrapping: the key that opens the folder's keyring, if it has one; `usual_key` by default.

    Attributes:
        keyring: see `Keyring`.
    """

    def __init__(
        self, folder: Path, reserve_bytes: int = RESERVE_BYTES, wrapping: WrappingKey | None = None
    ) -> None:
        self.keyring = Keyring(folder, wrapping)
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

    def unlock(self) -> None:
        """See that what is here can be read.

        Raises:
            StoreError: it is encrypted, and the key is missing or another one.
        """
        if self.keyring.ring() is None and (first := next(self.digests(), None)) is not None:
            try:
                encrypted = self.key_of(first) is not None
            except OSError:  # whoever reads it is told
                encrypted = False
            if encrypted:
                self.keyring.of(b"")

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
        return self.keep_pieces(lambda: (data,))[:2]

    def keep_pieces(self, pieces: Callable[[], Iterable[bytes]]) -> tuple[str, bool, int]:
        """As `keep`, of contents that need not be in memory; also how many bytes they are.

        Args:
            pieces: begins them anew each time that it is called: they are read twice, the same both times.

        Raises:
            StoreFullError, StoreError: as `add`; also where the contents changed between the two readings.
        """
        found, size = hashlib.sha256(), 0
        for piece in pieces():
            found.update(piece)
            size += len(piece)
        digest = found.hexdigest()
        location = self.path(digest)
        again = hashlib.sha256()

        def hashed() -> Iterator[bytes]:
            for piece in pieces():
                again.update(piece)
                yield piece

        try:
            whole = location.exists() and self.is_whole(digest)
            if not whole:
                self.require_room(size)
                with self.keyring.writing() as key:
                    fresh = self._write(hashed(), location, key)
                    if again.digest() != found.digest():
                        fresh.unlink(missing_ok=True)
                        raise StoreError("the contents were changed while they were read; send them again")
                    self._put(fresh, location)
            # Also where the file was there: whoever put it there may not have come to this line.
            sync_folder(location.parent)
        except OSError as error:
            if is_full_disk(error):
                raise StoreFullError(f"{self._folder}: the disk is full; make room, then send again") from None
            raise StoreError(f"{self._folder}: cannot be written ({error.strerror})") from None
        return digest, not whole, size

    def require_room(self, size: int) -> None:
        """See that so many bytes can be written, and the database still can.

        Raises:
            OSError: there is no room.
        """
        if shutil.disk_usage(self._folder).free < size + self._reserve:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def file(self, digest: str) -> StoredFile:
        """The file of a digest, to be read; also where there is none yet."""
        return StoredFile(self, digest)

    def raw(self, digest: str) -> io.RawIOBase:
        """Open the contents of a file without a buffer, to be read from anywhere in them.

        Raises:
            OSError: it is gone, or damaged as far as that is seen; so does reading.
            StoreError: its key is missing.
        """
        file = self.path(digest).open("rb", buffering=0)
        try:
            number = key_of(file.read(HEADER))
            if number is None:
                file.seek(0)
                return file
            return SealedFile(file, self.keyring.of(number), bytes.fromhex(digest))
        except BaseException:
            file.close()
            raise

    def size(self, digest: str) -> int:
        """Count the bytes of a file's contents.

        Raises:
            OSError: it is gone or damaged.
        """
        with self.path(digest).open("rb", buffering=0) as file:
            length = os.fstat(file.fileno()).st_size
            return plain_length(length) if file.read(len(MAGIC)) == MAGIC else length

    def key_of(self, digest: str) -> bytes | None:
        """The number of the data key of a file; None of one that is in clear, or gone.

        Raises:
            OSError: it cannot be read.
        """
        try:
            with self.path(digest).open("rb", buffering=0) as file:
                return key_of(file.read(HEADER))
        except FileNotFoundError:
            return None

    def remove(self, digest: str) -> None:
        """Remove a file, if it is there."""
        with self.keyring.writing(), suppress(OSError):
            self.path(digest).unlink()

    def rewrite(self, digest: str, key: DataKey | None) -> bool:
        """Write a file anew, under another key or in clear; False where it is damaged, and stays as it is.

        Raises:
            OSError: it cannot be written.
            StoreError: its key is missing; `KeysChangedError` if the key is not that of new files any more.
        """
        location = self.path(digest)
        found = hashlib.sha256()

        def pieces() -> Iterator[bytes]:
            with self.file(digest).open() as file:
                while piece := file.read(_PIECE):
                    found.update(piece)
                    yield piece

        try:
            status = location.stat()
        except FileNotFoundError:
            return True
        try:
            self.require_room(status.st_size)
            fresh = self._write(pieces(), location, key)
        except DamagedFileError:
            return False
        try:
            if found.hexdigest() != digest:
                return False
            os.utime(fresh, ns=(status.st_atime_ns, status.st_mtime_ns))  # when it came, for a rebuild
            with self.keyring.changing():
                if self.keyring.current() != key:  # nobody would have the key that this was written under
                    raise KeysChangedError
                if location.exists():  # not removed meanwhile
                    self._put(fresh, location)
                    sync_folder(location.parent)
        finally:
            fresh.unlink(missing_ok=True)
        return True

    def is_whole(self, digest: str) -> bool:
        """Return whether this digest's file is there with its contents unchanged. Little of it is in memory."""
        try:
            with self.file(digest).open() as file:
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
        """Return the path of this digest's file, also where there is none yet; to be read is `file`."""
        return self._folder / digest[:2] / f"{digest}.dcm"

    def read(self, digest: str) -> bytes:
        """The bytes of this digest.

        Raises:
            StoreError: they are gone or no longer what they were.
        """
        try:
            with self.file(digest).open() as file:
                data = file.read()
        except DamagedFileError:
            data = b""
        except OSError as error:
            raise StoreError(f"{self.path(digest)}: cannot be read ({error.strerror}); restore it") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise StoreError(f"{self.path(digest)}: its contents have changed on the disk; restore it from a backup")
        return data

    def verified(self, digest: str) -> StoredFile:
        """The file of this digest, whose contents are what they were: compared once, and again if it is touched.

        Raises:
            StoreError: it is gone or its contents have changed.
        """
        path = self.path(digest)
        try:
            status = path.stat()
            seen = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if self._verified.get(digest) == seen:
                return self.file(digest)
            # One at a time: whoever wants the same file need not read it too.
            with self._verifying:
                if self._verified.get(digest) == seen:
                    return self.file(digest)
                whole = self.is_whole(digest)
                if whole:
                    if len(self._verified) >= 4096:
                        self._verified.clear()
                    self._verified[digest] = seen
        except OSError as error:
            raise StoreError(f"{path}: cannot be read ({error.strerror}); restore it") from None
        if not whole:
            raise StoreError(f"{path}: its contents have changed on the disk; restore it from a backup")
        return self.file(digest)

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

    def _write(self, pieces: Iterable[bytes], location: Path, key: DataKey | None) -> Path:
        """A file that is to be put at a location, on the disk under a name of its own."""
        fresh = not location.parent.exists()
        make_folder(location.parent)
        if fresh:
            sync_folder(self._folder)
        handle, name = tempfile.mkstemp(dir=self._incoming)  # for the owner alone
        try:
            with os.fdopen(handle, "wb") as file:
                if hasattr(os, "fchmod"):
                    os.fchmod(handle, FILE)  # a umask takes away, also from the owner
                file.writelines(pieces if key is None else seal(pieces, key, bytes.fromhex(location.stem)))
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return Path(name)

    def _put(self, fresh: Path, location: Path) -> None:
        try:
            os.replace(fresh, location)  # noqa: PTH105
        except BaseException:
            fresh.unlink(missing_ok=True)
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
