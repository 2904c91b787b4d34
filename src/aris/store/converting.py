"""The change of all of a store's files to another form: encrypted, under a new key, or in clear again.

First the keyring says how new files are written; then each file is written anew and put in its place at once. So a
store in between is a whole one, a server may go on using it meanwhile, and whoever was killed begins again and goes on
where he was. Only when no file needs an old key any more is that forgotten.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aris.errors import StoreError, is_full_disk
from aris.store.encryption.keyring import KeyringError, KeysChangedError, Ring, WrappingKey, new_key
from aris.store.files import FileStore, StoreFullError
from aris.store.store import OBJECTS

Step = Callable[[int], None]


@dataclass
class Converted:
    """The outcome of a change.

    Attributes:
        objects: files in all.
        changed: of these, those that were written anew.
        damaged: digests of files that are no longer what they were; they stay as they are, and so do their keys.
    """

    objects: int = 0
    changed: int = 0
    damaged: list[str] = field(default_factory=list)


def encrypt(folder: Path, wrapping: WrappingKey | None = None, step: Step = lambda _: None) -> Converted:
    """Encrypt the files of a store, and all that come from now on. Begun before, it goes on.

    Args:
        folder: the store's.
        wrapping: the key that opens the keyring; `usual_key` by default. A key file is made where there is none.
        step: is called with the number of files, first, then with 0 after each of them.

    Raises:
        StoreFullError: no room for one file more.
        StoreError: there is no store, the key cannot be had, or a file cannot be written.
    """
    files = _files(folder, wrapping)
    try:
        with files.keyring.changing():
            ring = files.keyring.ring()
            if ring is None or ring.current is None:
                _require_outside(folder, files.keyring.wrapping)
                fresh = new_key()
                known = {} if ring is None else ring.keys
                files.keyring.write(Ring({**known, fresh.number: fresh}, fresh.number))
        for left in folder.glob("drafting-*"):  # links to files in clear, of a version before
            shutil.rmtree(left, ignore_errors=True)
        return _convert(files, step)
    finally:
        files.close()


def rotate(
    folder: Path, wrapping: WrappingKey | None = None, new: WrappingKey | None = None, step: Step = lambda _: None,
    *, files_too: bool = True,
) -> Converted:  # fmt: skip
    """Change the keys of an encrypted store. Killed, it is called again in the same way, and goes on.

    Args:
        wrapping: opens the keyring now.
        new: opens it from now on; the same by default.
        files_too: draw a new data key, and write every file anew under it; else the data key is only wrapped anew.

    Raises:
        StoreError: as `encrypt`; or the store is not encrypted.
    """
    try:
        files = _files(folder, wrapping)
    except KeyringError:
        if new is None:
            raise
        files, new = _files(folder, new), None  # killed after the new one had taken its place
    try:
        with files.keyring.changing():
            ring = files.keyring.ring()
            if ring is None or ring.current is None:
                raise StoreError(f"{folder}: the store's files are not encrypted; see `aris store encrypt`")
            begun = len(ring.keys) > 1
            if new is not None:
                _require_outside(folder, new)
            if files_too and not begun:
                fresh = new_key()
                ring = Ring({**ring.keys, fresh.number: fresh}, fresh.number)
            if new is not None or not begun:
                files.keyring.write(ring, new)
        return _convert(files, step) if files_too or begun else Converted(sum(1 for _ in files.digests()))
    finally:
        files.close()


def decrypt(folder: Path, wrapping: WrappingKey | None = None, step: Step = lambda _: None) -> Converted:
    """Write the files of an encrypted store in clear, and all that come from now on.

    Raises:
        StoreError: as `encrypt`; or the store is not encrypted.
    """
    files = _files(folder, wrapping)
    try:
        with files.keyring.changing():
            ring = files.keyring.ring()
            if ring is None:
                raise StoreError(f"{folder}: the store's files are not encrypted")
            if ring.current is not None:
                files.keyring.write(Ring(ring.keys, None))
        return _convert(files, step)
    finally:
        files.close()


def _files(folder: Path, wrapping: WrappingKey | None) -> FileStore:
    if not (folder / OBJECTS).is_dir():
        raise StoreError(f"{folder}: no store; name its folder with --store")
    files = FileStore(folder / OBJECTS, wrapping=wrapping)
    try:
        files.unlock()
        files.clear_incoming()
    except StoreError:
        files.close()
        raise
    return files


def _convert(files: FileStore, step: Step) -> Converted:
    """Write every file as the keyring says that new ones are written, then forget the keys that no file needs."""
    made = Converted()
    key = files.keyring.current()
    wanted = None if key is None else key.number
    digests = sorted(files.digests())
    step(len(digests))
    for digest in digests:
        made.objects += 1
        if _key_of(files, digest) != wanted:
            try:
                whole = files.rewrite(digest, key)
            except KeysChangedError:
                raise
            except KeyringError:  # of a key that is gone; the keyring itself was opened before
                whole = False
            except OSError as error:
                if is_full_disk(error):
                    raise StoreFullError("the disk is full; make room, then begin again: it goes on") from None
                raise StoreError(f"{files.path(digest)}: cannot be written anew ({error.strerror})") from None
            made.changed += whole
            if not whole:
                made.damaged.append(digest)
        step(0)
    with files.keyring.changing():
        ring = files.keyring.ring()
        if ring is None or ring.current != wanted:
            raise KeysChangedError
        needed = {_key_of(files, digest) for digest in files.digests()}
        keys = {number: each for number, each in ring.keys.items() if number == wanted or number in needed}
        if not keys:
            files.keyring.remove()
        elif keys != ring.keys:
            files.keyring.write(Ring(keys, ring.current))
    return made


def _key_of(files: FileStore, digest: str) -> bytes | None:
    try:
        return files.key_of(digest)
    except OSError as error:  # nobody knows which key it needs
        raise StoreError(f"{files.path(digest)}: cannot be read ({error.strerror}); no key was forgotten") from None


def _require_outside(folder: Path, wrapping: WrappingKey) -> None:
    """See that the key does not lie in the store: whoever takes the one would have the other."""
    inside = wrapping.file.expanduser().resolve().is_relative_to(folder.resolve())
    if wrapping.passphrase is None and inside:
        raise KeyringError(f"{wrapping.file}: lies in the store; keep the key outside it, best on another disk")
