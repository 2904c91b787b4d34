"""Files that are written piece by piece, encrypted where a key is given, and read again as their contents."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from aris.imaging.sources import FileSource
from aris.store.encryption.keyring import Keyring, new_key
from aris.store.encryption.sealed import HEADER, DataKey, SealedFile, Sealer, key_of, plain_length


class _Sealing(io.RawIOBase):
    """A file to be written, in front of the encrypted one."""

    def __init__(self, file: BinaryIO, key: DataKey, identity: bytes) -> None:
        super().__init__()
        self._file, self._sealer = file, Sealer(key, identity)
        file.write(self._sealer.header)

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        for piece in self._sealer.push(data):
            self._file.write(piece)
        return len(data)

    def finish(self) -> None:
        """Write the last piece, without which the file does not open."""
        self._file.write(self._sealer.finish())


@contextmanager
def sealing(path: Path, key: DataKey | None, identity: bytes) -> Iterator[BinaryIO]:
    """A file that is written from its beginning; in clear without a key."""
    with path.open("wb") as file:
        if key is None:
            yield file
            return
        made = _Sealing(file, key, identity)
        yield made  # type: ignore[misc]
        made.finish()


@contextmanager
def unsealing(path: Path, keyring: Keyring, identity: bytes) -> Iterator[BinaryIO]:
    """The contents of a file of `sealing`.

    Raises:
        OSError: it cannot be read, or is damaged.
        KeyringError: its key is missing.
    """
    with path.open("rb", buffering=0) as file:
        number = key_of(file.read(HEADER))
        file.seek(0)
        with io.BufferedReader(file if number is None else SealedFile(file, keyring.of(number), identity)) as opened:
            yield opened


class Spool(FileSource):
    """A file for a while, under a key that is in this process's memory alone: once that ends, nobody reads it.

    Args:
        path: where it is made; there must be none.
        encrypted: false for one in clear, of a store in clear.
    """

    _key: DataKey | None

    def __init__(self, path: Path, *, encrypted: bool) -> None:
        super().__init__(path)
        object.__setattr__(self, "_key", new_key() if encrypted else None)

    @contextmanager
    def writing(self) -> Iterator[BinaryIO]:
        """Write it, once, from its beginning. What is flushed is on its way to the disk."""
        self.path.touch(mode=0o600, exist_ok=False)
        with sealing(self.path, self._key, b"") as file:
            yield file

    def raw(self) -> io.RawIOBase:
        if self._key is None:
            return super().raw()
        file = self.path.open("rb", buffering=0)
        try:
            return SealedFile(file, self._key, b"")
        except BaseException:
            file.close()
            raise

    def size(self) -> int:
        length = super().size()
        return length if self._key is None else plain_length(length)
