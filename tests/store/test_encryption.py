"""Files at rest are encrypted so that whoever takes the disk reads nothing, and whoever changes them is found out."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aris.errors import StoreError
from aris.store import converting
from aris.store.backup import backup, restore
from aris.store.checking import problems
from aris.store.encryption import keyring, sealed
from aris.store.encryption.keyring import KeyringError, WrappingKey, is_by_passphrase, new_key
from aris.store.encryption.sealed import HEADER, PIECE, DamagedFileError, SealedFile, plain_length, seal
from aris.store.encryption.spool import Spool
from aris.store.files import FileStore, StoredFile
from aris.store.rebuild import rebuild
from aris.store.store import Store
from dicom_objects import ROOT, as_bytes, image
from encrypted_stores import holds

KEY, WHO = new_key(), b"a file's identity"
_FULL = PIECE + 16


def written(path: Path, data: bytes, *, step: int = 100_000, who: bytes = WHO) -> Path:
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    path.write_bytes(b"".join(seal(pieces, KEY, who)))
    return path


def contents(path: Path, who: bytes = WHO) -> bytes:
    with path.open("rb", buffering=0) as file, SealedFile(file, KEY, who) as opened:
        return opened.read()


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 5])
def test_contents_of_every_length_come_back(tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    for step in (1000, PIECE, 1 << 20):
        path = written(tmp_path / "f", data, step=step)
        assert plain_length(path.stat().st_size) == size and contents(path) == data
    assert written(tmp_path / "g", data).read_bytes() != path.read_bytes()  # another key each time


def test_it_is_read_from_anywhere(tmp_path: Path) -> None:
    data, draw = random.Random(1).randbytes(5 * PIECE + 77), random.Random(2)
    with written(tmp_path / "f", data).open("rb", buffering=0) as file, SealedFile(file, KEY, WHO) as opened:
        for _ in range(200):
            at, size = draw.randrange(len(data) + 10), draw.randrange(3 * PIECE)
            opened.seek(at)
            assert opened.read(size) == data[at : at + size]
        assert opened.seek(-5, 2) == len(data) - 5 and opened.read() == data[-5:] and opened.read(1) == b""


def test_what_is_changed_moved_cut_off_or_another_file_s_does_not_open(tmp_path: Path) -> None:
    data = bytes(3 * PIECE + 10)
    whole = written(tmp_path / "f", data).read_bytes()
    body = [whole[HEADER + at * _FULL : HEADER + (at + 1) * _FULL] for at in range(4)]
    other = written(tmp_path / "g", data).read_bytes()
    wrong = {
        "a bit": whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:],
        "a bit of the header": whole[:30] + bytes([whole[30] ^ 1]) + whole[31:],
        "cut off": whole[:-1],
        "cut off between two pieces": whole[: HEADER + 2 * _FULL],
        "without its last piece": whole[: HEADER + 3 * _FULL],
        "a piece more": whole + body[0],
        "reordered": whole[:HEADER] + body[1] + body[0] + body[2] + body[3],
        "a piece of another file": whole[:HEADER] + body[0] + other[HEADER + _FULL : HEADER + 2 * _FULL] + body[2]
        + body[3],
        "the header alone": whole[:HEADER],
        "another key's number": whole[:8] + bytes(16) + whole[24:],
    }  # fmt: skip
    for what, changed in wrong.items():
        (tmp_path / "f").write_bytes(changed)
        with pytest.raises(DamagedFileError):
            contents(tmp_path / "f")
            pytest.fail(what)
    (tmp_path / "f").write_bytes(whole)
    assert contents(tmp_path / "f") == data
    with pytest.raises(DamagedFileError):
        contents(tmp_path / "f", b"another file's identity")


def key_at(tmp_path: Path, name: str = "store.key") -> WrappingKey:
    return WrappingKey(tmp_path / "keys" / name)


def filled(tmp_path: Path, count: int = 6, **more: object) -> tuple[Path, dict[str, bytes]]:
    """A store in clear with some objects that name a patient, and their bytes by digest."""
    with Store(tmp_path / "store", **more) as store:  # type: ignore[arg-type]
        made = [as_bytes(image(number, PatientName="Secret^Name")) for number in range(1, count + 1)]
        return store.folder, {store.add(data, source="CT1").digest: data for data in made}


def kept(folder: Path, key: WrappingKey) -> dict[str, bytes]:
    with Store(folder, wrapping=key) as store:
        assert problems(store) == []
        return {digest: store.files.read(digest) for digest in store.files.digests()}


def test_a_store_is_encrypted_used_given_other_keys_and_put_in_clear_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(keyring._SCRYPT, "n", 1 << 10)
    folder, known = filled(tmp_path)
    key, other = key_at(tmp_path), key_at(tmp_path, "other.key")
    objects = folder / "objects"
    times = {each.name: each.stat().st_mtime_ns for each in objects.rglob("*.dcm")}
    done = converting.encrypt(folder, key)
    assert (done.objects, done.changed, done.damaged) == (6, 6, [])
    assert not holds(objects, b"Secret") and kept(folder, key) == known
    assert {each.name: each.stat().st_mtime_ns for each in objects.rglob("*.dcm")} == times
    assert (tmp_path / "keys" / "store.key").stat().st_mode & 0o777 == 0o600
    assert converting.encrypt(folder, key).changed == 0
    with Store(folder, wrapping=key) as store:
        fresh = as_bytes(image(9, PatientName="Secret^New"))
        added = store.add(fresh, source="CT1")
        known[added.digest] = fresh
        found = store.find(added.uid)
        assert found is not None and found.file.size() == len(fresh) < found.file.path.stat().st_size
    assert not holds(objects, b"Secret")
    before = {each.name: each.read_bytes() for each in objects.rglob("*.dcm")}
    assert converting.rotate(folder, key, other).changed == 7
    assert all(each.read_bytes() != before[each.name] for each in objects.rglob("*.dcm"))
    with pytest.raises(KeyringError, match="does not open it"):
        Store(folder, wrapping=key)
    assert kept(folder, other) == known
    # By a passphrase alone, without a file written anew; then back.
    phrase = WrappingKey(tmp_path / "none", "a long passphrase of mine")
    before = {each.name: each.read_bytes() for each in objects.rglob("*.dcm")}
    assert converting.rotate(folder, other, phrase, files_too=False).changed == 0 and is_by_passphrase(objects)
    assert kept(folder, phrase) == known
    assert {each.name: each.read_bytes() for each in objects.rglob("*.dcm")} == before
    assert converting.decrypt(folder, phrase).changed == 7
    assert not (objects / "keyring.json").exists() and kept(folder, key_at(tmp_path, "none")) == known


def test_a_missing_or_wrong_key_is_said_and_nothing_is_written_in_clear(tmp_path: Path) -> None:
    folder, known = filled(tmp_path, 1)
    key = key_at(tmp_path)
    converting.encrypt(folder, key)
    with pytest.raises(KeyringError, match=r"store\.key: the key of the store's files is missing"):
        Store(folder, wrapping=WrappingKey(tmp_path / "nowhere" / "store.key"))
    wrong = tmp_path / "wrong.key"
    wrong.write_text("00" * 32 + "\n")
    with pytest.raises(KeyringError, match=r"wrong\.key does not open it; name the right key by ARIS_STORE_KEY_FILE"):
        Store(folder, wrapping=WrappingKey(wrong))
    ring = folder / "objects" / "keyring.json"
    whole = ring.read_text()
    ring.write_text(whole.replace('"current": "', '"current": null, "was": "'))
    with pytest.raises(KeyringError, match="has been changed"):  # else new files would be written in clear
        Store(folder, wrapping=key)
    ring.write_text("{}")
    with pytest.raises(KeyringError, match="damaged"):
        Store(folder, wrapping=key)
    ring.unlink()
    with pytest.raises(KeyringError, match="the keyring is gone"):
        Store(folder, wrapping=key)
    ring.write_text(whole)
    assert kept(folder, key) == known
    with pytest.raises(KeyringError, match="too short"):
        converting.rotate(folder, key, WrappingKey(tmp_path / "none", "short"))
    with pytest.raises(KeyringError, match="lies in the store"):
        converting.rotate(folder, key, WrappingKey(folder / "store.key"))
    assert kept(folder, key) == known


def test_two_files_that_changed_places_and_one_that_was_cut_off_are_found(tmp_path: Path) -> None:
    folder, known = filled(tmp_path, 3)
    key = key_at(tmp_path)
    converting.encrypt(folder, key)
    first, second, third = sorted(known)
    with Store(folder, wrapping=key) as store:
        one, two, three = (store.files.path(each) for each in (first, second, third))
        swapped = one.read_bytes(), two.read_bytes()
        one.write_bytes(swapped[1])
        two.write_bytes(swapped[0])
        three.write_bytes(three.read_bytes()[:-20])
        assert len(problems(store)) == 3
        for each in known:
            with pytest.raises(StoreError, match="contents have changed"):
                store.files.verified(each)
            with pytest.raises(StoreError, match="contents have changed"):
                store.files.read(each)
        assert store.add(known[first], source="CT1").outcome == "repaired"  # sent again it is whole
        one = store.files.path(first)
        assert store.files.read(first) == known[first] and not one.read_bytes().startswith(known[first][:200])
    done = converting.rotate(folder, key)
    assert sorted(done.damaged) == [second, third] and done.changed == 1
    with Store(folder, wrapping=key) as store:  # the damaged ones keep their key, for whoever restores them
        two.write_bytes(swapped[1])
        assert store.files.read(second) == known[second]
    assert converting.rotate(folder, key).changed == 1 and len(sealed_by(folder, key)) == 2


def sealed_by(folder: Path, key: WrappingKey) -> set[bytes | None]:
    files = FileStore(folder / "objects", wrapping=key)
    try:
        return {files.key_of(digest) for digest in files.digests()}
    finally:
        files.close()


_CHANGE = """
import sys, time
from pathlib import Path
from aris.store import converting
from aris.store.encryption.keyring import WrappingKey
folder, act, keys = Path(sys.argv[1]), sys.argv[2], [WrappingKey(Path(each)) for each in sys.argv[3:]]
def slowly(total):
    print("step", flush=True)
    time.sleep(0.05)
getattr(converting, act)(folder, *keys, step=slowly)
"""


def test_a_change_that_is_killed_goes_on_and_the_store_is_whole_meanwhile(tmp_path: Path) -> None:
    folder, known = filled(tmp_path, 8)
    key, other = key_at(tmp_path), key_at(tmp_path, "other.key")
    objects = folder / "objects"
    for act, keys, by in (("encrypt", [key], key), ("rotate", [key, other], other), ("decrypt", [other], other)):
        script = [sys.executable, "-c", _CHANGE, str(folder), act, *(str(each.file) for each in keys)]
        with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as change:
            assert change.stdout is not None
            for _ in range(4):  # the count, and three files
                assert change.stdout.readline() == "step\n"
            change.send_signal(signal.SIGKILL)
        (objects / "incoming" / "half").write_bytes(b"x")  # as a file that was being written
        assert kept(folder, by) == known  # some in the one form, some in the other
        assert len({each.read_bytes()[:24] for each in objects.rglob("*.dcm")}) > 1
        change_again = getattr(converting, act)
        done = change_again(folder, *keys)
        assert 0 < done.changed < 8 and not done.damaged and not (objects / "incoming" / "half").exists()
        assert kept(folder, by) == known
        assert len({each.read_bytes()[:24] for each in objects.rglob("*.dcm")}) == 1
    assert not (objects / "keyring.json").exists()


def test_a_server_that_is_open_meanwhile_goes_on(tmp_path: Path) -> None:
    folder, known = filled(tmp_path, 3)
    key = key_at(tmp_path)
    with Store(folder, wrapping=key) as store:
        first = store.files.file(next(iter(known))).open()
        start = first.read(10)
        for number, change in enumerate((converting.encrypt, converting.rotate, converting.decrypt), 20):
            change(folder, key)
            data = as_bytes(image(number, PatientName="Secret^Name"))
            known[store.add(data, source="CT1").digest] = data
            assert {each: store.files.read(each) for each in store.files.digests()} == known
            assert bool(holds(folder / "objects", b"Secret")) == (change is converting.decrypt)
        assert start + first.read() == next(iter(known.values()))  # of a file that was written anew three times
        first.close()


def test_a_backup_is_encrypted_too_and_comes_back_with_the_key_alone(tmp_path: Path) -> None:
    folder, known = filled(tmp_path, 3)
    key = key_at(tmp_path)
    with Store(folder, wrapping=key) as store:
        backup(store, tmp_path / "copy")
    assert holds(tmp_path / "copy", b"Secret")
    converting.encrypt(folder, key)
    with Store(folder, wrapping=key) as store:
        made = backup(store, tmp_path / "copy")
        assert made.encrypted and made.copied == 3  # what lay there in clear is replaced
        assert backup(store, tmp_path / "copy").copied == 0
    assert not holds(tmp_path / "copy", b"Secret")
    dump = next((tmp_path / "copy").glob("database-*"))
    assert dump.read_bytes().startswith(sealed.MAGIC)
    with pytest.raises(StoreError, match="key of the store's files is missing"):
        restore(tmp_path / "copy", tmp_path / "none", wrapping=WrappingKey(tmp_path / "no.key"))
    came = restore(tmp_path / "copy", tmp_path / "again", wrapping=key)
    assert came.objects == 3 and kept(tmp_path / "again", key) == known
    assert not holds(tmp_path / "again" / "objects", b"Secret")
    converting.rotate(folder, key)
    with Store(folder, wrapping=key) as store:
        assert backup(store, tmp_path / "copy").copied == 3  # under a key that the keyring has not any more
    assert restore(tmp_path / "copy", tmp_path / "third", wrapping=key).objects == 3


def test_an_index_is_made_anew_of_encrypted_objects(tmp_path: Path) -> None:
    folder, known = filled(tmp_path, 3)
    key = key_at(tmp_path)
    converting.encrypt(folder, key)
    (folder / "aris.db").unlink()
    made = rebuild(folder, wrapping=key)
    assert made.indexed == 3 and not made.damaged and kept(folder, key) == known
    with Store(folder, wrapping=key) as store:
        sizes = {each.digest: each.file.size() for each in store.instances(study=f"{ROOT}.1")}
    assert sizes == {digest: len(data) for digest, data in known.items()}


def test_a_removed_file_does_not_come_back_by_a_change_of_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, known = filled(tmp_path, 2)
    key, gone = key_at(tmp_path), sorted(known)[0]
    write = FileStore._write

    def removed_meanwhile(self: FileStore, *given: object) -> Path:
        made = write(self, *given)  # type: ignore[arg-type]
        if given[1] == self.path(gone):
            self.remove(gone)
        return made

    monkeypatch.setattr(FileStore, "_write", removed_meanwhile)
    converting.encrypt(folder, key)
    files = FileStore(folder / "objects", wrapping=key)
    assert gone not in files.digests() and list((folder / "objects" / "incoming").iterdir()) == []
    files.close()


@pytest.mark.parametrize("begun", [converting.encrypt, converting.rotate])
def test_a_change_that_another_one_has_overtaken_writes_no_file_under_a_forgotten_key(
    tmp_path: Path, begun: Callable[..., object]
) -> None:
    folder, known = filled(tmp_path, 4)
    key, steps = key_at(tmp_path), []
    if begun is converting.rotate:
        converting.encrypt(folder, key)

    def overtake(total: int) -> None:
        steps.append(total)
        if len(steps) == 2:  # after the first file
            converting.decrypt(folder, key)

    with pytest.raises(KeyringError, match="changed meanwhile; begin again"):
        begun(folder, key, step=overtake)
    assert kept(folder, key) == known


def test_a_keyring_that_goes_while_a_server_runs_lets_nothing_be_written_in_clear(tmp_path: Path) -> None:
    folder, known = filled(tmp_path, 2)
    key, ring = key_at(tmp_path), folder / "objects" / "keyring.json"
    converting.encrypt(folder, key)
    fresh = as_bytes(image(9, PatientName="Secret^New"))
    with Store(folder, wrapping=key) as store:
        store.files.keyring.current()
        ring.rename(tmp_path / "ring")
        for _ in range(2):
            with pytest.raises(KeyringError, match="the keyring is gone"):
                store.add(fresh, source="CT1")
        assert not holds(folder / "objects", b"Secret")
        (tmp_path / "ring").rename(ring)
        known[store.add(fresh, source="CT1").digest] = fresh
    assert kept(folder, key) == known


def test_a_key_is_not_forgotten_while_a_file_cannot_be_read(tmp_path: Path) -> None:
    folder, known = filled(tmp_path, 3)
    key = key_at(tmp_path)
    converting.encrypt(folder, key)
    path = folder / "objects" / max(known)[:2] / f"{max(known)}.dcm"
    path.rename(tmp_path / "away")
    path.symlink_to(path)  # cannot be opened, and is there
    with pytest.raises(StoreError, match=r"cannot be read .*no key was forgotten"):
        converting.decrypt(folder, key)
    path.unlink()
    (tmp_path / "away").rename(path)
    assert kept(folder, key) == known and converting.decrypt(folder, key).objects == 3


def test_contents_that_change_between_two_readings_are_not_kept(tmp_path: Path) -> None:
    files, readings = FileStore(tmp_path / "objects"), iter([b"first", b"other"])
    with pytest.raises(StoreError, match="changed while they were read"):
        files.keep_pieces(lambda: (next(readings),))
    assert not files.any() and list((tmp_path / "objects" / "incoming").iterdir()) == []
    files.close()


def test_a_file_for_a_while_is_read_by_nobody_else(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "f", encrypted=True)
    with spool.writing() as file:
        file.write(b"Secret" * 50_000)
    assert spool.size() == 300_000 and spool.read() == b"Secret" * 50_000
    assert not holds(tmp_path, b"Secret") and (tmp_path / "f").stat().st_mode & 0o777 == 0o600
    with pytest.raises(DamagedFileError), Spool(tmp_path / "f", encrypted=True).open() as other:
        other.read()
    plain = Spool(tmp_path / "g", encrypted=False)
    with plain.writing() as file:
        file.write(b"words")
    assert plain.read() == b"words" == (tmp_path / "g").read_bytes()


def test_a_stored_file_is_told_by_a_name_that_says_nothing(tmp_path: Path) -> None:
    folder, known = filled(tmp_path, 1)
    with Store(folder) as store:
        file = store.files.file(next(iter(known)))
        assert isinstance(file, StoredFile) and str(file.path) in file.name
        named = file.labelled("000001.dcm")
        assert named.name == "000001.dcm" and named.read() == file.read()


