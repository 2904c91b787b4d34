"""Slides of known pixels: DICOM levels and tiled TIFF; regions, resolutions, and the patches that hold tissue."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

from aris.errors import ImageError
from aris.imaging import find_studies, open_slide, patches, slide_images
from aris.imaging.synthetic.slide import slide_rgb, write_slide

SIZE = {"width": 1000, "height": 700}


@pytest.mark.parametrize("sparse", [False, True])
def test_regions_of_a_dicom_slide_are_its_pixels(sparse: bool, tmp_path: Path) -> None:
    write_slide(tmp_path, **SIZE, sparse=sparse)
    slide = open_slide(tmp_path)
    assert [(one.width, one.height, one.downsample) for one in slide.levels] == [(1000, 700, 1), (250, 175, 4)]
    assert slide.mpp == pytest.approx(0.5) and slide.warnings == ()
    whole = slide_rgb(**SIZE)
    for left, top in ((0, 0), (130, 250), (257, 255)):
        got = slide.region(left, top, 200, 200)
        tissue = whole[top : top + 200, left : left + 200][..., 1] < 200
        assert np.array_equal(got[tissue], whole[top : top + 200, left : left + 200][tissue])
    # Level 1 is what a coarser view is read from.
    coarse = slide.region(256, 256, 256, 64)
    assert np.array_equal(coarse[:, :, 0], slide_rgb(**SIZE, downsample=4)[64:128, 64:128, 0])
    beyond = slide.region(900, 600, 200, 200)
    assert (beyond[100:] == 255).all() and (beyond[:, 100:] == 255).all()


def test_the_label_is_never_shown(tmp_path: Path) -> None:
    paths = write_slide(tmp_path)
    assert len(open_slide(tmp_path).levels) == 2
    (series,) = find_studies(tmp_path).series
    assert series.kind == "slide" and len(series.instances) == 3
    with pytest.raises(ImageError, match="only labels"):
        open_slide(paths[-1])


def test_patches_hold_tissue_and_keep_their_order(tmp_path: Path) -> None:
    write_slide(tmp_path, **SIZE)
    slide = open_slide(tmp_path)
    found = patches(slide, mpp=1.0, size=50)
    assert {one.side for one in found} == {100}
    tissue = slide_rgb(**SIZE)[..., 1] < 200
    wanted = [
        (left, top)
        for top in range(0, 700, 100)
        for left in range(0, 1000, 100)
        if tissue[top : top + 100, left : left + 100].mean() >= 0.25
    ]
    got = [(one.left, one.top) for one in found]
    # The mask is coarse: patches whose share is near the limit may differ.
    near = {
        (left, top)
        for top in range(0, 700, 100)
        for left in range(0, 1000, 100)
        if abs(tissue[top : top + 100, left : left + 100].mean() - 0.25) < 0.06
    }
    assert set(got) ^ set(wanted) <= near and len(got) > 15
    assert got == sorted(got, key=lambda place: (place[1], place[0]))
    few = patches(slide, mpp=1.0, size=50, limit=5)
    assert len(few) == 5 and few[0] == found[0] and few[-1] == found[-1]
    images = slide_images(slide, few, size=50)
    assert [one.label for one in images] == [f"PATCH {n}" for n in range(1, 6)]
    assert all(one.pixels.shape == (50, 50, 3) and one.pixels.dtype == np.uint8 for one in images)


def test_glass_alone_has_no_patches(tmp_path: Path) -> None:
    (path,) = write_slide(tmp_path, downsamples=(1,), label=False)
    dataset = pydicom.dcmread(path)
    noise = np.random.default_rng(0).integers(238, 246, len(dataset.PixelData), dtype=np.uint8)
    dataset.PixelData = noise.tobytes()
    dataset.save_as(path)
    with pytest.raises(ImageError, match="no tissue"):
        patches(open_slide(path), size=50)


def test_compressed_tiles(tmp_path: Path) -> None:
    from openjpeg.utils import encode_array

    (path,) = write_slide(tmp_path, downsamples=(1,), label=False)
    dataset = pydicom.dcmread(path)
    tiles = dataset.pixel_array
    dataset.PixelData = encapsulate([encode_array(tile, photometric_interpretation=1) for tile in tiles])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.save_as(path, enforce_file_format=True)
    got = open_slide(path).region(200, 200, 300, 300)
    assert np.array_equal(got, slide_rgb(**SIZE)[200:500, 200:500])


def test_a_tiled_tiff_is_read_by_openslide(tmp_path: Path) -> None:
    pytest.importorskip("openslide")
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "slide.tiff"
    with tifffile.TiffWriter(path) as writer:
        resolution = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
        writer.write(slide_rgb(**SIZE), tile=(128, 128), photometric="rgb", **resolution)
        writer.write(slide_rgb(**SIZE, downsample=4), tile=(128, 128), photometric="rgb", subfiletype=1)
    slide = open_slide(path)
    assert slide.mpp == pytest.approx(0.5) and [one.width for one in slide.levels] == [1000, 250]
    assert np.array_equal(slide.region(130, 250, 200, 200), slide_rgb(**SIZE)[250:450, 130:330])
    write_slide(tmp_path / "dicom", **SIZE)
    assert [(one.left, one.top) for one in patches(slide, size=50)] == [
        (one.left, one.top) for one in patches(open_slide(tmp_path / "dicom"), size=50)
    ]


def test_what_is_no_slide_gets_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "slide.svs"
    path.write_bytes(b"II*\0" + bytes(500))
    with pytest.raises(ImageError, match="no slide that OpenSlide reads"):
        open_slide(path)
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(ImageError, match=r"aris-medgemma\[wsi\]"):
        open_slide(path)
    (broken,) = write_slide(tmp_path / "broken", downsamples=(1,), label=False)
    broken.write_bytes(broken.read_bytes()[:-5000])
    with pytest.raises(ImageError, match="damaged"):
        open_slide(broken).region(0, 0, 700, 700)
    with pytest.raises(ImageError, match="check the path"):
        open_slide(tmp_path / "gone.svs")
