"""NIfTI volumes of known geometry in every orientation and version."""

from __future__ import annotations

import gzip
import itertools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aris.errors import ImageError
from aris.imaging import read_nifti, read_volume, volume_images
from aris.imaging.synthetic.series import Geometry, write_series
from nifti_files import body, nifti


@pytest.mark.parametrize(
    ("version", "order", "packed"), [(1, "<", False), (1, ">", True), (2, "<", True), (2, ">", False)]
)
def test_a_volume_equals_its_dicom_series(version: int, order: str, packed: bool, tmp_path: Path) -> None:
    geometry = Geometry()
    write_series(tmp_path / "dicom", geometry)
    data = nifti(*body(geometry), version=version, order=order)
    path = tmp_path / "volume.nii.gz"
    path.write_bytes(gzip.compress(data) if packed else data)
    volume, series = read_nifti(path, "CT"), read_volume(tmp_path / "dicom")
    assert np.array_equal(volume.voxels, series.voxels) and volume.voxels.dtype == np.int16
    assert volume.spacing_mm == pytest.approx(series.spacing_mm)
    assert volume.planes is not None and series.planes is not None
    for one, other in zip(volume.planes, series.planes, strict=True):
        assert one.position == pytest.approx(other.position, abs=1e-4) and one.row == other.row
    pairs = zip(volume_images(volume), volume_images(series), strict=True)
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in pairs)


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", list(itertools.product([False, True], repeat=3)))
def test_every_orientation_is_turned_to_the_same(axes: Any, flips: Any, tmp_path: Path) -> None:
    geometry = Geometry(slices=5, rows=12, columns=10, spacing_mm=(20, 18, 25))
    hu, affine = body(geometry)
    wanted = hu.transpose(2, 1, 0)
    stored, turned = hu.transpose(axes), affine[:, [*axes, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            turned[:3, 3] += turned[:3, axis] * (stored.shape[axis] - 1)
            turned[:3, axis] *= -1
            stored = np.flip(stored, axis)
    path = tmp_path / "volume.nii"
    path.write_bytes(nifti(stored, turned))
    volume = read_nifti(path, "CT")
    assert np.array_equal(volume.voxels, wanted) and volume.orientation == "axial"
    assert volume.spacing_mm == pytest.approx((20, 18, 25))


def test_the_quaternion_and_the_scale_are_followed(tmp_path: Path) -> None:
    hu, affine = body(Geometry(slices=4))
    path = tmp_path / "volume.nii"
    # Half a turn about z: x and y point to the right and to the front in RAS, as LPS has them.
    data = nifti(hu, affine, quatern=[0, 0, 1, *affine[:3, 3]], pixdim=[1, 6, 6, 10, 0, 0, 0, 0])
    path.write_bytes(data)
    assert np.array_equal(read_nifti(path).voxels, hu.transpose(2, 1, 0))
    path.write_bytes(nifti((hu + 1024).astype(np.uint16), affine, scale=(1, -1024)))
    scaled = read_nifti(path)
    assert np.array_equal(scaled.voxels, hu.transpose(2, 1, 0)) and scaled.voxels.dtype == np.int16
    path.write_bytes(nifti(hu, affine, scale=(0.5, 0)))
    assert np.array_equal(read_nifti(path).voxels, hu.transpose(2, 1, 0) / 2)


def test_what_cannot_be_read_gets_one_line(tmp_path: Path) -> None:
    hu, affine = body(Geometry(slices=3))
    good = nifti(hu, affine)
    path = tmp_path / "bad.nii"
    several = bytearray(good)
    struct.pack_into("<8h", several, 40, 4, 64, 48, 3, 2, 1, 1, 1)
    huge = bytearray(good)
    struct.pack_into("<8h", huge, 40, 3, 32767, 32767, 32767, 1, 1, 1, 1)
    kind = bytearray(good)
    struct.pack_into("<h", kind, 70, 32)
    cases = {
        "truncated": good[:-10], "several volumes": bytes(several), "billion": bytes(huge), "type 32": bytes(kind),
        "not a NIfTI": b"text " * 200, "without its voxels": good[:344] + b"ni1\0" + good[348:],
        "gzip file is truncated": gzip.compress(good)[:-30], "gzip file is damaged": b"\x1f\x8b" + bytes(100),
    }  # fmt: skip
    for words, data in cases.items():
        path.write_bytes(data)
        with pytest.raises(ImageError, match=words) as error:
            read_nifti(path)
        assert "\n" not in str(error.value)


def test_without_a_place_it_is_said_and_no_number_is_invented(tmp_path: Path) -> None:
    hu, affine = body(Geometry(slices=3))
    path = tmp_path / "volume.nii"
    path.write_bytes(nifti(hu, affine, sform=0))
    volume = read_nifti(path)
    assert volume.planes is None and volume.orientation is None and volume.spacing_mm is None
    assert any("side" in note for note in volume.warnings)
    with pytest.raises(ImageError, match="say which"):
        volume_images(volume)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("units", "scale"), [(1, 1e-3), (2, 1), (3, 1e3), (2 | 8, 1), (0, 1)])
def test_the_unit_of_length_is_followed(units: int, scale: float, version: int, tmp_path: Path) -> None:
    """xyzt_units, whose lowest three bits are of space (nifti1.h): metres, millimetres, micrometres."""
    hu, affine = body(Geometry(slices=4, spacing_mm=(10, 0.8, 0.6)))
    wrong = affine.copy()
    wrong[:3] *= scale
    path = tmp_path / "volume.nii"
    path.write_bytes(nifti(hu, wrong, units=units, version=version))
    volume = read_nifti(path, "CT")
    assert volume.spacing_mm == pytest.approx((10, 0.8, 0.6), rel=1e-5) and volume.orientation == "axial"
    assert any("millimetres were assumed" in note for note in volume.warnings) == (units == 0)
    path.write_bytes(nifti(hu, affine, units=units, version=version, quatern=[0, 0, 1, 0, 0, 0],
                           pixdim=[1, 0.6 * scale, 0.8 * scale, 10 * scale, 0, 0, 0, 0]))  # fmt: skip
    assert read_nifti(path, "CT").spacing_mm == pytest.approx((10, 0.8, 0.6), rel=1e-5)


def test_a_unit_that_there_is_not_and_a_scale_that_is_no_number(tmp_path: Path) -> None:
    hu, affine = body(Geometry(slices=3))
    path = tmp_path / "volume.nii"
    path.write_bytes(nifti(hu, affine, units=7))
    volume = read_nifti(path, "CT")
    assert volume.spacing_mm is None and any("xyzt_units" in note for note in volume.warnings)
    assert np.array_equal(volume.voxels, hu.transpose(2, 1, 0))  # still the right way up
    for scale in ((np.inf, 0), (1, np.nan), (2, -np.inf)):
        path.write_bytes(nifti(hu, affine, scale=scale))
        volume = read_nifti(path, "CT")
        assert volume.unit is None and any("no known unit" in note for note in volume.warnings)
    # As nibabel writes what is not scaled.
    path.write_bytes(nifti(hu, affine, scale=(np.nan, np.nan)))
    assert read_nifti(path, "CT").unit == "HU"
def test_a_gzip_file_of_several_members_is_one_volume(tmp_path: Path) -> None:
    hu, affine = body(Geometry(slices=3))
    good = nifti(hu, affine)
    path = tmp_path / "volume.nii.gz"
    cuts = [good[at : at + 9000] for at in range(0, len(good), 9000)]
    members = [gzip.compress(each) for each in cuts]
    end = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")  # bgzip's last, empty member
    for data in (b"".join(members), b"".join(members) + end, b"".join(members) + bytes(512), gzip.compress(good)):
        path.write_bytes(data)
        assert np.array_equal(read_nifti(path).voxels, hu.transpose(2, 1, 0))
    for words, data in {
        "gzip file is truncated": b"".join(members)[:-5],
        "truncated": b"".join(members[:-1]),  # whole members, of which the last is missing: the volume is cut short
        "gzip file is damaged": members[0] + members[1][:-8] + bytes(8) + members[2],  # a wrong check sum
    }.items():
        path.write_bytes(data)
        with pytest.raises(ImageError, match=words):
            read_nifti(path)


@pytest.mark.parametrize("version", [1, 2])
def test_where_voxels_begin_and_sizes_without_a_sign(version: int, tmp_path: Path) -> None:
    values = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    path = tmp_path / "v.nii"
    data = nifti(values, np.eye(4), version=version)
    kind, place = ("<f", 108) if version == 1 else ("<q", 168)
    for offset, read in ((0, True), (8, False), (300, False), (-1, False)):
        path.write_bytes(data[:place] + struct.pack(kind, offset) + data[place + struct.calcsize(kind) :])
        if read:
            assert read_nifti(path, "MR").value_range == (0, 59)
        else:
            with pytest.raises(ImageError, match="offset"):
                read_nifti(path, "MR")
    # Sizes have no sign (nifti1.h): sides are the quaternion's.
    made = []
    for sign in (1, -1):
        path.write_bytes(nifti(
            values, np.eye(4), version=version, quatern=[0, 0, 0, 5, 6, 7], pixdim=[1, 2 * sign, 3, 4, 1, 1, 1, 1]
        ))  # fmt: skip
        made.append(read_nifti(path, "MR"))
    assert np.array_equal(made[0].voxels, made[1].voxels) and made[0].planes == made[1].planes


def test_voxels_below_a_micrometre_are_placed(tmp_path: Path) -> None:
    path = tmp_path / "small.nii"
    path.write_bytes(nifti(np.zeros((2, 2, 2), np.int16), np.diag([0.5, 0.5, 0.5, 1]), units=3))
    assert read_nifti(path, "MR").spacing_mm == pytest.approx((0.0005, 0.0005, 0.0005))
