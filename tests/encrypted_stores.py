"""Stores whose files are encrypted from their beginning, for tests that are about something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aris.store.encryption.keyring import KEY_VARIABLE, Ring, new_key
from aris.store.files import FileStore


def encrypt_new_stores(monkeypatch: pytest.MonkeyPatch, key: Path) -> None:
    """Let every store of this process that has no file yet be encrypted, by a key in a file."""
    monkeypatch.setenv(KEY_VARIABLE, str(key))
    begin = FileStore.__init__

    def begin_encrypted(self: FileStore, *given: Any, **named: Any) -> None:
        begin(self, *given, **named)
        if not self.keyring.path.exists() and not self.any():
            fresh = new_key()
            self.keyring.write(Ring({fresh.number: fresh}, fresh.number))

    monkeypatch.setattr(FileStore, "__init__", begin_encrypted)


def holds(folder: Path, words: bytes) -> list[Path]:
    """List the files below a folder that hold these bytes."""
    return [each for each in folder.rglob("*") if each.is_file() and words in each.read_bytes()]
