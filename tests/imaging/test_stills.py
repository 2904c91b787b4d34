"""Ultrasound, secondary captures, photographs and loops: colours, frames, scales; mammograms are refused."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
import pytest
from PIL import Image, ImageCms
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

import bad_files
from aris.errors import ImageError
from aris.imaging import read_film, read_stills

LOOP = np.random.default_rng(0).integers(0, 256, (100, 8, 10, 3), dtype=np.uint8)


def loop(folder: Path) -> Path:
    path = bad_files.dicom(folder, LOOP[0, :, :, 0])
    dataset = pydicom.dcmread(path)
    dataset.Modality, dataset.FrameTime = "US", 33.3
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.NumberOfFrames, dataset.PixelData = len(LOOP), LOOP.tobytes()
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    areas = []
    for unit, delta in ((3, 0.05), (4, 0.01)):
        area = Dataset()
        area.RegionLocationMinX0, area.RegionLocationMinY0 = 1, 2
        area.RegionLocationMaxX1, area.RegionLocationMaxY1 = 8, 7
        area.PhysicalUnitsXDirection = area.PhysicalUnitsYDirection = unit
        area.PhysicalDeltaX, area.PhysicalDeltaY = delta, delta * 2
        areas.append(area)
    dataset.SequenceOfUltrasoundRegions = Sequence(areas)
    dataset.save_as(path)
    return path


def test_a_loop_keeps_first_and_last_and_its_scale(tmp_path: Path) -> None:
    path = loop(tmp_path)
    stills = read_stills(path, limit=7)
    assert stills.total == 100 and stills.indices[0] == 0 and stills.indices[-1] == 99 and len(stills.frames) == 7
    for index, frame in zip(stills.indices, stills.frames, strict=True):
        assert np.array_equal(frame, LOOP[index])
    assert stills.frame_time_ms == pytest.approx(33.3) and stills.modality == "US"
    assert [one.spacing_mm for one in stills.regions] == [(1.0, 0.5), None]  # the second's axes are seconds
    assert stills.regions[0].box == (2, 1, 7, 8)
    assert stills.warnings == ("7 of 100 frames, evenly spaced",)
    dataset = pydicom.dcmread(path)
    dataset.NumberOfFrames = 101
    dataset.save_as(path)
    with pytest.raises(ImageError, match="fewer frames"):
        read_stills(path)


def test_mammograms_are_refused_by_every_reader(tmp_path: Path) -> None:
    path = bad_files.dicom(tmp_path, LOOP[0, :, :, 0], Modality="MG")
    for reader in (read_film, read_stills):
        with pytest.raises(ImageError, match="mammogram"):
            reader(path)


def test_what_has_a_reader_of_its_own_is_sent_there(tmp_path: Path) -> None:
    for modality, words in (("CT", "read_volume"), ("DX", "read_film"), ("SM", "open_slide"), ("SEG", "modality")):
        with pytest.raises(ImageError, match=words):
            read_stills(bad_files.dicom(tmp_path, LOOP[0, :, :, 0], Modality=modality))


def test_segmented_palettes_equal_plain_ones(tmp_path: Path) -> None:
    """Two linear segments (PS3.3 C.7.9.2.2), unrolled by hand."""
    indices = np.arange(80, dtype=np.uint8).reshape(8, 10)
    segments = np.array([0, 1, 0, 1, 79, 65535, 0, 0], dtype=np.uint16)[:6]  # 1 value of 0, then a ramp of 79
    path = bad_files.dicom(tmp_path, indices)
    dataset = pydicom.dcmread(path)
    dataset.Modality, dataset.PhotometricInterpretation = "US", "PALETTE COLOR"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    for colour in ("Red", "Green", "Blue"):
        dataset.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [80, 0, 16])
        setattr(dataset, f"Segmented{colour}PaletteColorLookupTableData", segments.tobytes())
    dataset.save_as(path)
    got = read_stills(path).frames[0]
    ramp = np.concatenate([[0], np.arange(1, 80) * 65535 / 79])
    assert np.abs(got[..., 0].astype(int).ravel() - ramp / 256).max() <= 1.0
    assert got[0, 0, 0] == 0 and got[-1, -1, 0] == 255


def swapped() -> bytes:
    """A profile whose numbers mean other colours than sRGB's: linear light would brighten, as gamma 1 does."""
    made = ImageCms.createProfile("sRGB")
    data = bytearray(ImageCms.ImageCmsProfile(made).tobytes())
    tags = int.from_bytes(data[128:132], "big")
    entries = {bytes(data[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(tags)}
    red, blue = entries[b"rXYZ"], entries[b"bXYZ"]
    data[red + 4 : red + 12], data[blue + 4 : blue + 12] = data[blue + 4 : blue + 12], data[red + 4 : red + 12]
    return bytes(data)


def test_icc_profiles_are_followed(tmp_path: Path) -> None:
    """A profile in which red and blue are swapped: the picture's red is shown blue, in DICOM and in PNG."""
    red = np.zeros((8, 10, 3), dtype=np.uint8)
    red[..., 0] = 200
    profile = swapped()
    Image.fromarray(red).save(tmp_path / "red.png", icc_profile=profile)
    path = loop(tmp_path)
    dataset = pydicom.dcmread(path)
    dataset.NumberOfFrames, dataset.PixelData, dataset.ICCProfile = 1, red.tobytes(), profile
    dataset.save_as(path)
    for shown in (read_stills(path).frames[0], read_stills(tmp_path / "red.png").frames[0]):
        assert shown[0, 0, 2] > 190 and shown[0, 0, 0] < 15
    dataset.ICCProfile = profile[:200]
    dataset.save_as(path)
    damaged = read_stills(path)
    assert np.array_equal(damaged.frames[0], red) and any("profile is damaged" in note for note in damaged.warnings)
    same = io.BytesIO()
    Image.fromarray(red).save(
        same, "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    (tmp_path / "same.png").write_bytes(same.getvalue())
    assert np.abs(read_stills(tmp_path / "same.png").frames[0].astype(int) - red).max() <= 1


def test_ybr_variants_are_the_same_picture() -> None:
    rgb = read_stills(str(pydicom.data.get_testdata_file("SC_rgb_dcmtk_+eb+cr.dcm"))).frames[0].astype(int)
    for name in ("SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_dcmtk_+eb+cy+s2.dcm", "SC_ybr_full_422_uncompressed.dcm"):
        other = read_stills(str(pydicom.data.get_testdata_file(name))).frames[0].astype(int)
        # Lossy: some levels differ. YBR taken for RGB would differ by 80 on average.
        assert np.abs(rgb - other).mean() < 3 and (np.abs(rgb - other).max(axis=2) <= 6).mean() > 0.8


def test_frames_of_bytes_in_big_endian_words_lie_in_their_order(tmp_path: Path) -> None:
    from pydicom.uid import ExplicitVRBigEndian

    grey = np.random.default_rng(2).integers(0, 256, (2, 4, 6), dtype=np.uint8)
    path = loop(tmp_path)
    dataset = pydicom.dcmread(path)
    little = read_stills(path)
    assert little.total > 1
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = 2, 4, 6
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.WindowCenter, dataset.WindowWidth = 7, 128, 256
    dataset.PixelData = grey.reshape(-1, 2)[:, ::-1].tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    out = tmp_path / "big.dcm"
    pydicom.dcmwrite(out, dataset, enforce_file_format=True, little_endian=False, implicit_vr=False)
    assert (pydicom.dcmread(out).pixel_array == grey).all()
    assert (np.stack(read_stills(out).frames) == grey).all()
