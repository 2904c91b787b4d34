"""Shifted dates (113107, Modified Dates): by whole days, with all times, so that phases and intervals stay."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from aris.exchange.deidentify.images import Deidentifier, Options
from aris.exchange.deidentify.rules import shifted
from aris.imaging import read_volumes
from aris.imaging.studies import find_studies
from aris.imaging.synthetic.series import Geometry, write_enhanced, write_series
from dicom_objects import as_bytes, image

KEY = bytes(range(32))


def clean(data: bytes, **options: Any) -> Any:
    made = Deidentifier(KEY, Options(**({"pixels": "reviewed", "dates": "shift"} | options))).clean(data).data
    return pydicom.dcmread(io.BytesIO(made))


def days(before: str, after: str) -> int:
    return (datetime.strptime(str(after)[:8], "%Y%m%d") - datetime.strptime(str(before)[:8], "%Y%m%d")).days


def test_every_date_moves_by_the_same_whole_days_and_every_time_stays() -> None:
    made = image(
        1, StudyDate="20240228", StudyTime="235959.5", SeriesDate="20240229", SeriesTime="0000",
        AcquisitionDate="20240301", AcquisitionTime="001500.123456", ContentDate="20240301", ContentTime="0016",
        AcquisitionDateTime="20240301001500.123456+0530", InstanceCreationDate="20240302",
        InstanceCreationTime="10", TimezoneOffsetFromUTC="+0530", AcquisitionNumber=3, TriggerTime="120.5",
        TemporalPositionIdentifier=2, PatientBirthDate="19310507", PatientBirthTime="0405",
        DateOfLastCalibration=["20240101", "20240102"], TimeOfLastCalibration=["08", "0900"],
    )  # fmt: skip
    content = Dataset()
    content.FrameAcquisitionDateTime, content.FrameReferenceDateTime = "20240301001501-0100", "20240301"
    group = Dataset()
    group.FrameContentSequence = [content]
    made.PerFrameFunctionalGroupsSequence = [group]
    drug = Dataset()
    drug.RadiopharmaceuticalStartTime, drug.RadiopharmaceuticalStartDateTime = "2330", "20240229233000"
    made.RadiopharmaceuticalInformationSequence = [drug]
    block = made.private_block(0x0011, "MAKER", create=True)
    block.add_new(1, "DA", "20240301")
    block.add_new(2, "TM", "001500")
    kept = clean(as_bytes(made))
    moved = days(made.StudyDate, kept.StudyDate)
    assert -3652 <= moved <= -365
    for keyword in ("SeriesDate", "AcquisitionDate", "ContentDate", "AcquisitionDateTime", "InstanceCreationDate"):
        assert days(made[keyword].value, kept[keyword].value) == moved, keyword
    assert [days(*pair) for pair in zip(made.DateOfLastCalibration, kept.DateOfLastCalibration, strict=True)] == [
        moved, moved
    ]  # fmt: skip
    for keyword in ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime", "InstanceCreationTime",
                    "TimeOfLastCalibration", "TimezoneOffsetFromUTC", "AcquisitionNumber", "TriggerTime",
                    "TemporalPositionIdentifier"):  # fmt: skip
        assert kept[keyword].value == made[keyword].value, keyword
    assert str(kept.AcquisitionDateTime)[8:] == "001500.123456+0530"
    inner = kept.PerFrameFunctionalGroupsSequence[0].FrameContentSequence[0]
    assert days(content.FrameAcquisitionDateTime, inner.FrameAcquisitionDateTime) == moved
    assert str(inner.FrameAcquisitionDateTime)[8:] == "001501-0100" and len(str(inner.FrameReferenceDateTime)) == 8
    (nested,) = kept.RadiopharmaceuticalInformationSequence
    assert nested.RadiopharmaceuticalStartTime == "2330"
    assert days("20240229", nested.RadiopharmaceuticalStartDateTime) == moved
    assert not kept.PatientBirthDate and "PatientBirthTime" not in kept
    assert not [each for each in kept if each.tag.is_private]
    assert kept.DeidentificationMethodCodeSequence[-1].CodeValue == "113107"
    # The patient's other study moves along.
    other = clean(as_bytes(image(1, study=1, StudyInstanceUID="1.2.3.4", StudyDate="20200101")))
    assert days("20200101", other.StudyDate) == moved


def test_removed_dates_take_times_and_zones_with_them() -> None:
    kept = clean(as_bytes(image(1, AcquisitionTime="101500", TimezoneOffsetFromUTC="+0530")), dates="remove")
    assert not kept.StudyDate and not kept.StudyTime
    assert "AcquisitionTime" not in kept and "TimezoneOffsetFromUTC" not in kept


@pytest.mark.parametrize(
    ("vr", "value", "wanted"),
    [
        ("DA", "20240301", "20240229"),
        ("DA", "2024.03.01", "20240229"),
        ("DA", "20240230", ""),
        ("DA", "MEYER 01", ""),
        ("DA", "", ""),
        ("DT", "20240301", "20240229"),
        ("DT", "2024030112", "2024022912"),
        ("DT", "20240301120000.5-0500", "20240229120000.5-0500"),
        ("DT", "20240301+0100", "20240229+0100"),
        ("DT", "2024", ""),
        ("DT", "202403", ""),
        ("DT", "20240301 12", ""),
        ("DT", "00010101", ""),
        ("TM", "235960", "235960"),
        ("TM", "10:15:00", "10:15:00"),
        ("TM", "2400", ""),
        ("TM", "101", ""),
        ("TM", "Meyer", ""),
        ("TM", ["08", "noon"], ["08", ""]),
    ],
)
def test_values_move_or_go(vr: str, value: Any, wanted: Any) -> None:
    assert shifted(vr, value, -1) == wanted


def phases(folder: Path) -> list[tuple[int, float]]:
    """Slices and mean of each volume, in order."""
    (series,) = find_studies(folder).series
    return [(len(volume.voxels), round(float(np.mean(volume.voxels)), 3)) for volume in read_volumes(series)]


def cleaned(folder: Path, out: Path, **options: Any) -> Path:
    out.mkdir()
    for number, path in enumerate(sorted(folder.iterdir())):
        clean(path.read_bytes(), **options).save_as(out / f"{number}.dcm")
    return out


TELLING: dict[str, Callable[[int], dict[str, Any]]] = {
    "time of acquisition": lambda phase: {"AcquisitionTime": f"1015{20 * phase:02}", "AcquisitionDate": "20240301"},
    "acquisition": lambda phase: {"AcquisitionNumber": phase + 1},
    "trigger time": lambda phase: {"TriggerTime": str(100 * phase)},
    "temporal position": lambda phase: {"TemporalPositionIdentifier": phase + 1},
    "echo": lambda phase: {"EchoNumbers": phase + 1},
}


@pytest.mark.parametrize("by", TELLING)
def test_three_phases_stay_three_volumes(by: str, tmp_path: Path) -> None:
    geometry = Geometry(slices=4)
    for phase in range(3):
        write_series(
            tmp_path / "in", geometry, series_uid="1.2.3", study_uid="1.2", prefix=f"p{phase}-", signed=True,
            numbers=range(4 * phase + 1, 4 * phase + 5), StudyDate="20240301", StudyTime="101500",
            RescaleIntercept=100 * phase, **TELLING[by](phase),
        )  # fmt: skip
    before = phases(tmp_path / "in")
    assert [count for count, _ in before] == [4, 4, 4] and len({mean for _, mean in before}) == 3
    assert phases(cleaned(tmp_path / "in", tmp_path / "out")) == before


def test_phases_of_an_enhanced_object_stay(tmp_path: Path) -> None:
    geometry = Geometry(slices=3)
    (tmp_path / "in").mkdir()
    for by in ("cardiac", "stack", "time"):
        path = write_enhanced(tmp_path / "in" / "a.dcm", geometry, order=[0, 1, 2, 0, 1, 2])
        dataset = pydicom.dcmread(path)
        for index, item in enumerate(dataset.PerFrameFunctionalGroupsSequence):
            content = item.FrameContentSequence[0]
            if by == "cardiac":
                cycle = Dataset()
                cycle.NominalCardiacTriggerDelayTime = 100.0 * (index // 3)
                item.CardiacSynchronizationSequence = [cycle]
            elif by == "stack":
                content.StackID = f"Meyer {index // 3}"
            else:
                content.FrameAcquisitionDateTime = f"2024030110150{index // 3}"
        dataset.save_as(path)
        before = phases(tmp_path / "in")
        assert [count for count, _ in before] == [3, 3], by
        out = cleaned(tmp_path / "in", tmp_path / by)
        assert phases(out) == before, by
        assert b"Meyer" not in b"".join(each.read_bytes() for each in out.iterdir())
