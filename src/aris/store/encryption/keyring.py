"""The keyring of a store: the data keys of its files, each wrapped by a key that is kept elsewhere.

`keyring.json` lies beside the files. Without the key that wraps its data keys (a file outside the store, or a
passphrase) it opens nothing, and with another one it says so. What it says besides (whether new files are encrypted,
and under which key) is sealed by that key, so that nobody without it turns encryption off unseen.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aris.errors import StoreError
from aris.private import make_file, sync_folder, write_private
from aris.store.encryption.sealed import HEADER, KEY_ID, DataKey, installed, key_of
from aris.store.keys import read_key

FILE, LOCK = "keyring.json", "keyring.lock"
KEY = "store.key"
KEY_VARIABLE, PASSPHRASE_VARIABLE = "ARIS_STORE_KEY_FILE", "ARIS_STORE_PASSPHRASE"
_FORM = 1
# scrypt (RFC 7914): 128 MiB and some tenths of a second a try.
_SCRYPT = {"n": 1 << 17, "r": 8, "p": 1}
_MOST_SCRYPT = 1 << 30
_SHORTEST = 12


class KeyringError(StoreError):
    """The files' keys cannot be had: the key that opens them is missing or another one, or the keyring is damaged."""


class KeysChangedError(KeyringError):
    """Another change of the keys has begun or ended meanwhile."""

    def __init__(self) -> None:
        super().__init__("the keys were changed meanwhile; begin again")


@dataclass(frozen=True)
class WrappingKey:
    """The key that opens a store's keyring: one in a file, or made of a passphrase.

    Attributes:
        file: 32 bytes in hexadecimal, for its owner alone, outside the store.
        passphrase: in place of a file.
    """

    file: Path
    passphrase: str | None = None

    def __repr__(self) -> str:
        return f"WrappingKey({str(self.file)!r})"


def usual_key() -> WrappingKey:
    """The key as the environment names it: `ARIS_STORE_KEY_FILE` or `ARIS_STORE_PASSPHRASE`.

    By default the file is `keys/store.key` in the user's data folder.
    """
    from platformdirs import user_data_dir

    named = os.environ.get(KEY_VARIABLE)
    file = Path(named) if named else Path(os.environ.get("ARIS_HOME") or user_data_dir("aris")) / "keys" / KEY
    return WrappingKey(file.expanduser(), os.environ.get(PASSPHRASE_VARIABLE) or None)


@dataclass(frozen=True)
class Ring:
    """The contents of a keyring, opened.

    Attributes:
        keys: data keys, by number.
        current: number of the key under which new files are written; None where they are written in clear.
    """

    keys: dict[bytes, DataKey]
    current: bytes | None


def is_by_passphrase(folder: Path) -> bool:
    """Return whether a folder's keyring is opened by a passphrase; False where there is none."""
    try:
        return bool(json.loads((folder / FILE).read_bytes())["wrapped_by"]["kind"] == "scrypt")
    except (OSError, ValueError, KeyError, TypeError):
        return False


class Keyring:
    """The keyring of a folder of files. Threads share it; what another process changes is seen.

    Args:
        folder: of the files.
        wrapping: opens it.
    """

    def __init__(self, folder: Path, wrapping: WrappingKey | None = None) -> None:
        self._path, self._lock_file = folder / FILE, folder / LOCK
        self._wrapping = wrapping
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._ring: Ring | None = None

    @property
    def path(self) -> Path:
        """The file's path."""
        return self._path

    @property
    def wrapping(self) -> WrappingKey:
        """The key that opens it."""
        return self._wrapping or usual_key()

    def ring(self) -> Ring | None:
        """Its contents as they are now; None where there is none: the files are in clear.

        Raises:
            KeyringError: it does not open; or it is gone, and the files were not put in clear before.
        """
        try:
            status = self._path.stat()
        except FileNotFoundError:
            known = self._ring
            if known is not None and known.current is not None and not _in_clear(self._path.parent):
                raise KeyringError(f"{self._path}: the keyring is gone; restore it from a backup") from None
            self._ring = self._seen = None
            return None
        except OSError as error:
            raise KeyringError(f"{self._path}: cannot be read ({error.strerror})") from None
        seen = (status.st_ino, status.st_size, status.st_mtime_ns)
        with self._lock:
            if self._ring is None or self._seen != seen:
                self._ring, self._seen = _opened(self._path, self.wrapping), seen
            return self._ring

    def current(self) -> DataKey | None:
        """The key of new files; None where they are written in clear.

        Raises:
            KeyringError: as `ring`.
        """
        ring = self.ring()
        return None if ring is None or ring.current is None else ring.keys[ring.current]

    def of(self, number: bytes) -> DataKey:
        """The data key of this number.

        Raises:
            KeyringError: there is none, or the keyring does not open.
        """
        known = self._ring
        if known is None or number not in known.keys:
            known = self.ring()
        if known is None:
            raise KeyringError(
                f"{self._path}: the keyring is gone, and files are encrypted by its keys; restore it from a backup"
            )
        if number not in known.keys:
            raise KeyringError(f"{self._path}: it has not the key of a file; restore the keyring from a backup")
        return known.keys[number]

    def write(self, ring: Ring, wrapping: WrappingKey | None = None) -> None:
        """Put other contents in its place, at once and whole. Hold `changing` meanwhile.

        Args:
            wrapping: from now on opens it; the one before by default.

        Raises:
            KeyringError: it cannot be written, or a passphrase is too short.
        """
        wrapping = wrapping or self.wrapping
        try:
            write_private(self._path, _written(ring, wrapping))
            sync_folder(self._path.parent)
        except OSError as error:
            raise KeyringError(f"{self._path}: cannot be written ({error.strerror})") from None
        self._wrapping, self._seen = wrapping, None

    def remove(self) -> None:
        """Take it away: no file is encrypted any more. Hold `changing` meanwhile."""
        self._path.unlink(missing_ok=True)
        sync_folder(self._path.parent)

    @contextmanager
    def writing(self) -> Iterator[DataKey | None]:
        """Within this a file is written under the current key, which does not change meanwhile.

        Raises:
            KeyringError: as `ring`.
        """
        with self._locked(alone=False):
            yield self.current()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Within this nobody writes a file, and nobody else changes the keyring."""
        with self._locked(alone=True):
            yield

    @contextmanager
    def _locked(self, *, alone: bool) -> Iterator[None]:
        try:
            import fcntl
        except ImportError:  # a system without such locks: one process at a time there
            yield
            return
        try:
            make_file(self._lock_file)
            held = self._lock_file.open("rb")
        except OSError as error:
            raise KeyringError(f"{self._lock_file}: cannot be opened ({error.strerror})") from None
        with held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            except OSError as error:
                raise KeyringError(f"{self._lock_file}: cannot be locked ({error.strerror})") from None
            yield


def new_key() -> DataKey:
    """Draw a data key."""
    return DataKey(secrets.token_bytes(KEY_ID), secrets.token_bytes(32))


def _in_clear(folder: Path) -> bool:
    """Return whether a folder has files, all in clear: as a change to clear leaves it when it removes the keyring."""
    found = False
    for file in folder.glob("[0-9a-f][0-9a-f]/*.dcm"):
        try:
            with file.open("rb", buffering=0) as opened:
                if key_of(opened.read(HEADER)) is not None:
                    return False
        except FileNotFoundError:
            continue
        except OSError:
            return False
        found = True
    return found


def _opened(path: Path, wrapping: WrappingKey) -> Ring:
    with installed():
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    try:
        found = json.loads(path.read_bytes())
        if found["form"] != _FORM:
            raise KeyringError(f"{path}: the keyring was made by a newer version of Aris; update Aris")
        secret = _secret(found["wrapped_by"], wrapping, path)
        keys = {}
        try:
            for each in found["keys"]:
                number = bytes.fromhex(each["number"])
                wrapped = base64.b64decode(each["wrapped"], validate=True)
                keys[number] = DataKey(number, AESGCM(secret).decrypt(wrapped[:12], wrapped[12:], number))
        except InvalidTag:
            raise KeyringError(f"{path}: {_named(wrapping, found['wrapped_by'])} does not open it; {_HINT}") from None
        if not hmac.compare_digest(str(found.pop("seal")), _seal(found, secret)):
            raise KeyringError(f"{path}: the keyring has been changed, or belongs to another key; {_HINT}")
        current = None if found["current"] is None else bytes.fromhex(found["current"])
        if current is not None and current not in keys:
            raise ValueError
        return Ring(keys, current)
    except OSError as error:
        raise KeyringError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        raise KeyringError(f"{path}: the keyring is damaged; restore it from a backup") from None


_HINT = f"name the right key by {KEY_VARIABLE}, or give its passphrase by {PASSPHRASE_VARIABLE}"


def _named(wrapping: WrappingKey, wrapped_by: dict[str, Any]) -> str:
    return "the passphrase" if wrapped_by["kind"] == "scrypt" else f"the key {wrapping.file}"


def _written(ring: Ring, wrapping: WrappingKey) -> bytes:
    with installed():
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    if wrapping.passphrase is None:
        wrapped_by: dict[str, Any] = {"kind": "file"}
    else:
        if len(wrapping.passphrase) < _SHORTEST:
            raise KeyringError(f"the passphrase is too short; give one of {_SHORTEST} characters at least")
        wrapped_by = {"kind": "scrypt", "salt": secrets.token_hex(16), **_SCRYPT}
    secret = _secret(wrapped_by, wrapping, wrapping.file, make=True)
    keys = []
    for each in ring.keys.values():
        nonce = secrets.token_bytes(12)
        wrapped = nonce + AESGCM(secret).encrypt(nonce, each.secret, each.number)
        keys.append({"number": each.number.hex(), "wrapped": base64.b64encode(wrapped).decode()})
    made: dict[str, Any] = {
        "form": _FORM, "wrapped_by": wrapped_by, "keys": keys,
        "current": None if ring.current is None else ring.current.hex(),
    }  # fmt: skip
    return (json.dumps({**made, "seal": _seal(made, secret)}, indent=1) + "\n").encode()


def _secret(wrapped_by: dict[str, Any], wrapping: WrappingKey, path: Path, *, make: bool = False) -> bytes:
    """The 32 bytes that wrap the data keys."""
    if wrapped_by["kind"] == "file":
        if not make and not wrapping.file.exists():
            raise KeyringError(f"{wrapping.file}: the key of the store's files is missing; restore it, or {_HINT}")
        return read_key(wrapping.file, make=make)
    if wrapped_by["kind"] != "scrypt":
        raise KeyringError(f"{path}: the keyring was made by a newer version of Aris; update Aris")
    if wrapping.passphrase is None:
        raise KeyringError(f"{path}: the store's files are encrypted by a passphrase; {_HINT}")
    n, r, p = (int(wrapped_by[name]) for name in ("n", "r", "p"))
    if not 0 < 128 * n * r * p <= _MOST_SCRYPT:
        raise ValueError
    return hashlib.scrypt(
        wrapping.passphrase.encode(), salt=bytes.fromhex(wrapped_by["salt"]), n=n, r=r, p=p,
        maxmem=2 * 128 * n * r * p, dklen=32,
    )  # fmt: skip


def _seal(contents: dict[str, Any], secret: bytes) -> str:
    key = hmac.digest(secret, b"aris keyring", "sha256")
    return hmac.new(key, json.dumps(contents, sort_keys=True).encode(), "sha256").hexdigest()
