"""Header values that cannot be read: never taken for absent, never a unit that is not known, and always said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

import bad_files
from aris.errors import ImageError
from aris.imaging import read_film, read_stills, read_volume, volume_images
from aris.imaging.dicom.values import parsed
from aris.imaging.dicom.voi import FULL_RANGE
from aris.imaging.synthetic.series import Geometry, write_enhanced, write_series
from unreadable import put_text, rewrite

TWO = np.array([[24, 1064]], dtype=np.uint16)


def ct(folder: Path, **texts: str) -> Path:
    """One CT slice that stores 24 and 1064, which are -1000 and 40 HU, and some elements as given."""
    (path,) = write_series(folder, Geometry(slices=1))
    dataset = pydicom.dcmread(path)
    dataset.Rows, dataset.Columns, dataset.PixelData = 1, 2, TWO.tobytes()
    dataset.save_as(path)
    return rewrite(path, **texts)


@pytest.mark.parametrize("text", ["-1024,0", "-1024.", " -1.024E3 ", "-1024,000", "-01024"])
def test_a_comma_is_a_decimal_point(text: str, tmp_path: Path) -> None:
    volume = read_volume(ct(tmp_path, RescaleIntercept=text))
    assert volume.voxels.ravel().tolist() == [-1000, 40] and volume.unit == "HU"


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        *(("RescaleIntercept", text) for text in ("-1024 HU", "", "-1024\\-1024", "nan", "-inf", "1e999", "-1_024",
                                                  "-1,024", "-1024,0,0", "minus", "0x400", "--1024")),
        *(("RescaleSlope", text) for text in ("0", "0,0", "", "one", "1\\1", "NaN", "1 HU")),
    ],
)  # fmt: skip
def test_an_unreadable_rescale_is_said_and_is_no_hounsfield_unit(keyword: str, text: str, tmp_path: Path) -> None:
    volume = read_volume(ct(tmp_path, **{keyword: text}))
    assert volume.unit is None and volume.voxels.ravel().tolist() == [24, 1064]
    name = "Rescale Intercept" if keyword == "RescaleIntercept" else "Rescale Slope"
    assert any(note.startswith(name) and "unknown" not in note and "no known unit" in note for note in volume.warnings)
    assert any("not Hounsfield" in note for note in volume.warnings)
    with pytest.raises(ImageError, match="not Hounsfield"):
        volume_images(volume)


def test_slope_and_intercept_are_of_one_piece(tmp_path: Path) -> None:
    path = ct(tmp_path)
    dataset = pydicom.dcmread(path)
    del dataset.RescaleSlope
    dataset.save_as(path)
    volume = read_volume(path)
    assert volume.unit is None and any("Rescale Slope is missing" in note for note in volume.warnings)


def test_a_slice_of_unknown_unit_is_not_put_among_hounsfield_units(tmp_path: Path) -> None:
    paths = write_series(tmp_path, Geometry(slices=5))
    rewrite(paths[2], RescaleIntercept="?")
    volume = read_volume(tmp_path)
    assert volume.unit == "HU" and len(volume.voxels) == 4 and volume.missing == ((1, 1),)
    assert any("2 stacks" in note for note in volume.warnings)


def test_functional_groups_are_no_exception(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "one.dcm", Geometry(slices=3), shared=False)
    dataset = pydicom.dcmread(path)
    for item in dataset.PerFrameFunctionalGroupsSequence:
        put_text(item.PixelValueTransformationSequence[0], "RescaleIntercept", "-1024;0")
        put_text(item.PixelMeasuresSequence[0], "PixelSpacing", "6 mm\\6 mm")
    dataset.RescaleIntercept, dataset.RescaleSlope = 0, 1  # not those of the frames
    dataset.save_as(path)
    volume = read_volume(path)
    assert volume.unit is None and volume.spacing_mm is None and int(volume.voxels.min()) == 24
    assert {"Pixel Spacing cannot be read as numbers"} < set(volume.warnings)


@pytest.mark.parametrize(
    ("keyword", "text", "said"),
    [
        ("PixelSpacing", "0.5 mm\\0.5 mm", "Pixel Spacing"),
        ("PixelSpacing", "0.5", "Pixel Spacing"),
        ("SliceThickness", "5 mm", "Slice Thickness"),
        ("ImagePositionPatient", "1\\2\\three", "Image Position"),
        ("ImageOrientationPatient", "1\\0\\0\\0\\nan\\0", "Image Orientation"),
        ("ImageOrientationPatient", "1\\0\\0\\1\\0\\0", "Image Orientation"),
    ],
)
def test_the_geometry_of_a_slice_is_said_to_be_unreadable(keyword: str, text: str, said: str, tmp_path: Path) -> None:
    volume = read_volume(ct(tmp_path, **{keyword: text}))
    assert volume.unit == "HU" and any(said in note for note in volume.warnings)
    if keyword in ("PixelSpacing", "SliceThickness"):
        assert volume.spacing_mm is None or None in volume.spacing_mm
    else:
        assert volume.planes is None


def test_spacings_with_commas_are_lengths(tmp_path: Path) -> None:
    volume = read_volume(ct(tmp_path, PixelSpacing="0,75\\0,5", SliceThickness="1,250"))
    assert volume.spacing_mm == (1.25, 0.75, 0.5)


STORED = np.tile(np.array([0, 1000, 2000, 4000], dtype=np.uint16), (80, 25))


@pytest.mark.parametrize(
    ("centre", "width"), [("abc", "400"), ("40 HU", "400 HU"), ("nan", "inf"), ("\\", "\\"), ("40", ""), ("1,024", "5")]
)
def test_a_window_that_is_no_number_is_ignored_and_said(centre: str, width: str, tmp_path: Path) -> None:
    path = rewrite(bad_files.dicom(tmp_path, STORED), WindowCenter=centre, WindowWidth=width)
    film = read_film(path)
    assert film.pixels[0, :4].tolist() == [0, 64, 128, 255] and film.windows == ()
    assert {"a window that cannot be read was ignored", FULL_RANGE} <= set(film.warnings)


def test_windows_are_paired_by_their_places(tmp_path: Path) -> None:
    path = rewrite(bad_files.dicom(tmp_path, STORED), WindowCenter="\\1500", WindowWidth="80\\1001")
    film = read_film(path)
    # LINEAR, PS3.3 C.11.2.1.2.1: ((x - 1499.5) / 1000 + 0.5) * 255.
    assert film.pixels[0, :4].tolist() == [0, 0, 255, 255] and film.windows == ((1500, 1001),)
    assert "2 windows are stored; the first that can be used was" in film.warnings
    comma = read_film(rewrite(path, WindowCenter="2000,5", WindowWidth="4001,0"))
    assert comma.pixels[0, :4].tolist() == [0, 64, 128, 255] and "full range" not in " ".join(comma.warnings)


@pytest.mark.parametrize("bad", [{"RescaleSlope": "0", "RescaleIntercept": "0"}, {"RescaleIntercept": "?"}])
def test_a_window_is_of_the_rescaled_values(bad: dict[str, str], tmp_path: Path) -> None:
    path = bad_files.dicom(tmp_path, STORED, RescaleSlope=1, RescaleIntercept=0, WindowCenter=500, WindowWidth=10)
    film = read_film(rewrite(path, **bad))
    assert film.pixels[0, :4].tolist() == [0, 64, 128, 255]
    assert any("no known unit" in note for note in film.warnings) and any("were ignored" in n for n in film.warnings)


def _lut(descriptor: list[int], data: list[int]) -> Any:
    item = Dataset()
    item.LUTDescriptor, item.LUTData = descriptor, data
    item.add_new(0x00283002, "US", descriptor)
    item.add_new(0x00283006, "US", data)
    return Sequence([item])


@pytest.mark.parametrize("descriptor", [[4, 0], [4, 0, 0], [400, 0, 16], [4, 0, 99]])
@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_table_that_cannot_be_read_is_ignored_and_said(keyword: str, descriptor: list[int], tmp_path: Path) -> None:
    film = read_film(bad_files.dicom(tmp_path, STORED, **{keyword: _lut(descriptor, [3, 2, 1, 0])}))
    assert film.pixels[0, :4].tolist() == [0, 64, 128, 255]
    assert any("LUT cannot be read" in note for note in film.warnings)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"PixelSpacing": "0.143mm\\0.143mm"}, "Pixel Spacing"),
        ({"ImagerPixelSpacing": "0.143"}, "Imager Pixel Spacing"),
        ({"PatientAge": "45 years"}, "Patient's Age"),
        ({"PatientAge": "999Y"}, "Patient's Age"),
        ({"VOILUTFunction": "CUBIC", "WindowCenter": "2000", "WindowWidth": "4000"}, "VOI LUT Function"),
    ],
)
def test_a_films_facts_are_said_to_be_unreadable(texts: dict[str, str], said: str, tmp_path: Path) -> None:
    film = read_film(rewrite(bad_files.dicom(tmp_path, STORED), **texts))
    assert any(said in note for note in film.warnings)
    assert film.pixel_spacing_mm is None and film.patient_age_years is None


def test_frames_and_their_times(tmp_path: Path) -> None:
    path = bad_files.dicom(tmp_path, STORED, Modality="US")
    stills = read_stills(rewrite(path, FrameTime="33 ms"))
    assert stills.frame_time_ms is None and any("Frame Time" in note for note in stills.warnings)
    for reader in (read_film, read_stills):
        with pytest.raises(ImageError, match="Number of Frames"):
            reader(rewrite(bad_files.dicom(tmp_path, STORED, Modality="OT"), NumberOfFrames="one"))
    assert read_stills(rewrite(path, NumberOfFrames="1,0")).total == 1


@pytest.mark.parametrize("count", ["99999999999999999999", "1000000000,0", "4e9"])
def test_more_frames_than_any_object_has_cost_nothing(count: str, tmp_path: Path) -> None:
    path = ct(tmp_path, NumberOfFrames=count)
    with pytest.raises(ImageError, match=r"fewer frames|billion voxels"):
        read_volume(path)


def test_numbers_as_they_are_written() -> None:
    assert [parsed(text) for text in ("1", "-.5", "+2.", "1e3", "0,976", "1,000", " 7\0")] == [
        1, -0.5, 2, 1000, 0.976, 1, 7,
    ]  # fmt: skip
    none = ("", "1_0", "١", "inf", "nan", "1 2", "1,2,3", "1.2,3", "e5", "1e", ",")
    assert [parsed(text) for text in none] == [None] * len(none)
    assert parsed("-1,024", thousands=True) is None and parsed("-1024,0", thousands=True) == -1024
