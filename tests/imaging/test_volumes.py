"""CT and MR series of known geometry: order, Hounsfield units, gaps, stacks, acquisitions and prompt images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from aris.errors import ImageError
from aris.imaging import ct_rgb, find_studies, read_volume, read_volumes, slice_indices, volume_images
from aris.imaging.synthetic.series import AIR, BALL, Geometry, write_enhanced, write_series


def wanted(geometry: Geometry) -> np.ndarray:
    return np.stack([geometry.hu(index) for index in range(geometry.slices)])


def edit(path: Path, **elements: Any) -> None:
    dataset = pydicom.dcmread(path)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)


def test_defect_1_the_green_window_begins_below_zero() -> None:
    hu = np.array([[-1024, -135, 0, 40, 80, 215, 1024, 3000]], dtype=np.int16)
    red, green, blue = np.moveaxis(ct_rgb(hu, "1.5")[0], -1, 0)
    assert green.tolist() == [0, 0, 98, 128, 157, 255, 255, 255]  # (hu + 135) / 350 * 255, half to even
    assert red.tolist() == [0, 111, 128, 132, 137, 154, 255, 255]
    assert blue.tolist() == [0, 0, 0, 128, 255, 255, 255, 255]
    assert ct_rgb(np.array([[-1225, 1025]], dtype=np.int16), "1.0")[0, :, 0].tolist() == [0, 255]
    floating = ct_rgb(hu.astype(np.float32), "1.5")
    assert np.array_equal(floating[0], np.stack([red, green, blue], axis=-1))


@pytest.mark.parametrize("signed", [False, True])
def test_defect_2_air_is_minus_1000_and_black(signed: bool, tmp_path: Path) -> None:
    write_series(tmp_path, signed=signed)
    volume = read_volume(tmp_path)
    assert volume.voxels.dtype == np.int16 and volume.unit == "HU"
    assert volume.voxels[0, 0, 0] == AIR and volume.value_range == (AIR, 700)
    assert volume_images(volume)[0].pixels[0, 0].tolist() == [3, 0, 0]
    with pytest.raises(ImageError, match="signed"):
        ct_rgb(volume.voxels.astype(np.uint16))


@pytest.mark.parametrize("orientation", ["axial", "coronal", "sagittal"])
def test_defect_3_slices_are_in_the_order_of_positions(orientation: Any, tmp_path: Path) -> None:
    geometry = Geometry(orientation=orientation, spacing_mm=(7.5, 5, 4))
    write_series(tmp_path, geometry)  # numbered against the order
    volume = read_volume(tmp_path)
    assert np.array_equal(volume.voxels, wanted(geometry))
    assert volume.orientation == orientation
    assert volume.spacing_mm == pytest.approx((7.5, 5, 4))
    assert volume.planes is not None
    assert [one.position for one in volume.planes] == [
        pytest.approx(geometry.position(index)) for index in range(geometry.slices)
    ]
    assert volume.warnings == () and volume.missing == ()


def test_defect_3_the_sampler_takes_first_and_last() -> None:
    for count in (86, 100, 300, 1000):
        indices = slice_indices(count)
        assert len(indices) == 85 and indices[0] == 0 and indices[-1] == count - 1
        assert list(indices) == sorted(set(indices))
        assert np.ptp(np.diff(indices)) <= 1
    assert slice_indices(3) == (0, 1, 2)
    assert slice_indices(5, 1) == (2,)
    with pytest.raises(ImageError):
        slice_indices(0)


def test_defect_7_image_left_is_the_patients_right(tmp_path: Path) -> None:
    """The ball lies on the patient's left, which an axial slice shows on the right of the image."""
    geometry = Geometry(slices=24)
    write_series(tmp_path, geometry)
    volume = read_volume(tmp_path)
    _, _, columns = np.nonzero(volume.voxels == BALL)
    assert volume.planes is not None
    first = volume.planes[0]
    assert columns.min() > geometry.columns / 2 and first.row[0] > 0  # x grows to the patient's left


def test_prompt_images_are_numbered_in_order(tmp_path: Path) -> None:
    geometry = Geometry(slices=100, rows=16, columns=16, spacing_mm=(2, 20, 20))
    write_series(tmp_path, geometry)
    volume = read_volume(tmp_path)
    images = volume_images(volume)
    assert [one.label for one in images] == [f"SLICE {n}" for n in range(1, 86)]
    assert (images[0].index, images[-1].index) == (0, 99)
    for one in (images[0], images[42], images[-1]):
        assert np.array_equal(one.pixels, ct_rgb(geometry.hu(one.index)))


def test_mr_is_stretched_over_the_whole_acquisition(tmp_path: Path) -> None:
    geometry = Geometry(slices=6)
    write_series(tmp_path, geometry, modality="MR")
    volume = read_volume(tmp_path)
    stored = wanted(geometry).astype(np.int64) + 1024
    shown = np.stack([one.pixels for one in volume_images(volume)])
    low, high = stored.min(), stored.max()
    assert np.array_equal(shown[..., 0], np.rint((stored - low) / (high - low) * 255))
    assert (shown[..., 0] == shown[..., 1]).all() and volume.unit is None


@pytest.mark.parametrize("shared", [True, False])
def test_enhanced_objects_are_read_frame_by_frame(shared: bool, tmp_path: Path) -> None:
    geometry = Geometry()
    order = [5, 0, 11, 3, 8, 1, 2, 4, 6, 7, 9, 10]
    path = write_enhanced(tmp_path / "enhanced.dcm", geometry, order=order, shared=shared)
    volume = read_volume(path)
    assert np.array_equal(volume.voxels, wanted(geometry)) and volume.unit == "HU"
    assert [frame for _, frame in volume.origins] == [order.index(index) + 1 for index in range(12)]
    assert volume.spacing_mm == pytest.approx(geometry.spacing_mm)


def test_gaps_uneven_and_sheared_series_are_reported(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "gap")
    paths[4].unlink()
    paths[5].unlink()
    volume = read_volume(tmp_path / "gap")
    assert volume.missing == ((3, 2),)
    assert any("2 slices are missing between slice 4 and slice 5" in note for note in volume.warnings)

    geometry = Geometry()
    for index, path in enumerate(write_series(tmp_path / "tilt", geometry)):
        edit(path, ImagePositionPatient=(geometry.position(index) + np.array([0, 3.0 * index, 0])).tolist())
    assert any("tilted" in note for note in read_volume(tmp_path / "tilt").warnings)

    paths = write_series(tmp_path / "uneven", geometry)
    edit(paths[-1], ImagePositionPatient=(geometry.position(11) + np.array([0, 0, 2.0])).tolist())
    assert any("differ" in note for note in read_volume(tmp_path / "uneven").warnings)


def test_mixed_orientations_and_scouts(tmp_path: Path) -> None:
    uid, study = pydicom.uid.generate_uid(), pydicom.uid.generate_uid()
    same = {"series_uid": uid, "study_uid": study}
    write_series(tmp_path, Geometry(slices=8), **same)
    write_series(tmp_path, Geometry(slices=4, orientation="coronal"), prefix="c", **same)
    write_series(tmp_path, Geometry(slices=2, orientation="sagittal"), prefix="s",
                 ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], **same)  # fmt: skip
    (series,) = find_studies(tmp_path).series
    volumes = read_volumes(series)
    assert sorted((one.orientation, len(one.voxels)) for one in volumes) == [("axial", 8), ("coronal", 4)]
    whole = read_volume(series)
    assert whole.orientation == "axial" and np.array_equal(whole.voxels, wanted(Geometry(slices=8)))
    assert {"2 scout images were left out", "the series mixes orientations; each is a volume of its own"} <= set(
        whole.warnings
    )
    assert any("2 stacks" in note for note in whole.warnings)


def test_acquisitions_at_the_same_places_are_told_apart(tmp_path: Path) -> None:
    uid, study = pydicom.uid.generate_uid(), pydicom.uid.generate_uid()
    geometry = Geometry(slices=5)
    for echo in (1, 2):
        write_series(tmp_path, geometry, modality="MR", series_uid=uid, study_uid=study, prefix=f"e{echo}",
                     EchoNumbers=echo, EchoTime=10 * echo, numbers=range(5 * echo, 5 * echo - 5, -1))  # fmt: skip
    (series,) = find_studies(tmp_path).series
    volumes = read_volumes(series)
    assert [len(one.voxels) for one in volumes] == [5, 5]
    for one in volumes:
        assert np.array_equal(one.voxels, wanted(geometry).astype(np.int32) + 1024)
    assert {uid for uid, _ in volumes[0].origins}.isdisjoint({uid for uid, _ in volumes[1].origins})


def test_slices_that_nothing_tells_apart_are_kept_once(tmp_path: Path) -> None:
    uid, study = pydicom.uid.generate_uid(), pydicom.uid.generate_uid()
    for prefix in "ab":
        write_series(tmp_path, Geometry(slices=4), series_uid=uid, study_uid=study, prefix=prefix)
    volume = read_volume(tmp_path)
    assert len(volume.voxels) == 4 and any("4 slices lie at the place" in note for note in volume.warnings)


def test_without_positions_the_number_decides_and_it_is_said(tmp_path: Path) -> None:
    geometry = Geometry(slices=4)
    write_series(tmp_path, geometry, ImagePositionPatient=None)
    volume = read_volume(tmp_path)
    assert np.array_equal(volume.voxels, wanted(geometry)[::-1])
    assert volume.planes is None and any("do not say where" in note for note in volume.warnings)
    assert volume.spacing_mm is not None and volume.spacing_mm[0] is None


def test_padding_is_air_and_does_not_count(tmp_path: Path) -> None:
    paths = write_series(tmp_path, Geometry(slices=2), PixelPaddingValue=63536)
    dataset = pydicom.dcmread(paths[0])
    pixels = dataset.pixel_array.copy()
    pixels[:5] = 63536
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(paths[0])
    volume = read_volume(tmp_path)
    assert (volume.voxels[0, :5] == -1024).all() and volume.value_range == (AIR, 700)


def test_slopes_of_halves_and_missing_rescale(tmp_path: Path) -> None:
    write_series(tmp_path / "half", Geometry(slices=2), RescaleSlope=0.5, RescaleIntercept=-512)
    half = read_volume(tmp_path / "half")
    assert half.voxels.dtype == np.float32
    assert np.array_equal(half.voxels, wanted(Geometry(slices=2)) / 2)
    write_series(tmp_path / "none", Geometry(slices=2), RescaleSlope=None, RescaleIntercept=None)
    none = read_volume(tmp_path / "none")
    assert none.unit is None and any("not Hounsfield" in note for note in none.warnings)
    with pytest.raises(ImageError, match="not Hounsfield"):
        volume_images(none)


def test_a_broken_slice_does_not_stop_the_rest(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    paths[3].write_bytes(paths[3].read_bytes()[:-2000])
    volume = read_volume(tmp_path)
    assert len(volume.voxels) == 11 and volume.missing == ((2, 1),)
    assert [Path(one.source).name for one in volume.skipped] == ["slice0003.dcm"]
    for path in paths:
        path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ImageError, match="none of its 12 files"):
        read_volume(tmp_path)


def test_spacing_differs_by_stack(tmp_path: Path) -> None:
    one = Geometry(slices=3)
    uid, study = pydicom.uid.generate_uid(), pydicom.uid.generate_uid()
    write_series(tmp_path, one, series_uid=uid, study_uid=study)
    write_series(tmp_path, replace(one, spacing_mm=(10, 3, 3)), series_uid=uid, study_uid=study, prefix="fine")
    (series,) = find_studies(tmp_path).series
    assert sorted(volume.spacing_mm or () for volume in read_volumes(series)) == [(10, 3, 3), (10, 6, 6)]
