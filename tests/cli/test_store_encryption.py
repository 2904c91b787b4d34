"""`aris store encrypt`, `rotate-key` and `decrypt`: the words a person sees, and a store that is whole after each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from aris.store.encryption import keyring
from aris.store.store import Store
from dicom_objects import as_bytes, image
from encrypted_stores import holds

Aris = Callable[..., Result]


@pytest.fixture
def objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a store with two films."""
    for name in ("ARIS_STORE", "ARIS_DATABASE", "ARIS_AUDIT_KEY", "ARIS_STORE_KEY_FILE", "ARIS_STORE_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ARIS_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(keyring._SCRYPT, "n", 1 << 10)
    with Store(tmp_path / "home" / "store") as store:
        for number in (1, 2):
            store.add(as_bytes(image(number, PatientName="Secret^Name")))
    return tmp_path / "home" / "store" / "objects"


def told(result: Result, code: int = 0) -> Any:
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_from_clear_to_a_key_to_a_passphrase_and_back(aris: Aris, objects: Path, tmp_path: Path) -> None:
    key, home = tmp_path / "etc" / "store.key", tmp_path / "home"
    done = aris("store", "encrypt", "--store-key", key, "--json")
    assert told(done) == {"objects": 2, "changed": 2, "damaged": []}
    assert str(key) in done.stderr and "database is not encrypted" in done.stderr
    assert not holds(objects, b"Secret") and key.stat().st_mode & 0o777 == 0o600
    missing = aris("store", "verify")
    assert missing.exit_code == 1 and "keys/store.key: the key of the store's files is missing" in missing.stderr
    assert missing.stdout == "" and len(missing.stderr.strip().splitlines()) == 1
    assert told(aris("store", "verify", "--store-key", key, "--json"))["sound"]
    backed = aris("store", "backup", tmp_path / "copy", "--store-key", key)
    assert backed.exit_code == 0 and "the backup is encrypted" in backed.stderr
    assert not holds(tmp_path / "copy", b"Secret")
    phrase = "a passphrase of mine"
    alone = aris("store", "rotate-key", "--store-key", key, "--wrap-only")
    assert alone.exit_code == 2
    moved = aris("store", "rotate-key", "--store-key", key, "--passphrase-stdin", input=phrase + "\n")
    assert moved.exit_code == 0 and "2 of them written anew" in moved.stdout and phrase not in moved.output
    refused = aris("store", "verify", "--store-key", key)
    assert refused.exit_code == 1 and "encrypted by a passphrase" in refused.stderr
    env = {"ARIS_STORE_PASSPHRASE": phrase}
    wrong = aris("store", "verify", env={"ARIS_STORE_PASSPHRASE": "another passphrase"})
    assert wrong.exit_code == 1 and "the passphrase does not open it" in wrong.stderr
    assert told(aris("store", "verify", "--json", env=env))["sound"]
    assert told(aris("node", "studies", "--json", env=env))["NumberOfStudyRelatedInstances"] == 2
    assert told(aris("store", "decrypt", "--json", env=env))["changed"] == 2
    assert holds(objects, b"Secret") and told(aris("store", "verify", "--json"))["sound"]
    again = aris("store", "decrypt")
    assert again.exit_code == 1 and "not encrypted" in again.stderr
    events = [json.loads(line)["action"] for line in aris("audit", "list", "--json").stdout.splitlines()]
    assert {"encrypt store", "rotate store key", "decrypt store"} <= set(events)
    came = aris("store", "restore", tmp_path / "copy", "--store", home / "again", "--store-key", key)
    assert came.exit_code == 0 and not holds(home / "again" / "objects", b"Secret")
