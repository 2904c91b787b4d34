"""Keys that are kept outside the database: whoever can change its rows cannot make their seals."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from aris.errors import StoreError
from aris.private import make_folder

_BYTES = 32


def read_key(path: Path, *, make: bool) -> bytes:
    """A key file's key.

    Args:
        make: make it where there is none.

    Raises:
        StoreError: it is missing, no key, another user's, or cannot be made.
    """
    try:
        if make and not path.exists():
            _make(path)
        status = path.stat()
        if os.name == "posix":
            if status.st_uid != os.geteuid():
                raise StoreError(f"{path}: the key belongs to another user; run Aris as that one")
            if status.st_mode & 0o077:
                path.chmod(0o600)
        key = bytes.fromhex(path.read_text("ascii").strip())
    except OSError as error:
        raise StoreError(f"{path}: the key cannot be read ({error.strerror}); restore it from your backup") from None
    except ValueError:
        raise StoreError(f"{path}: not a key; restore it from your backup") from None
    if len(key) != _BYTES:
        raise StoreError(f"{path}: not a key; restore it from your backup")
    return key


def _make(path: Path) -> None:
    """Whole or not at all; of two processes one makes it."""
    make_folder(path.parent)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
