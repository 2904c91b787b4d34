"""The store against other users of its machine, two patients under one UID, and an index or object that was damaged."""

from __future__ import annotations

import os
import sqlite3
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from aris.errors import StoreError
from aris.imaging.dicom.patients import Patient
from aris.store.rebuild import rebuild
from aris.store.search import Query
from aris.store.store import Store
from dicom_objects import ROOT, as_bytes, image


@pytest.fixture(params=[0, 0o022, 0o377], ids=["umask 0", "umask 022", "umask 377"])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    found = [folder, *folder.rglob("*")]
    return {str(each.relative_to(folder)): stat.S_IMODE(each.lstat().st_mode) for each in found}


def assert_private(folder: Path) -> None:
    for name, mode in modes(folder).items():
        assert mode == (0o700 if (folder / name).is_dir() else 0o600), f"{name}: {mode:o}"


def test_nothing_of_a_store_is_open_to_others(tmp_path: Path, umask: None) -> None:
    with Store(tmp_path / "store") as store:
        store.add(as_bytes(image(1)))
        assert {"aris.db", "aris.db-wal", "aris.db-shm"} <= set(modes(store.folder))
        assert_private(store.folder)
    rebuild(tmp_path / "store")
    assert_private(tmp_path / "store")


def test_a_database_elsewhere_is_private_too(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Store(tmp_path / "store", url=f"sqlite:///{tmp_path / 'index.db'}") as store:
            store.add(as_bytes(image(1)))
            assert [stat.S_IMODE(each.stat().st_mode) for each in tmp_path.glob("index.db*")] == [0o600] * 3
    finally:
        os.umask(before)


def test_an_old_store_that_is_open_is_closed_at_start(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        store.add(as_bytes(image(1)))
    for path in [tmp_path / "store", *(tmp_path / "store").rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    with Store(tmp_path / "store") as store:
        assert_private(store.folder)
        assert len(store.instances()) == 1


def test_a_folder_that_holds_other_things_is_not_closed_behind_its_owners_back(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "letter.txt").write_text("hello")
    with pytest.raises(StoreError, match="a folder of its own"):
        Store(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755 and [each.name for each in folder.iterdir()] == ["letter.txt"]
    folder.chmod(0o700)  # nobody else may look: then it may be a store
    Store(folder).close()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_a_store_of_another_user_is_refused_in_words(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        store.add(as_bytes(image(1)))
    for path in (tmp_path / "store", tmp_path / "store" / "aris.db"):
        os.chown(path, 12345, -1)
        with pytest.raises(StoreError, match="belongs to another user"):
            Store(tmp_path / "store")
        os.chown(path, os.geteuid(), -1)
    Store(tmp_path / "store").close()


ANA = {"PatientID": "P1", "PatientName": "Doe^Ana", "PatientBirthDate": "19800101", "PatientSex": "F"}


@pytest.mark.parametrize(
    "other",
    [
        {"PatientID": "P2"}, {"PatientName": "Roe^Ana"}, {"PatientName": "Doe^Eva"}, {"PatientBirthDate": "19810101"},
        {"PatientSex": "M"}, {"PatientName": "Roe Ana"},
        {"PatientID": "P2", "PatientName": "Roe^Rita", "PatientBirthDate": "19500505", "PatientSex": "F"},
    ],
)  # fmt: skip
def test_another_patient_under_a_studys_uid_is_kept_apart(tmp_path: Path, other: dict[str, str]) -> None:
    with Store(tmp_path / "store") as store:
        assert store.add(as_bytes(image(1, **ANA))).outcome == "stored"
        theirs = as_bytes(image(2, **ANA | other))
        assert store.add(theirs, source="CT2").outcome == "kept apart"
        assert store.add(theirs, source="CT2").outcome == "kept apart"  # told again
        uid = f"{ROOT}.1.1.2"
        assert [each.uid for each in store.instances(study=f"{ROOT}.1")] == [f"{ROOT}.1.1.1"]
        assert store.search("instances", Query({"SOPInstanceUID": uid})) == []
        (study,) = store.search("studies", Query())
        assert (study["PatientID"], study["NumberOfStudyRelatedInstances"]) == ("P1", 1)
        (apart,) = store.apart()
        assert apart["StudyInstanceUID"] == f"{ROOT}.1" and apart["NumberOfStudyRelatedInstances"] == 1
        assert {key: apart[key] for key in ANA} == ANA | other and apart["KeptApart"] is True
        # It is not lost: all its UIDs together name it.
        (found,) = store.instances(f"{ROOT}.1", f"{ROOT}.1.1", uid)
        assert found.source == "CT2" and store.read(uid) == theirs
        # And the first patient's study goes on.
        assert store.add(as_bytes(image(3, **ANA))).outcome == "stored"


def test_what_one_header_leaves_out_or_writes_otherwise_is_no_conflict(tmp_path: Path) -> None:
    same = [
        {}, {"PatientID": ""}, {"PatientName": "DOE^ANA"}, {"PatientName": "Doe^Ana^^Dr"}, {"PatientName": "Doe^Ana^M"},
        {"PatientName": ""}, {"PatientBirthDate": ""}, {"PatientSex": "O"}, {"PatientName": "Doe Ana"},
        {"PatientBirthDate": "1980.01.01"[:8]}, {"IssuerOfPatientID": "HOSPITAL"},
    ]  # fmt: skip
    with Store(tmp_path / "store") as store:
        for number, changes in enumerate(same[:9] + same[10:], 1):
            assert store.add(as_bytes(image(number, **ANA | changes))).outcome == "stored", changes
        # The issuer that one object stated is the study's from then on.
        assert store.add(as_bytes(image(50, **ANA | {"IssuerOfPatientID": "OTHER"}))).outcome == "kept apart"


def test_an_object_without_a_patient_does_not_open_a_study_to_all(tmp_path: Path) -> None:
    nobody = dict.fromkeys(ANA, "")
    with Store(tmp_path / "store") as store:
        assert store.add(as_bytes(image(1, **nobody))).outcome == "stored"
        assert store.add(as_bytes(image(2, **ANA))).outcome == "stored"
        other = image(3, **ANA | {"PatientID": "P2", "PatientName": "Roe^Eva"})
        assert store.add(as_bytes(other)).outcome == "kept apart"
        assert store.search("studies", Query())[0]["PatientName"] == "Doe^Ana"


EVA = {"PatientID": "P2", "PatientName": "Roe^Eva", "PatientBirthDate": "19900909", "PatientSex": "F"}


def contested(folder: Path) -> Store:
    """A study of Ana's with an object that names nobody, and two objects of Eva's and one of a third patient's."""
    store = Store(folder)
    store.add(as_bytes(image(1, **ANA)), source="CT1")
    store.add(as_bytes(image(2, **dict.fromkeys(ANA, ""))), source="CT1")
    store.add(as_bytes(image(3, **EVA)), source="CT2")
    store.add(as_bytes(image(4, **EVA | {"PatientBirthDate": ""})), source="CT2")
    store.add(as_bytes(image(5, **ANA | {"PatientID": "P3"})), source="CT3")
    return store


def held(store: Store) -> tuple[str, list[str], list[tuple[str, int]]]:
    """Whose the study is, the last number of each of its objects, and who is kept apart with how many."""
    (study,) = store.search("studies", Query())
    assert study["StudyInstanceUID"] == f"{ROOT}.1"
    numbers = [each.uid.rpartition(".")[2] for each in store.instances(study=f"{ROOT}.1")]
    return (
        study["PatientID"],
        numbers,
        sorted((row["PatientID"], row["NumberOfStudyRelatedInstances"]) for row in store.apart()),
    )


def test_a_person_says_whose_a_contested_study_is_and_may_turn_back(tmp_path: Path) -> None:
    with contested(tmp_path / "s") as store:
        files = sorted(path.name for path in (tmp_path / "s").rglob("*.dcm"))
        before = held(store)
        assert before == ("P1", ["1", "2"], [("P2", 1), ("P2", 1), ("P3", 1)])
        done = store.resolve(f"{ROOT}.1", "P2")
        assert (done.given, done.apart) == (2, 3)
        # What names nobody stays with those beside whom it came.
        assert held(store) == ("P2", ["3", "4"], [("P1", 2), ("P3", 1)])
        assert store.senders(f"{ROOT}.1") == ["CT2"]
        assert [store.read(f"{ROOT}.1.1.{number}") for number in (1, 2, 3, 4, 5)]
        assert store.add(as_bytes(image(6, **EVA))).outcome == "stored"
        assert store.add(as_bytes(image(7, **ANA))).outcome == "kept apart"
    made = rebuild(tmp_path / "s")  # the word of the person is kept
    assert made.indexed == 7
    with Store(tmp_path / "s") as store:
        assert held(store)[0] == "P2" and ("P1", 2) in held(store)[2]
        store.resolve(f"{ROOT}.1", "P1")
        assert held(store)[0] == "P1" and {"1", "7"} <= set(held(store)[1])
        assert set(files) <= {path.name for path in (tmp_path / "s").rglob("*.dcm")}


def test_two_objects_with_one_uid_change_places(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        hers, others = as_bytes(image(1, **ANA)), as_bytes(image(1, **EVA))
        assert (store.add(hers).outcome, store.add(others).outcome) == ("stored", "kept apart")
        store.resolve(f"{ROOT}.1", "P2")
        assert store.read(f"{ROOT}.1.1.1") == others and held(store) == ("P2", ["1"], [("P1", 1)])
        store.resolve(f"{ROOT}.1", "P1")
        assert store.read(f"{ROOT}.1.1.1") == hers and held(store) == ("P1", ["1"], [("P2", 1)])


def test_what_cannot_be_resolved_changes_nothing(tmp_path: Path) -> None:
    with contested(tmp_path / "s") as store:
        store.add(as_bytes(image(8, **EVA | {"PatientName": "Poe^Rita"})))
        before = held(store)
        for study, patient, said in (
            (f"{ROOT}.1", "P1", "nothing of such a patient"), (f"{ROOT}.1", "P9", "nothing of such a patient"),
            (f"{ROOT}.9", "P2", "nothing is kept apart"), (f"{ROOT}.1", "P2", "several patients"),
        ):  # fmt: skip
            with pytest.raises(StoreError, match=said):
                store.resolve(study, patient)
            assert held(store) == before
        path = store.files.path(store.instances(study=f"{ROOT}.1")[0].digest)
        whole = path.read_bytes()
        path.write_bytes(b"x" + whole[1:])
        with pytest.raises(StoreError, match="damaged"):
            store.resolve(f"{ROOT}.1", "P3")
        assert held(store) == before
        path.write_bytes(whole)
        assert store.resolve(f"{ROOT}.1", "P2", "Roe^Eva").given == 2


def test_another_patient_under_an_objects_uid_is_kept_apart_not_beside(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        store.add(as_bytes(image(1, **ANA)))
        changed = image(1, **ANA, ImageComments="changed")
        assert store.add(as_bytes(changed)).outcome == "kept beside"
        other = image(1, **ANA | {"PatientID": "P9"}, StudyInstanceUID=f"{ROOT}.77")
        assert store.add(as_bytes(other)).outcome == "kept apart"
        assert store.apart()[0]["StudyInstanceUID"] == f"{ROOT}.77"
        assert store.read(f"{ROOT}.1.1.1") == as_bytes(image(1, **ANA))


def test_patients_in_other_scripts() -> None:
    yamada = Patient(name="Yamada^Tarou=山田^太郎=やまだ^たろう")
    assert not yamada.conflicts(Patient(name="Yamada^Tarou")) and not yamada.conflicts(Patient(name="=山田^太郎"))
    assert yamada.conflicts(Patient(name="=山田^花子")) and yamada.conflicts(Patient(name="Suzuki^Tarou"))
    assert Patient(identifier="1", issuer="A").conflicts(Patient(identifier="1", issuer="B"))


@pytest.mark.parametrize("damage", ["same size", "shorter", "gone", "unreadable"])
def test_a_damaged_object_is_whole_again_when_it_is_sent_again(tmp_path: Path, damage: str) -> None:
    data = as_bytes(image(1))
    with Store(tmp_path / "store") as store:
        store.add(data)
        path = store.instances()[0].file.path
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(data[:-100] + b"\xff" * 100 if damage == "same size" else data[:-7])
        with pytest.raises(StoreError, match=r"changed|cannot be read"):
            store.read(f"{ROOT}.1.1.1")
        assert store.add(data).outcome == "repaired"
        assert store.read(f"{ROOT}.1.1.1") == data
        assert store.add(data).outcome == "known"
        assert_private(store.folder)


@pytest.mark.parametrize("frames", ["1" + "0" * 20, str(2**31), "-" + "9" * 12])
def test_a_number_that_no_index_holds_leaves_no_file_without_a_place(tmp_path: Path, frames: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is too long for its VR
        made = image(1)
        made.add_new(0x00280008, "IS", "1")
        made["NumberOfFrames"]._value = frames  # as it is in the file
        data = as_bytes(made)
    with Store(tmp_path / "store") as store:
        assert store.add(data).outcome == "stored"
        assert len(store.instances()) == len(list(store.files.digests())) == 1
        assert store.search("instances", Query())[0]["NumberOfFrames"] is None


def filled(folder: Path) -> list[str]:
    with Store(folder) as store:
        for number in (1, 2, 3):
            store.add(as_bytes(image(number, study=number)), source=f"CT{number}")
        store.add(as_bytes(image(1, ImageComments="changed")), source="CT9")
        store.add(as_bytes(image(9, study=2, PatientID="P1")), source="CT8")
        return [store.read(f"{ROOT}.{n}.1.{n}").hex() for n in (1, 2, 3)]


@pytest.mark.parametrize("damage", ["deleted", "empty", "no tables", "no rows", "overwritten", "page"])
def test_a_lost_index_is_noticed_and_made_anew(tmp_path: Path, damage: str) -> None:
    before = filled(tmp_path / "store")
    database = tmp_path / "store" / "aris.db"
    if damage == "deleted":
        database.unlink()
    elif damage == "empty":
        database.write_bytes(b"")
    elif damage == "no tables":
        database.unlink()
        with sqlite3.connect(database) as made:
            made.execute("CREATE TABLE other (id)")
    elif damage == "no rows":
        with sqlite3.connect(database) as made:
            for table in ("copies", "instances", "series", "studies", "apart"):
                made.execute(f"DELETE FROM {table}")
    elif damage == "overwritten":
        database.write_bytes(b"not a database" * 1000)
    else:
        data = bytearray(database.read_bytes())
        data[8192:-4096] = b"\x5a" * (len(data) - 8192 - 4096)
        database.write_bytes(data)
    with pytest.raises(StoreError, match="aris node rebuild"):
        Store(tmp_path / "store")
    made = rebuild(tmp_path / "store")
    assert (made.indexed, made.apart, made.damaged) == (5, 1, [])
    with Store(tmp_path / "store") as store:
        assert [store.read(f"{ROOT}.{n}.1.{n}").hex() for n in (1, 2, 3)] == before
        assert store.counts() == {"studies": 3, "series": 3, "instances": 3, "copies": 4}
        assert len(store.apart()) == 1
        assert_private(store.folder)


def test_an_index_made_anew_knows_who_sent_what_and_in_which_order(tmp_path: Path) -> None:
    filled(tmp_path / "store")
    with Store(tmp_path / "store") as store:
        damaged = store.find(f"{ROOT}.3.1.3")
        assert damaged is not None
        damaged.file.path.write_bytes(damaged.file.path.read_bytes()[:-1] + b"\xff")
    made = rebuild(tmp_path / "store")
    assert (made.indexed, made.senders, made.damaged) == (4, 4, [damaged.digest])
    with Store(tmp_path / "store") as store:
        assert store.senders(f"{ROOT}.1") == ["CT1", "CT9"] and store.senders(f"{ROOT}.2") == ["CT2"]
        assert store.find(f"{ROOT}.3.1.3") is None and damaged.file.path.exists()


def test_a_store_in_use_is_not_rebuilt(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        store.add(as_bytes(image(1)))
        with pytest.raises(StoreError, match="in use"):
            rebuild(tmp_path / "store")
    with pytest.raises(StoreError, match="no store"):
        rebuild(tmp_path / "nothing")


def test_a_file_whose_row_was_not_written_yet_is_no_lost_index(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        store.files.add(as_bytes(image(1)))  # killed here
    with Store(tmp_path / "store") as store:
        assert store.add(as_bytes(image(1))).outcome == "stored"
