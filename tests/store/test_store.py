"""The store keeps what it was given, once; it finds it again; a full disk and a stopped process lose nothing kept."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from aris.errors import StoreError
from aris.store.database import open_database, upgrade
from aris.store.files import StoreFullError
from aris.store.schema import Base
from aris.store.search import Query
from aris.store.store import Store
from dicom_objects import CT, ROOT, as_bytes, image


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_an_object_is_kept_and_found_as_it_was(store: Store) -> None:
    data = as_bytes(image())
    added = store.add(data, source="CT1")
    assert added.outcome == "stored" and store.read(added.uid) == data
    found = store.find(added.uid)
    assert found is not None and (found.source, found.study) == ("CT1", f"{ROOT}.1")
    assert found.file.read() == data and stat.S_IMODE(found.file.path.stat().st_mode) == 0o600
    with Store(store.folder) as again:  # another process would see the same
        assert again.read(added.uid) == data
    assert store.find("1.2.3") is None
    with pytest.raises(StoreError, match="no such object"):
        store.read("1.2.3")


def test_the_same_object_is_kept_once_and_another_under_its_uid_beside_it(store: Store) -> None:
    first, other = as_bytes(image()), as_bytes(image(PatientComments="changed"))
    assert store.add(first, source="A").outcome == "stored"
    assert store.add(first, source="B").outcome == "known"
    beside = store.add(other, source="B")
    assert beside.outcome == "kept beside" and store.add(other).outcome == "known"
    assert store.counts() == {"studies": 1, "series": 1, "instances": 1, "copies": 2}
    assert store.read(beside.uid) == first  # the first stays the instance
    assert store.files.read(beside.digest) == other  # and nothing is lost
    assert store.senders(f"{ROOT}.1") == ["A", "B"]


def test_threads_and_stores_on_one_folder_add_each_object_once(tmp_path: Path) -> None:
    objects = [as_bytes(image(n, study=n % 3 + 1, series=n % 2 + 1)) for n in range(1, 41)]
    stores = [Store(tmp_path / "store") for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda i: stores[i % 2].add(objects[i % 40]).outcome, range(120)))
    assert outcomes.count("stored") == 40 and outcomes.count("known") == 80
    assert stores[0].counts() == {"studies": 3, "series": 6, "instances": 40, "copies": 40}


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_leaves_nothing_and_says_so(
    store: Store, monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    data = as_bytes(image())
    with monkeypatch.context() as broken:
        broken.setattr(os, step, fail)
        with pytest.raises(StoreError) as caught:
            store.add(data)
    assert isinstance(caught.value, StoreFullError) == (number == errno.ENOSPC)
    assert store.counts()["instances"] == 0 and not list((store.folder / "objects").glob("*/*"))
    assert store.add(data).outcome == "stored"  # once there is room


def test_a_nearly_full_disk_is_full(tmp_path: Path) -> None:
    with pytest.raises(StoreFullError, match="full"):
        Store(tmp_path, reserve_bytes=1 << 60).add(as_bytes(image()))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting needs root")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        store = Store(place, reserve_bytes=0)
        kept = []
        with pytest.raises(StoreFullError):
            for number in range(1, 200):
                data = as_bytes(image(number, side=128))
                kept.append((store.add(data).uid, data))
        assert kept and all(store.read(uid) == data for uid, data in kept)
        store.close()
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_file_that_changed_on_the_disk_is_not_given_out(store: Store) -> None:
    added = store.add(as_bytes(image()))
    path = store.files.path(added.digest)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-2] + b"zz")
    with pytest.raises(StoreError, match="changed on the disk"):
        store.read(added.uid)


def test_a_killed_process_leaves_whole_objects_only(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from dicom_objects import as_bytes, image\n"
        "from aris.store.store import Store\n"
        "store = Store(sys.argv[1])\n"
        "for n in range(1, 10000): print(store.add(as_bytes(image(n, side=256))).uid, flush=True)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path, Path(__file__).parents[1], *sys.path], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    said = [writer.stdout.readline().strip() for _ in range(12)]
    writer.kill()
    said += [line.strip() for line in writer.stdout if line.endswith("\n")]
    writer.wait()
    with Store(tmp_path) as store:
        assert store.files.clear_incoming() <= 1
        for uid in said:
            assert as_bytes(image(int(uid.rpartition(".")[2]), side=256)) == store.read(uid)
        assert not list((tmp_path / "objects" / "incoming").iterdir())
        assert store.counts()["instances"] >= len(said)


def test_a_second_process_does_not_clear_what_the_first_is_writing(tmp_path: Path) -> None:
    first = Store(tmp_path)
    half = tmp_path / "objects" / "incoming" / "half"
    half.write_bytes(b"x")
    with Store(tmp_path) as second:
        assert second.files.clear_incoming() == 0 and half.exists()
        stop = threading.Event()

        def clear() -> None:
            while not stop.is_set():
                second.files.clear_incoming()

        clearing = threading.Thread(target=clear)
        clearing.start()
        try:
            for number in range(1, 20):
                assert first.add(as_bytes(image(number, side=256))).outcome == "stored"
        finally:
            stop.set()
            clearing.join()
    assert first.files.clear_incoming() == 1 and not half.exists()


def test_what_is_no_object_is_refused(store: Store) -> None:
    without = image()
    del without.StudyInstanceUID
    for data in (b"", b"nonsense" * 100, as_bytes(image())[:300], as_bytes(without)):
        with pytest.raises(StoreError) as caught:
            store.add(data, name="x.dcm")
        assert "x.dcm" in str(caught.value) and "\n" not in str(caught.value)
    assert store.counts()["instances"] == 0


def test_an_object_that_swells_beyond_reason_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aris.imaging.dicom.parsing.MAX_INFLATED", 4 << 20)
    made = image(1)
    made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    deflated = as_bytes(made)
    assert store.add(deflated).outcome == "stored"
    # A private element of 16 MB of zeros behind the same header, in some kilobytes.
    start = 144 + int.from_bytes(deflated[140:144], "little")
    plain = zlib.decompress(deflated[start:], -zlib.MAX_WBITS)
    deflating = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = deflating.compress(plain + bytes.fromhex("fdff0100 4f420000") + (16 << 20).to_bytes(4, "little"))
    bomb += b"".join(deflating.compress(bytes(1 << 20)) for _ in range(16)) + deflating.flush()
    with pytest.raises(StoreError, match="inflated"):
        store.add(deflated[:start] + bomb)


def matching(store: Store, level: str = "studies", **matches: str) -> list[str]:
    key = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}[level]
    return [row[key].removeprefix(ROOT) for row in store.search(level, Query(matches))]


def test_searches(store: Store) -> None:
    for study in (1, 2, 3):
        for number in (1, 2):
            store.add(as_bytes(image(number, study=study, Modality="CT" if study == 3 else "DX")))
    store.add(as_bytes(image(1, study=3, series=2, SOPClassUID=CT)))
    assert matching(store) == [".1", ".2", ".3"]
    assert matching(store, PatientName="müller^ana2") == matching(store, PatientName="Müller^Ana2^^") == [".2"]
    assert matching(store, PatientName="M*ana?") == [".1", ".2", ".3"] and matching(store, PatientName="%") == []
    assert matching(store, PatientID="P2") == [".2"] and matching(store, PatientID="p2") == []
    assert matching(store, StudyDate="20260102-") == [".2", ".3"] and matching(store, StudyDate="-20260101") == [".1"]
    assert matching(store, StudyDate="20260101-20260102") == [".1", ".2"]
    assert matching(store, StudyTime="1014-1016") == [".1", ".2", ".3"] and matching(store, StudyTime="1100-") == []
    assert matching(store, ModalitiesInStudy="CT") == [".3"]
    assert matching(store, StudyInstanceUID=f"{ROOT}.1\\{ROOT}.3") == [".1", ".3"]
    assert matching(store, "series", StudyInstanceUID=f"{ROOT}.3") == [".3.1", ".3.2"]
    assert matching(store, "instances", Modality="CT", InstanceNumber="2") == [".3.1.2"]
    assert [r["StudyInstanceUID"] for r in store.search("studies", Query(limit=1, offset=1))] == [f"{ROOT}.2"]
    (study,) = store.search("studies", Query({"PatientID": "P3"}))
    assert (study["NumberOfStudyRelatedSeries"], study["NumberOfStudyRelatedInstances"]) == (2, 3)
    assert study["PatientName"] == "Müller^Ana3" and study["ModalitiesInStudy"] == ["CT", "DX"]
    with pytest.raises(StoreError, match="not a key"):
        store.search("studies", Query({"SOPInstanceUID": "1.2"}))


def test_names_are_found_in_every_script_and_case(store: Store) -> None:
    names = ("MÜLLER^ÉLODIE", "ИВАНОВ^Пётр", "Yamada^Tarou=山田^太郎=やまだ^たろう")
    for number, name in enumerate(names, 1):
        store.add(as_bytes(image(number, study=number, PatientName=name, SpecificCharacterSet="ISO_IR 192")))
    found = {
        ".1": ["MÜLLER^ÉLODIE", "müller^élodie", "Müller*", "*ÉLODIE", "M?LLER^*"],
        ".2": ["ИВАНОВ^Пётр", "иванов^пётр", "Иванов*"],
        ".3": ["Yamada^Tarou", "yamada*", "山田^太郎", "山田*", "やまだ^たろう^^", names[2]],
    }
    for study, spellings in found.items():
        for each in spellings:
            assert matching(store, PatientName=each) == [study], each
    for other in ("Yamada", "山", "ller*", "Muller*", "Tarou", "%", "Yamada^Tarou=x", "M" * 60_000, "M*" * 30_000):
        assert matching(store, PatientName=other) == [], other


def test_the_migrations_make_the_tables_of_the_schema(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'a.db'}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL: a commit is on the disk
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    upgrade(engine)  # once more changes nothing


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    Store(tmp_path).close()
    with create_engine(f"sqlite:///{tmp_path / 'aris.db'}").begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer version"):
        Store(tmp_path)
