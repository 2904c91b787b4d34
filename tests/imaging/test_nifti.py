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
from aris.imaging.synthetic import Geometry, write_series

CODES = {"i2": 4, "u1": 2, "f4": 16, "i4": 8, "f8": 64, "u2": 512}


def nifti(values: np.ndarray, affine: np.ndarray, *, version: int = 1, order: str = "<", **changes: Any) -> bytes:
    """A file of an (x, y, z) array with an sform, or what is changed."""
    dims = [3, *values.shape, 1, 1, 1, 1]
    code = CODES[values.dtype.str[1:]]
    slope, intercept = changes.get("scale", (0, 0))
    rows = affine[:3].ravel()
    size, offset = (348, 352) if version == 1 else (540, 544)
    header = bytearray(size)
    kinds = ("8h", "f", "2f", "8f", "2h", "12f", "6f") if version == 1 else ("8q", "q", "2d", "8d", "2i", "12d", "6d")
    places = (40, 108, 112, 76, 252, 280, 256) if version == 1 else (16, 168, 176, 104, 344, 400, 352)
    quatern, pixdim = changes.get("quatern"), changes.get("pixdim", [1] * 8)
    fields = (dims, [offset], [slope, intercept], pixdim, [1, 0] if quatern else [0, changes.get("sform", 1)], rows,
              quatern or [0] * 6)  # fmt: skip
    struct.pack_into(order + "i", header, 0, size)
    for kind, place, value in zip(kinds, places, fields, strict=True):
        struct.pack_into(order + kind, header, place, *value)
    struct.pack_into(order + "h", header, 70 if version == 1 else 12, code)
    magic = b"n+1\0" if version == 1 else b"n+2\0\r\n\x1a\n"
    place = 344 if version == 1 else 4
    header[place : place + len(magic)] = magic
    stored = values.astype(values.dtype.newbyteorder(order))
    return bytes(header) + bytes(offset - size) + stored.tobytes(order="F")


def body(geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """(x, y, z) Hounsfield units and the RAS affine of an axial geometry."""
    hu = np.stack([geometry.hu(index) for index in range(geometry.slices)]).transpose(2, 1, 0)
    between, down, right = geometry.spacing_mm
    lps = np.eye(4)
    lps[:3, :3] = np.diag([right, down, between])
    lps[:3, 3] = geometry.position(0)
    return hu, np.diag([-1.0, -1, 1, 1]) @ lps


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
