"""Objects in several files (PS3.3 C.7.6.16.2.2.4): slides, volumes and loops are read as the one object they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from aris.errors import ImageError
from aris.imaging import find_studies, open_slide, read_recording, read_stills, read_volume
from aris.imaging.synthetic.series import Geometry, write_enhanced
from aris.imaging.synthetic.slide import slide_rgb, write_slide
from aris.tasks.cases import Case, read_cases
from dicom_objects import as_bytes, image

SIZE = {"width": 500, "height": 350}  # 4 by 3 tiles of 128 pixels


def cut(path: Path, starts: Sequence[int], *, keep_groups: bool = False, **elements: Any) -> list[Path]:
    """Cut an object into the parts of a concatenation; the whole goes."""
    whole = pydicom.dcmread(path)
    total, uid = int(whole.NumberOfFrames), generate_uid()
    size = len(whole.PixelData) // total
    ends = [*starts[1:], total]
    made = []
    for number, (start, end) in enumerate(zip(starts, ends, strict=True), 1):
        part = pydicom.dcmread(path)
        part.SOPInstanceUID = part.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        part.ConcatenationUID, part.InConcatenationNumber, part.InConcatenationTotalNumber = uid, number, len(starts)
        part.ConcatenationFrameOffsetNumber = start
        part.SOPInstanceUIDOfConcatenationSource = whole.SOPInstanceUID
        part.NumberOfFrames = end - start
        part.PixelData = whole.PixelData[start * size : end * size]
        if "PerFrameFunctionalGroupsSequence" in whole and not keep_groups:
            part.PerFrameFunctionalGroupsSequence = list(whole.PerFrameFunctionalGroupsSequence[start:end])
        for keyword, value in elements.items():
            if value is None:
                delattr(part, keyword)
            else:
                setattr(part, keyword, value(number) if callable(value) else value)
        made.append(path.with_name(f"{path.stem}-{number}.dcm"))
        part.save_as(made[-1], enforce_file_format=True)
    path.unlink()
    return made


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ConcatenationUID": None},
        {"ConcatenationUID": None, "SOPInstanceUIDOfConcatenationSource": None},
        {"ConcatenationFrameOffsetNumber": None},
        {"InConcatenationTotalNumber": None},
        {"InstanceNumber": lambda number: 10 - number},
        {"keep_groups": True},
    ],
)
def test_a_level_in_two_files_is_one_level(sparse: bool, changes: dict[str, Any], tmp_path: Path) -> None:
    (path,) = write_slide(tmp_path, **SIZE, downsamples=(1,), label=False, sparse=sparse)
    cut(path, (0, 8) if not sparse else (0, 3), **changes)
    slide = open_slide(tmp_path)
    assert [(one.width, one.height) for one in slide.levels] == [(500, 350)]
    assert slide.warnings == () and slide.mpp == pytest.approx(0.5)
    whole = slide_rgb(**SIZE)
    got = slide.region(0, 0, 350, 350)
    tissue = whole[:350, :350, 1] < 200
    assert np.array_equal(got[tissue], whole[:350, :350][tissue])


def test_a_part_that_is_missing_is_said_and_the_others_stay_in_place(tmp_path: Path) -> None:
    (path,) = write_slide(tmp_path, **SIZE, downsamples=(1,), label=False)
    parts = cut(path, (0, 4, 8))
    parts[1].unlink()
    slide = open_slide(tmp_path)
    assert slide.warnings == ("level 0: part 2 of 3 is missing: its tiles are shown as glass",)
    whole = slide_rgb(**SIZE)
    assert np.array_equal(slide.region(0, 0, 128, 128), whole[:128, :128])
    assert (slide.region(0, 128, 128, 128) == 255).all()
    assert np.array_equal(slide.region(0, 256, 94, 94), whole[256:350, :94])
    assert "parts 2, 3 of 3 are missing" in open_slide(parts[0]).warnings[0]
    assert "parts 1, 2 of 3 are missing" in open_slide(parts[2]).warnings[0]
    parts[2].unlink()
    edit(parts[0], InConcatenationTotalNumber=None)
    assert open_slide(tmp_path).warnings == ("level 0: 8 of 12 tiles are missing: they are shown as glass",)


def test_a_part_that_does_not_say_where_it_lies_is_refused(tmp_path: Path) -> None:
    (path,) = write_slide(tmp_path, **SIZE, downsamples=(1,), label=False)
    parts = cut(path, (0, 4, 8), ConcatenationFrameOffsetNumber=None)
    parts[1].unlink()
    with pytest.raises(ImageError, match="does not say which"):
        open_slide(tmp_path)


def edit(path: Path, **elements: Any) -> None:
    dataset = pydicom.dcmread(path)
    for keyword, value in elements.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path)


def test_tiles_of_one_level_in_files_that_name_no_concatenation(tmp_path: Path) -> None:
    (path,) = write_slide(tmp_path, **SIZE, downsamples=(1,), label=False, sparse=True)
    bare = ("ConcatenationUID", "InConcatenationNumber", "InConcatenationTotalNumber", "ConcatenationFrameOffsetNumber",
            "SOPInstanceUIDOfConcatenationSource")  # fmt: skip
    cut(path, (0, 3), **dict.fromkeys(bare))
    slide = open_slide(tmp_path)
    whole = slide_rgb(**SIZE)
    tissue = whole[:350, :350, 1] < 200
    assert len(slide.levels) == 1 and np.array_equal(slide.region(0, 0, 350, 350)[tissue], whole[:350, :350][tissue])


@pytest.mark.parametrize("separate", [False, True])
def test_of_focal_planes_and_optical_paths_the_first_is_shown_and_it_is_said(separate: bool, tmp_path: Path) -> None:
    (path,) = write_slide(tmp_path, **SIZE, downsamples=(1,), label=False)
    dataset = pydicom.dcmread(path)
    data = dataset.PixelData
    paths = [Dataset(), Dataset()]
    for number, item in enumerate(paths, 1):
        item.OpticalPathIdentifier = str(number)
    if separate:
        dataset.OpticalPathSequence = paths[:1]
        dataset.save_as(path)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.PixelData, dataset.InstanceNumber = bytes(len(data)), 2
        dataset.OpticalPathSequence = paths[1:]
        dataset.save_as(tmp_path / "second.dcm")
    else:
        dataset.OpticalPathSequence, dataset.NumberOfOpticalPaths = paths, 2
        dataset.TotalPixelMatrixFocalPlanes, dataset.NumberOfFrames = 2, 48
        dataset.PixelData = data + bytes(3 * len(data))
        dataset.save_as(path)
    slide = open_slide(tmp_path)
    assert len(slide.levels) == 1 and np.array_equal(slide.region(0, 0, 350, 350), slide_rgb(**SIZE)[:350, :350])
    assert "level 0: 2 optical paths are stored: the first is shown" in slide.warnings
    assert any("focal planes" in each for each in slide.warnings) is not separate


def test_pictures_that_show_the_label_and_two_slides_in_one_series_are_refused(tmp_path: Path) -> None:
    first, second = write_slide(tmp_path, **SIZE, label=False)
    edit(second, ContainerIdentifier="B")
    edit(first, ContainerIdentifier="A")
    with pytest.raises(ImageError, match="2 slides"):
        open_slide(tmp_path)
    edit(second, ContainerIdentifier="A", SpecimenLabelInImage="YES")
    assert len(open_slide(tmp_path).levels) == 1
    with pytest.raises(ImageError, match="only labels"):
        open_slide(second)


@pytest.mark.parametrize("order", ["by number", "against it"])
def test_an_enhanced_object_in_three_files_is_one_volume(order: str, tmp_path: Path) -> None:
    geometry = Geometry(slices=9)
    path = write_enhanced(tmp_path / "whole.dcm", geometry)
    wanted = read_volume(path).voxels
    parts = cut(path, (0, 3, 6), InstanceNumber=(lambda n: n) if order == "by number" else (lambda n: 9 - n))
    volume = read_volume(tmp_path)
    assert np.array_equal(volume.voxels, wanted) and volume.warnings == ()
    parts[0].unlink()  # frames run from the head: an end is missing, which no gap shows
    volume = read_volume(tmp_path)
    assert np.array_equal(volume.voxels, wanted[:6])
    (note,) = volume.warnings
    assert note == "of an object in several files part 1 of 3 is missing: slices may be missing at any place"


def test_frames_without_places_keep_the_order_of_their_parts(tmp_path: Path) -> None:
    geometry = Geometry(slices=6)
    path = write_enhanced(tmp_path / "whole.dcm", geometry, order=range(6))
    dataset = pydicom.dcmread(path)
    for item in dataset.PerFrameFunctionalGroupsSequence:
        del item.PlanePositionSequence
    dataset.save_as(path)
    cut(path, (0, 2, 4), InstanceNumber=lambda number: 9 - number)
    assert np.array_equal(read_volume(tmp_path).voxels, np.stack([geometry.hu(index) for index in range(6)]))


def test_a_loop_in_two_files_is_one_loop(tmp_path: Path) -> None:
    levels = np.arange(10, dtype=np.uint8) * 20
    pixels = np.repeat(levels, 64).reshape(10, 8, 8)
    loop = image(1, side=8, Modality="OP", BitsAllocated=8, BitsStored=8, HighBit=7, NumberOfFrames=10,
                 PixelData=pixels.tobytes(), WindowCenter=128, WindowWidth=256)  # fmt: skip
    path = tmp_path / "loop.dcm"
    path.write_bytes(as_bytes(loop))
    parts = cut(path, (0, 6), InstanceNumber=lambda number: 3 - number)
    (series,) = find_studies(tmp_path).series
    stills = read_recording(series.instances)
    assert (stills.total, stills.indices) == (10, tuple(range(10)))
    assert [int(frame[0, 0]) for frame in stills.frames] == levels.tolist()
    few = read_recording(series.instances, limit=4)
    assert few.indices == (0, 3, 6, 9) and [int(frame[0, 0]) for frame in few.frames] == [0, 60, 120, 180]
    (case,) = read_cases(tmp_path)
    assert isinstance(case, Case) and [int(each.pixels[0, 0, 0]) for each in case.images] == levels.tolist()
    assert "part 2 of 2 of a longer recording" in " ".join(read_stills(parts[1]).warnings)
    parts[0].unlink()
    (case,) = read_cases(tmp_path)
    assert isinstance(case, Case) and "part 2 of 2" in " ".join(case.warnings)


@pytest.mark.parametrize("sizes", [(2, 1), (1, 1, 1)])
def test_a_loop_in_several_files_has_one_mapping(sizes: tuple[int, ...], tmp_path: Path) -> None:
    values, before = [50, 100, 200], 0
    for number, size in enumerate(sizes, 1):
        part = image(
            number, Modality="US", NumberOfFrames=size, ConcatenationUID="1.2.3", InConcatenationNumber=number,
            InConcatenationTotalNumber=len(sizes), ConcatenationFrameOffsetNumber=before, Rows=2, Columns=2,
        )  # fmt: skip
        part.PixelData = b"".join(np.array([0, 0, 0, each], "<u2").tobytes() for each in values[before : before + size])
        before += size
        (tmp_path / f"{number}.dcm").write_bytes(as_bytes(part))
    (series,) = find_studies(tmp_path).series
    assert [int(frame.max()) for frame in read_recording(series.instances).frames] == [64, 128, 255]
