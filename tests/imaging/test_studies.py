"""Folders, archives and DICOMDIRs sorted into studies and series; what is broken or hostile is left out and said."""

from __future__ import annotations

import io
import os
import shutil
import stat
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import pydicom
import pydicom.data
import pytest
from pydicom.fileset import FileSet

from aris.errors import ImageError
from aris.imaging import find_studies, read_volume, sources
from aris.imaging.synthetic.series import Geometry, write_enhanced, write_series
from aris.tasks.cases import Case, read_cases

SMALL = Geometry(slices=3, rows=16, columns=16)


def pack(target: Path, paths: list[Path], **more: bytes) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            archive.write(path, f"images/{path.name}")
        for name, data in more.items():
            archive.writestr(name, data)
    return target


def test_a_folder_is_sorted_and_one_broken_file_stops_nothing(tmp_path: Path) -> None:
    study = pydicom.uid.generate_uid()
    write_series(tmp_path / "a", SMALL, study_uid=study, SeriesNumber=2)
    write_series(tmp_path / "b" / "deep", SMALL, study_uid=study, modality="MR", SeriesNumber=1)
    write_enhanced(tmp_path / "c.dcm", SMALL)
    (tmp_path / "notes.txt").write_text("nothing to see")
    (tmp_path / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + os.urandom(200))
    (tmp_path / "empty.dcm").touch()
    (tmp_path / ".DS_Store").touch()
    os.mkfifo(tmp_path / "pipe")
    found = find_studies(tmp_path)
    assert [[(one.modality, len(one.instances)) for one in study.series] for study in found.studies] == [
        [("CT", 1)],
        [("MR", 3), ("CT", 3)],
    ]
    assert all(one.kind == "volume" for one in found.series)
    assert sorted(Path(one.source).name for one in found.skipped) == ["broken.dcm", "empty.dcm", "notes.txt", "pipe"]
    assert all("\n" not in one.reason for one in found.skipped)


def test_the_same_object_twice_is_used_once(tmp_path: Path) -> None:
    paths = write_series(tmp_path, SMALL)
    (tmp_path / "copy.dcm").write_bytes(paths[0].read_bytes())
    found = find_studies(tmp_path)
    assert len(found.series[0].instances) == 3
    assert "same SOP Instance UID" in found.skipped[0].reason


def test_a_damaged_object_beside_pictures_is_not_lost_silently(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.zeros((80, 80), np.uint8)).save(tmp_path / "film.png")
    (tmp_path / "broken.dcm").write_bytes(bytes(128) + b"DICM" + b"\x08")
    (tmp_path / "CREDITS.md").write_text("Who made these films.\n" * 20)
    archive = pack(tmp_path.parent / f"{tmp_path.name}.zip", sorted(tmp_path.iterdir()))
    for place in (tmp_path, archive):
        read, *rest = sorted(read_cases(place), key=lambda one: not isinstance(one, Case))
        assert isinstance(read, Case) and read.source.endswith("film.png")
        assert [one.source.rpartition("/")[2].rpartition(":")[2] for one in rest] == ["broken.dcm"]


def test_of_copies_the_whole_one_is_used_wherever_it_stands(tmp_path: Path) -> None:
    whole = write_series(tmp_path, SMALL)[0]
    data = whole.read_bytes()
    for name in ("0-cut.dcm", "z-cut.dcm"):
        (tmp_path / name).write_bytes(data[:-100])
    archive = pack(tmp_path.parent / f"{tmp_path.name}.zip", sorted(tmp_path.glob("*.dcm")))
    for place in (tmp_path, archive):
        found = find_studies(place)
        assert len(found.series[0].instances) == 3
        assert {Path(one.source.replace(":", "/")).name for one in found.skipped} >= {"0-cut.dcm", "z-cut.dcm"}
        assert read_volume(place).voxels.shape == (3, 16, 16)


def test_two_patients_under_one_study_are_read_apart(tmp_path: Path) -> None:
    """Also where series and objects have one UID: they were one volume."""
    study, series = pydicom.uid.generate_uid(), pydicom.uid.generate_uid()
    for name, who in (("a", "P1"), ("b", "P2")):
        write_series(
            tmp_path / name, SMALL, study_uid=study, series_uid=series, PatientID=who, PatientName=f"X^{who}"
        )
    # What names nobody contradicts nobody.
    (path, *_) = write_series(tmp_path / "c", SMALL, study_uid=study, series_uid=series)
    dataset = pydicom.dcmread(path)
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"):
        setattr(dataset, keyword, "")
    shutil.rmtree(tmp_path / "c")
    dataset.save_as(tmp_path / "c.dcm")
    found = find_studies(tmp_path)
    assert [len(one.series[0].instances) for one in found.studies] == [4, 3]
    assert {one.study_uid for one in found.studies} == {study} and all(one.contested for one in found.series)
    cases = list(read_cases(tmp_path))
    assert len(cases) == 2 and all("another patient" in each.warnings[-1] for each in cases if isinstance(each, Case))
    assert cases[0].header.patient != cases[1].header.patient


def test_an_archive_reads_as_its_folder(tmp_path: Path) -> None:
    archive = pack(tmp_path / "study.zip", write_series(tmp_path / "files", SMALL), **{"README": b"text"})
    assert np.array_equal(read_volume(archive).voxels, read_volume(tmp_path / "files").voxels)
    assert [one.source for one in find_studies(archive).skipped] == [f"{archive}:README"]


@pytest.mark.parametrize("name", ["../outside.dcm", "/etc/outside.dcm", "a/../../b.dcm", "..\\up.dcm", "C:\\x.dcm"])
def test_names_that_leave_an_archive_are_left_out(name: str, tmp_path: Path) -> None:
    paths = write_series(tmp_path / "files", SMALL)
    archive = pack(tmp_path / "study.zip", paths[1:], **{name: paths[0].read_bytes()})
    before = sorted(path for path in tmp_path.rglob("*"))
    found = find_studies(archive)
    assert len(found.series[0].instances) == 2
    assert [one.reason for one in found.skipped] == ["its name leaves the archive"]
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_links_in_an_archive_are_left_out(tmp_path: Path) -> None:
    archive = pack(tmp_path / "study.zip", write_series(tmp_path / "files", SMALL))
    with zipfile.ZipFile(archive, "a") as more:
        link = zipfile.ZipInfo("link.dcm")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        more.writestr(link, "/etc/passwd")
    assert [one.reason for one in find_studies(archive).skipped] == ["a link"]


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.dcm", bytes(300 << 20))
    with pytest.raises(ImageError, match=r"unpacks to 0\.3 GB"):
        find_studies(bomb)


def test_a_member_that_lies_about_its_size_is_left_out(tmp_path: Path) -> None:
    archive = pack(tmp_path / "study.zip", write_series(tmp_path / "files", SMALL), **{"big.dcm": bytes(100_000)})
    data = bytearray(archive.read_bytes())
    for signature, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):  # uncompressed size in both headers
        start = data.rfind(signature)
        data[start + at : start + at + 4] = (100).to_bytes(4, "little")
    archive.write_bytes(data)
    found = find_studies(archive)
    assert len(found.series[0].instances) == 3 and len(found.skipped) == 1


def test_encrypted_and_damaged_members_are_left_out(tmp_path: Path) -> None:
    archive = pack(tmp_path / "study.zip", write_series(tmp_path / "files", SMALL))
    data = bytearray(archive.read_bytes())
    first = data.find(b"PK\x01\x02")
    data[first + 8] |= 1  # encrypted, in the central directory
    second = data.find(b"PK\x01\x02", first + 4)
    data[second + 16 : second + 20] = b"\0\0\0\0"  # a wrong checksum
    archive.write_bytes(data)
    found = find_studies(archive)
    assert len(found.series[0].instances) == 1
    assert any("encrypted" in one.reason for one in found.skipped)
    assert any("damaged in the archive" in one.reason for one in found.skipped)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = pack(tmp_path / "study.zip", write_series(tmp_path / "files", SMALL))
    monkeypatch.setattr(sources, "MAX_FILES", 2)
    for path in (archive, tmp_path / "files"):
        with pytest.raises(ImageError, match="more than 2 files"):
            find_studies(path)


def test_links_that_leave_a_folder_are_left_out(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "files", SMALL)
    outside = tmp_path / "outside.dcm"
    outside.write_bytes(paths[0].read_bytes())
    paths[0].unlink()
    (tmp_path / "files" / "link.dcm").symlink_to(outside)
    (tmp_path / "files" / "loop").symlink_to(tmp_path / "files")
    found = find_studies(tmp_path / "files")
    assert len(found.series[0].instances) == 2
    assert [one.reason for one in found.skipped] == ["a link that leaves the folder"]


def test_a_dicomdir_is_followed_and_its_tricks_are_not(tmp_path: Path) -> None:
    files = FileSet()
    for path in write_series(tmp_path / "files", SMALL, PatientID="X", StudyDate="20200101", StudyTime="101010",
                             StudyID="1", AccessionNumber=""):  # fmt: skip
        files.add(path)
    files.write(tmp_path / "media")
    (tmp_path / "media" / "stray.dcm").write_bytes(path.read_bytes())
    listed = tmp_path / "media" / "DICOMDIR"
    # A disc as a whole: the list on it is no file that could not be read.
    disc = find_studies(tmp_path / "media")
    assert len(disc.series[0].instances) == 3 and [one.reason[:8] for one in disc.skipped] == ["the same"]
    assert np.array_equal(read_volume(listed).voxels, read_volume(tmp_path / "files").voxels)
    assert len(find_studies(listed).series[0].instances) == 3

    (tmp_path / "outside").write_bytes(path.read_bytes())
    directory = pydicom.dcmread(listed)
    images = [one for one in directory.DirectoryRecordSequence if "ReferencedFileID" in one]
    images[0].ReferencedFileID = ["..", "OUTSIDE"]
    images[1].ReferencedFileID = ["NOT", "THERE"]
    directory.save_as(listed)
    found = find_studies(listed)
    assert len(found.series[0].instances) == 1
    assert [one.reason for one in found.skipped] == [
        "listed outside the DICOMDIR's folder",
        "listed in the DICOMDIR, but not there",
    ]


def test_the_dicomdirs_that_pydicom_ships_are_followed() -> None:
    path = Path(str(pydicom.data.get_testdata_file("DICOMDIR")))
    found = find_studies(path)
    assert len(found.series) > 5 and not found.skipped
    assert sum(len(one.instances) for one in found.series) == 31


def test_what_is_no_study_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("text")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04" + os.urandom(50))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("inner.zip", b"PK\x03\x04 no image")
    (tmp_path / "nested.zip").write_bytes(buffer.getvalue())
    for name in ("empty", "text.txt", "broken.zip", "nested.zip", "gone"):
        with pytest.raises(ImageError) as error:
            find_studies(tmp_path / name)
        assert "\n" not in str(error.value) and name in str(error.value)
    with pytest.raises(ImageError, match="no CT or MR series"):
        read_volume(str(pydicom.data.get_testdata_file("examples_palette.dcm")))
