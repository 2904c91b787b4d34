"""The form of an encrypted file: authenticated pieces in an order that cannot be changed, read from anywhere in it.

Each file has a key of its own, derived (HKDF-SHA256, RFC 5869) from the store's data key, a salt drawn for the file,
and the file's identity. Its contents are cut into pieces of 64 KiB, each sealed by AES-256-GCM under a nonce of a
derived prefix, the piece's number and a flag that only the last piece has: the STREAM construction (Hoang,
Reyhanitabar, Rogaway, Vizár: Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance, 2015), as Tink's
AES-GCM-HKDF streaming has it. A piece that is changed, left out, moved or cut off, and a file put in another's place,
do not open.
"""

from __future__ import annotations

import errno
import io
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aris.errors import StoreError, why_not_imported

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# What a file begins with; a DICOM file begins with 128 bytes of preamble, which the store makes zeros.
MAGIC = b"ARISENC\x01"
KEY_ID, _SALT = 16, 32
# Magic, the data key's number, the salt, and eight bytes that are zero.
HEADER = len(MAGIC) + KEY_ID + _SALT + 8
PIECE, _TAG = 64 << 10, 16
_SEALED = PIECE + _TAG
_PREFIX = 7
# The number of a piece has four bytes.
_MOST_PIECES = 1 << 32


@dataclass(frozen=True)
class DataKey:
    """Key from which the files' own keys are derived: its number and 32 secret bytes."""

    number: bytes
    secret: bytes

    def __repr__(self) -> str:
        return f"DataKey({self.number.hex()})"


class DamagedFileError(OSError):
    """The file does not open: it has been changed or cut off, or it is another one's."""

    def __init__(self) -> None:
        super().__init__(errno.EIO, "its contents have changed, or are another file's")


def key_of(head: bytes) -> bytes | None:
    """The number of the data key of a file that begins so (`HEADER` bytes); None of a file that is not encrypted."""
    return head[len(MAGIC) : len(MAGIC) + KEY_ID] if head.startswith(MAGIC) and len(head) >= HEADER else None


class Sealer:
    """Makes an encrypted file of contents that come piece by piece: its `header`, then what `push` and `finish` give.

    Args:
        key: the data key.
        identity: of the file; it opens under no other.

    Attributes:
        header: the file's first bytes.
    """

    def __init__(self, key: DataKey, identity: bytes) -> None:
        self.header = MAGIC + key.number + os.urandom(_SALT) + bytes(HEADER - len(MAGIC) - KEY_ID - _SALT)
        self._cipher, self._prefix = _cipher(key, self.header, identity)
        self._about = self.header + identity
        self._held, self._number = b"", 0

    def push(self, data: bytes) -> Iterator[bytes]:
        """Go on with these bytes, of any length."""
        rest = memoryview(data)
        # A piece goes out once something follows it: the last one has its flag.
        if self._held:
            wanted = PIECE - len(self._held)
            if len(rest) <= wanted:
                self._held += rest
                return
            yield self._sealed(self._held + bytes(rest[:wanted]))
            rest = rest[wanted:]
        while len(rest) > PIECE:
            yield self._sealed(bytes(rest[:PIECE]))
            rest = rest[PIECE:]
        self._held = bytes(rest)

    def finish(self) -> bytes:
        """The last bytes of the file."""
        return self._sealed(self._held, last=True)

    def _sealed(self, piece: bytes, *, last: bool = False) -> bytes:
        if self._number >= _MOST_PIECES:
            raise StoreError("file: too large to be encrypted")
        self._number += 1
        return self._cipher.encrypt(_nonce(self._prefix, self._number - 1, last), piece, self._about)


def seal(pieces: Iterable[bytes], key: DataKey, identity: bytes) -> Iterator[bytes]:
    """The bytes of the encrypted file of these contents; see `Sealer`."""
    sealer = Sealer(key, identity)
    yield sealer.header
    for each in pieces:
        yield from sealer.push(each)
    yield sealer.finish()


class SealedFile(io.RawIOBase):
    """An encrypted file as its contents, which are decrypted where they are read. Used in one thread at a time.

    Args:
        file: the encrypted one, opened without a buffer; it is closed with this one.
        key: its data key.
        identity: whose contents are expected.

    Raises:
        DamagedFileError: it is not of a length that such a file has; reading raises it where a piece does not open.
    """

    def __init__(self, file: io.RawIOBase, key: DataKey, identity: bytes) -> None:
        super().__init__()
        self._file = file
        file.seek(0)
        header = file.read(HEADER) or b""
        if key_of(header) != key.number:
            raise DamagedFileError
        self._about = header + identity
        self._cipher, self._prefix = _cipher(key, header, identity)
        body = file.seek(0, io.SEEK_END) - HEADER
        self._pieces = max(1, -(-body // _SEALED))
        self.length = plain_length(body + HEADER)
        self._at = 0
        self._held: tuple[int, bytes] = (-1, b"")

    @property
    def name(self) -> str:
        """The encrypted file's path, as every opened file has one."""
        return str(getattr(self._file, "name", ""))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        at = offset + (0, self._at, self.length)[whence]
        if at < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._at = at
        return at

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        into = memoryview(buffer).cast("B")
        done = 0
        while done < len(into) and self._at < self.length:
            number, start = divmod(self._at, PIECE)
            part = memoryview(self._piece(number))[start : start + len(into) - done]
            into[done : done + len(part)] = part
            done += len(part)
            self._at += len(part)
        if not self.length:
            self._piece(0)  # of an empty file too it is seen that nothing was cut off
        return done

    def readall(self) -> bytes:
        first, start = divmod(min(self._at, self.length), PIECE)
        self._at = max(self._at, self.length)
        parts = [self._piece(number) for number in range(first, self._pieces)]
        return b"".join([parts[0][start:], *parts[1:]]) if parts else b""

    def close(self) -> None:
        try:
            self._file.close()
        finally:
            super().close()

    def _piece(self, number: int) -> bytes:
        if self._held[0] == number:
            return self._held[1]
        from cryptography.exceptions import InvalidTag

        self._file.seek(HEADER + number * _SEALED)
        nonce = _nonce(self._prefix, number, number == self._pieces - 1)
        try:
            opened = self._cipher.decrypt(nonce, _whole(self._file, _SEALED), self._about)
        except InvalidTag:
            raise DamagedFileError from None
        self._held = (number, opened)
        return opened


def plain_length(length: int) -> int:
    """The length of the contents of an encrypted file of this length.

    Raises:
        DamagedFileError: no such file has it.
    """
    full, rest = divmod(length - HEADER, _SEALED)
    if length < HEADER + _TAG or 0 < rest < _TAG or (full and rest == _TAG):
        raise DamagedFileError
    return full * PIECE + (rest - _TAG if rest else 0)


def _whole(file: io.RawIOBase, length: int) -> bytes:
    made = file.read(length) or b""
    while len(made) < length and (more := file.read(length - len(made))):
        made += more
    return made


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix + struct.pack(">IB", number, last)


def _cipher(key: DataKey, header: bytes, identity: bytes) -> tuple[AESGCM, bytes]:
    """A file's cipher, and the prefix of its nonces."""
    with installed():
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    salt = header[len(MAGIC) + KEY_ID :][:_SALT]
    made = HKDF(SHA256(), 32 + _PREFIX, salt, b"aris stored file\0" + header + identity).derive(key.secret)
    return AESGCM(made[:32]), made[32:]


@contextmanager
def installed() -> Iterator[None]:
    """Within this the library of ciphers is imported.

    Raises:
        StoreError: it is not installed.
    """
    try:
        yield
    except ImportError as error:
        why = why_not_imported(error, "cryptography")
        raise StoreError(f"encrypted files need cryptography ({why}); pip install 'aris-medgemma[dicom]'") from None
