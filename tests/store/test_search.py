"""Searches by dates, times, names, numbers and texts: what PS3.4 C.2.2.2 says matches, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aris.errors import StoreError
from aris.store.search import Query
from aris.store.store import Store
from dicom_objects import ROOT, as_bytes, image

STUDIES = [
    {"StudyDate": "20260101", "StudyTime": "0915", "PatientID": "Aa1", "SeriesNumber": 7},
    {"StudyDate": "20260102", "StudyTime": "091530.25", "PatientID": "aa1", "SeriesNumber": 70},
    {"StudyDate": "20260103", "StudyTime": "09", "PatientID": "A[a]1", "SeriesNumber": 0},
    {"StudyDate": "", "StudyTime": "", "PatientID": "A%_1", "SeriesNumber": None, "PatientBirthDate": ""},
    {"StudyDate": "2026.01.05", "StudyTime": "23:59:59", "PatientID": "B\\C", "PatientBirthDate": "1980.01.01"},
    {"StudyDate": "unknown", "StudyTime": "noon", "PatientID": "0012", "PatientBirthDate": "19991231"},
]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    from pydicom import config

    kept, config.settings.writing_validation_mode = config.settings.writing_validation_mode, config.IGNORE
    with Store(tmp_path_factory.mktemp("search")) as opened, config.disable_value_validation():
        for number, changes in enumerate(STUDIES, 1):
            opened.add(as_bytes(image(1, study=number, **changes)))
        yield opened
    config.settings.writing_validation_mode = kept


def studies(store: Store, **matches: str) -> str:
    """The numbers of the studies that match."""
    found = store.search("studies", Query(matches))
    return "".join(row["StudyInstanceUID"].removeprefix(f"{ROOT}.") for row in found)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("20260101-", "1235"), ("-20260102", "12"), ("20260102-20260103", "23"), ("20260102 - 20260103", "23"),
        ("20260103", "3"), ("20260105", "5"), ("2026.01.05", "5"), ("-20260101", "1"), ("20260104-", "5"),
        ("20260103-20260101", ""), ("", "123456"), ("*", "123456"),
    ],
)  # fmt: skip
def test_ranges_of_dates_leave_out_studies_without_one(store: Store, value: str, wanted: str) -> None:
    assert studies(store, StudyDate=value) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("091500-091600", "12"), ("0915-0916", "12"), ("0915", "12"), ("091500", "1"), ("091530.25", "2"),
        ("091530.250000", "2"), ("091530.2-091530.3", "2"), ("091530.26-", "5"), ("0900-0915", "123"), ("09", "123"),
        ("-0914", "3"), ("2359-", "5"), ("23:59:59", "5"), ("0916-", "5"), ("-235959", "1235"), ("0000-", "1235"),
        ("1000-0900", ""), ("", "123456"),
    ],
)  # fmt: skip
def test_times_are_times_and_no_texts(store: Store, value: str, wanted: str) -> None:
    assert studies(store, StudyTime=value) == wanted


@pytest.mark.parametrize(
    ("day", "time", "wanted"),
    [
        ("20260101-20260103", "0916-0900", "23"),  # from one moment to another, over midnights
        ("20260101-20260102", "0915-091530", "12"),
        ("20260101-20260102", "0915-091529", "1"),
        ("20260102-", "0916-", "35"),
        ("-20260102", "-0914", "1"),
        ("20260101", "0900-1000", "1"),
        ("20260101-20260105", "0915", "12"),
    ],
)
def test_dates_and_times_are_combined(store: Store, day: str, time: str, wanted: str) -> None:
    """Combined Datetime Matching, PS3.18 8.3.4 and PS3.4 C.2.2.2.5."""
    assert studies(store, StudyDate=day, StudyTime=time) == wanted


def test_birth_dates_are_dates(store: Store) -> None:
    assert studies(store, PatientBirthDate="-19800101") == "1235"
    assert studies(store, PatientBirthDate="19900101-") == "6"


@pytest.mark.parametrize(
    "matches",
    [
        {"StudyDate": "2026-01-01"}, {"StudyDate": "20260230"}, {"StudyDate": "-"}, {"StudyDate": "2026*"},
        {"StudyDate": "20260101-20260102-20260103"}, {"StudyDate": "yesterday"}, {"StudyTime": "9"},
        {"StudyTime": "0960"}, {"StudyTime": "2400"}, {"StudyTime": "09153"}, {"StudyTime": "091500+0100"},
        {"StudyDate": "2026-", "StudyTime": "09-10"}, {"PatientBirthDate": "1980"}, {"SOPInstanceUID": "1.2"},
    ],
)  # fmt: skip
def test_what_is_no_date_or_time_is_refused_without_its_value(store: Store, matches: dict[str, str]) -> None:
    with pytest.raises(StoreError) as caught:
        studies(store, **matches)
    assert not any(value in str(caught.value) for value in matches.values() if len(value) > 1)


def test_texts_tell_capitals_from_small_letters_and_know_no_other_wildcards(store: Store) -> None:
    assert studies(store, PatientID="Aa1") == studies(store, PatientID="A?1") == "1"
    assert studies(store, PatientID=" Aa1 ") == "1" and studies(store, PatientID="a*") == "2"
    assert studies(store, PatientID="A[a]*") == "3" and studies(store, PatientID="A[ab]*") == ""
    assert studies(store, PatientID="A%*") == "4" and studies(store, PatientID="A%_1") == "4"
    assert studies(store, PatientID="A*") == "134" and studies(store, PatientID="**") == "123456"
    assert studies(store, PatientID="?0*") == "6" and studies(store, ModalitiesInStudy="D*") == "123456"
    assert studies(store, ModalitiesInStudy="d?") == "" and studies(store, ModalitiesInStudy="CT, DX") == "123456"


def test_numbers_are_numbers(store: Store) -> None:
    def series(value: str) -> str:
        found = store.search("series", Query({"SeriesNumber": value}))
        return "".join(row["StudyInstanceUID"].removeprefix(f"{ROOT}.") for row in found)

    assert series("7") == series("07") == series("+7") == "1" and series("0") == series("00") == "3"
    assert series("70") == "2" and series("1") == "56"
    with pytest.raises(StoreError, match="whole number"):
        series("7*")


def test_lists_of_uids(store: Store) -> None:
    assert studies(store, StudyInstanceUID=f"{ROOT}.1, {ROOT}.3\\{ROOT}.3") == "13"
    many = ",".join(f"1.{n}" for n in range(9000))
    assert studies(store, StudyInstanceUID=many) == ""


def test_groups_of_a_name_match_their_own(tmp_path: Path) -> None:
    names = ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada^Hanako=山本^花子", "Müller^Ana^^^", "太郎")
    with Store(tmp_path) as store:
        for number, name in enumerate(names, 1):
            store.add(as_bytes(image(1, study=number, PatientName=name)))
        for key, wanted in {
            "=山田*": "1", "yamada*=山本*": "2", "Yamada^Tarou=山田^太郎=やまだ^たろう": "1", "==やまだ*": "1",
            "yamada^tarou=山本*": "", "山田^太郎": "1", "müller^ana": "3", "MÜLLER^ANA^": "3", "müller^ana^x": "",
            "=山田*=": "1", "山田*=": "", "a=b=c=d": "", "=": "", "太郎": "4",
        }.items():  # fmt: skip
            assert studies(store, PatientName=key) == wanted, key
