"""Mappings that are for display and those that are not; one mapping for what belongs together."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

import bad_files
from aris.errors import ImageError
from aris.exchange.dicomweb.rendering import Rendering, render
from aris.imaging import find_studies, read_film, read_stills, read_volume, read_volumes, volume_images
from aris.imaging.synthetic.series import Geometry, write_series
from aris.imaging.volumes.slices import mosaic_tiles
from aris.service.dicomweb import DicomwebServer, DicomwebSettings
from aris.store.store import Store
from unreadable import rewrite

RAMP = np.tile(np.array([0, 64, 128, 192, 255], dtype=np.uint8), (80, 20))
XA = "1.2.840.10008.5.1.4.1.1.12.1"
XRF = "1.2.840.10008.5.1.4.1.1.12.2"


def to_intensity() -> Sequence:
    """A table that leads back to beam intensity: 0 up to 31, then all."""
    item = Dataset()
    item.ModalityLUTType = "US"
    item.add_new(0x00283002, "US", [256, 0, 16])
    item.add_new(0x00283006, "US", [0] * 32 + [65535] * 224)
    return Sequence([item])


def by_dcmtk(path: Path, *options: str) -> list[int]:
    """The first pixels as another reader shows them."""
    out = path.with_suffix(".pgm")
    subprocess.run(["dcm2pnm", "+op", *options, str(path), str(out)], check=True)
    return np.asarray(Image.open(out))[0, :5].tolist()


@pytest.mark.parametrize(
    ("modality", "kind"),
    [("XA", XA), ("RF", XRF), ("XA", f"{XA}.1"), ("RF", f"{XRF}.1"), ("XA", "1.2.840.10008.5.1.4.1.1.12.3"),
     ("XA", None)],
)  # fmt: skip
@pytest.mark.parametrize("relation", ["LOG", "LIN", None])
def test_a_way_back_to_beam_intensity_is_not_for_display(
    modality: str, kind: str | None, relation: str | None, tmp_path: Path
) -> None:
    """PS3.3 C.8.7.1.1.2: the Modality LUT of X-ray angiography is not applied; windows are of stored values."""
    path = bad_files.dicom(
        tmp_path, RAMP, Modality=modality, SOPClassUID=kind, PixelIntensityRelationship=relation,
        ModalityLUTSequence=to_intensity(), WindowCenter=128, WindowWidth=256,
    )  # fmt: skip
    assert read_stills(path).frames[0][0, :5].tolist() == [0, 64, 128, 192, 255]
    if modality == "RF":
        assert read_film(path).pixels[0, :5].tolist() == [0, 64, 128, 192, 255]
    if shutil.which("dcm2pnm") and kind in (XA, XRF):
        dataset = pydicom.dcmread(path)
        dataset.file_meta.MediaStorageSOPClassUID = kind
        dataset.save_as(path)
        assert by_dcmtk(path, "+Wi", "1") == [0, 64, 128, 192, 255]


def test_a_radiographs_table_is_for_display(tmp_path: Path) -> None:
    path = bad_files.dicom(tmp_path, RAMP, Modality="CR", ModalityLUTSequence=to_intensity())
    assert read_film(path).pixels[0, :5].tolist() == [0, 255, 255, 255, 255]


def test_a_raw_detector_image_is_said(tmp_path: Path) -> None:
    for intent, said in (("FOR PROCESSING", True), ("FOR PRESENTATION", False)):
        film = read_film(bad_files.dicom(tmp_path, RAMP, PresentationIntentType=intent))
        assert any("FOR PROCESSING" in note for note in film.warnings) == said


def loop(folder: Path, **elements: Any) -> Path:
    """Three frames of 0 to 50, 100 and 200."""
    frames = np.stack([np.linspace(0, top, 100, dtype=np.uint8).reshape(10, 10) for top in (50, 100, 200)])
    return bad_files.dicom(
        folder, frames[0], Modality="XA", NumberOfFrames=3, PixelData=frames.tobytes(), **elements
    )


def test_a_loop_without_a_window_has_one_mapping(tmp_path: Path) -> None:
    frames = read_stills(loop(tmp_path)).frames
    assert [int(frame.max()) for frame in frames] == [64, 128, 255]  # 50, 100 and 200 of 200
    inverted = read_stills(loop(tmp_path, PhotometricInterpretation="MONOCHROME1")).frames
    assert [int(frame.min()) for frame in inverted] == [191, 127, 0]
    windowed = read_stills(loop(tmp_path, WindowCenter=50.5, WindowWidth=101)).frames
    assert [int(frame.max()) for frame in windowed] == [128, 255, 255]


def test_volumes_whose_low_values_are_bright_are_inverted(tmp_path: Path) -> None:
    geometry = Geometry(slices=3)
    write_series(tmp_path / "plain", geometry, modality="MR")
    write_series(tmp_path / "bright", geometry, modality="MR", PhotometricInterpretation="MONOCHROME1")
    plain, bright = (read_volume(tmp_path / name) for name in ("plain", "bright"))
    assert np.array_equal(plain.voxels, bright.voxels) and bright.inverted and not plain.inverted
    for one, other in zip(volume_images(plain), volume_images(bright), strict=True):
        assert np.array_equal(one.pixels, 255 - other.pixels)
    # Hounsfield units are what they are: air is dark.
    write_series(tmp_path / "ct", geometry, PhotometricInterpretation="MONOCHROME1")
    ct = read_volume(tmp_path / "ct")
    assert volume_images(ct)[0].pixels[0, 0].tolist() == [3, 0, 0] and any("MONOCHROME1" in n for n in ct.warnings)


def interleaved(folder: Path, modality: Any, first: dict[str, Any], second: dict[str, Any]) -> list[int]:
    """The sizes of the volumes of two sets of slices, each half way between those of the other."""
    uid, study = pydicom.uid.generate_uid(), pydicom.uid.generate_uid()
    for prefix, shift, elements in (("a", 0.0, first), ("b", 5.0, second)):
        geometry = Geometry(slices=4)
        paths = write_series(
            folder, geometry, modality=modality, series_uid=uid, study_uid=study, prefix=prefix, **elements
        )
        for path in paths:
            dataset = pydicom.dcmread(path)
            dataset.ImagePositionPatient[2] += shift
            dataset.save_as(path)
    (series,) = find_studies(folder).series
    return [len(volume.voxels) for volume in read_volumes(series)]


@pytest.mark.parametrize(
    ("modality", "first", "second"),
    [
        ("MR", {"EchoTime": "2.46"}, {"EchoTime": "4.92"}),
        ("MR", {"DiffusionBValue": 0.0}, {"DiffusionBValue": 1000.0}),
        ("MR", {"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}),
        ("MR", {"InversionTime": "100"}, {"InversionTime": "2000"}),
        ("MR", {"ImageType": ["ORIGINAL", "PRIMARY", "M"]}, {"ImageType": ["ORIGINAL", "PRIMARY", "P"]}),
        ("MR", {"PhotometricInterpretation": "MONOCHROME2"}, {"PhotometricInterpretation": "MONOCHROME1"}),
        ("CT", {"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}),
        ("CT", {"RescaleType": "HU"}, {"RescaleType": "US"}),
    ],
)
def test_what_is_not_one_volume_is_not_made_one(
    modality: str, first: dict[str, Any], second: dict[str, Any], tmp_path: Path
) -> None:
    assert interleaved(tmp_path, modality, first, second) == [4, 4]


def test_one_volume_stays_one(tmp_path: Path) -> None:
    assert interleaved(tmp_path / "echo", "MR", {"EchoTime": "2.5"}, {"EchoTime": "2.50"}) == [8]
    # Slice by slice a new acquisition, as a scanner that steps does it.
    paths = write_series(tmp_path / "steps", Geometry(slices=4))
    for number, path in enumerate(paths, 1):
        dataset = pydicom.dcmread(path)
        dataset.AcquisitionNumber = number
        dataset.save_as(path)
    assert len(read_volume(tmp_path / "steps").voxels) == 4


def csa(tiles: str) -> bytes:
    """A CSA header of the second form with two elements, as nibabel's page on it describes them."""
    made = b"SV10\4\3\2\1" + struct.pack("<II", 2, 77)
    for name, text in (("EchoLinePosition", "64"), ("NumberOfImagesInMosaic", tiles)):
        items = [text.ljust(8).encode() + b"\0"] if text else []
        made += name.encode().ljust(64, b"\0") + struct.pack("<i4siii", 1, b"US\0\0", 22, 6, 77)
        for item in [*items, *[b""] * (6 - len(items))]:
            made += struct.pack("<4i", len(item), len(item), 77, len(item)) + item + bytes(-len(item) % 4)
    return made


def mark(dataset: pydicom.Dataset, by: str) -> None:
    """Write what a scanner says of a mosaic in one of the places where they do."""
    if by == "image type":
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    elif by == "number":
        dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 36)
    elif by == "CSA header":
        dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", csa("36"))
    else:
        own = dataset
        if by == "text of the frame":
            frame, own = pydicom.Dataset(), pydicom.Dataset()
            frame.private_block(0x0021, "SIEMENS MR SDI 02", create=True).add_new(0xFE, "SQ", [own])
            dataset.PerFrameFunctionalGroupsSequence = [frame]
        words = ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]
        own.private_block(0x0021, "SIEMENS MR SDI 02", create=True).add_new(0x75, "CS", words)


MOSAICS = ["image type", "number", "CSA header", "text", "text of the frame"]


@pytest.mark.parametrize("by", MOSAICS)
def test_a_mosaic_is_refused_with_words(by: str, tmp_path: Path) -> None:
    (path,) = write_series(tmp_path, Geometry(slices=1), modality="MR")
    dataset = pydicom.dcmread(path)
    mark(dataset, by)
    dataset.save_as(path)
    tiles = "36" if by in ("number", "CSA header") else "several"
    with pytest.raises(ImageError, match=f"{tiles} slices side by side.*export it as enhanced multi-frame MR"):
        read_volume(path)


@pytest.mark.parametrize("by", MOSAICS)
def test_frames_that_were_a_mosaic_are_slices(by: str) -> None:
    """Scanners part a mosaic when they export it as an enhanced image, and leave the word in its Image Type."""
    dataset = pydicom.Dataset()
    mark(dataset, by)
    assert mosaic_tiles(dataset)
    dataset.NumberOfFrames = 36
    assert mosaic_tiles(dataset) == ""


@pytest.mark.parametrize("header", [csa(""), csa("1"), csa("36")[:130], b"NumberOfImagesInMosaic\0", b"", None])
def test_a_csa_header_that_tells_of_no_tiles_is_no_mosaic(header: bytes | None) -> None:
    dataset = pydicom.Dataset()
    dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", header)
    assert mosaic_tiles(dataset) == ""


def test_each_pet_slices_own_slope_is_followed(tmp_path: Path) -> None:
    """A slope a slice: counts of decaying activity (PS3.3 C.8.9.4)."""
    paths = write_series(tmp_path, Geometry(slices=3), Modality="PT", Units="BQML", RescaleType=None)
    for index, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        dataset.RescaleSlope, dataset.RescaleIntercept = 2**index / 2, 0
        dataset.save_as(path)
    volume = read_volume(tmp_path)
    assert volume.unit == "BQML" and volume.voxels[:, 0, 0].tolist() == [12, 24, 48]


def test_mr_slices_of_another_scale_are_not_put_among_the_rest(tmp_path: Path) -> None:
    paths = write_series(tmp_path, Geometry(slices=5), modality="MR", RescaleSlope=2, RescaleIntercept=0)
    for path in paths[:2]:
        dataset = pydicom.dcmread(path)
        del dataset.RescaleSlope, dataset.RescaleIntercept
        dataset.save_as(path)
    (series,) = find_studies(tmp_path).series
    assert sorted(len(volume.voxels) for volume in read_volumes(series)) == [2, 3]


def test_echo_times_that_jitter_are_one_volume(tmp_path: Path) -> None:
    paths = write_series(tmp_path, Geometry(slices=4), modality="MR")
    for index, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        dataset.EchoTime = f"2.4{index}"
        dataset.save_as(path)
    assert len(read_volume(tmp_path).voxels) == 4


def test_a_rendered_frame_of_a_loop_has_the_loops_mapping(tmp_path: Path) -> None:
    wanted = Rendering(kind="image/png")
    dataset = pydicom.dcmread(loop(tmp_path))
    shown = [np.asarray(Image.open(io.BytesIO(render(dataset, index, wanted)))) for index in range(3)]
    assert [int(frame.max()) for frame in shown] == [64, 128, 255]


def test_a_rendered_frame_of_a_stored_loop_has_the_loops_mapping(tmp_path: Path) -> None:
    """A store cuts the frame that is asked for out of the file: the mapping is of the others too."""
    (tmp_path / "loop").mkdir()
    uids = {f"{level}InstanceUID": pydicom.uid.generate_uid() for level in ("Study", "Series", "SOP")}
    data = loop(tmp_path / "loop", **uids).read_bytes()
    with Store(tmp_path / "store") as store, DicomwebServer(store, DicomwebSettings(port=0)) as server:
        found = store.find(store.add(data).uid)
        assert found is not None
        at = f"{server.url}/studies/{found.study}/series/{found.series}/instances/{found.uid}"
        shown = [
            np.asarray(Image.open(io.BytesIO(
                httpx2.get(f"{at}/frames/{number}/rendered", headers={"Accept": "image/png"}, timeout=60).content
            )))
            for number in (1, 2, 3)
        ]  # fmt: skip
    assert [int(frame.max()) for frame in shown] == [64, 128, 255]


def test_a_window_that_is_asked_for_is_used_where_the_rescale_cannot_be_read(tmp_path: Path) -> None:
    path = rewrite(bad_files.dicom(tmp_path, RAMP, RescaleSlope=1, RescaleIntercept=0), RescaleIntercept="?")
    dataset = pydicom.dcmread(path)
    wanted = Rendering(window=(128.0, 257.0, "LINEAR"), kind="image/png")
    assert np.asarray(Image.open(io.BytesIO(render(dataset, 0, wanted))))[0, :2].tolist() == [0, 64]


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("AcquisitionTime", ("101500.10", "101500.40")),
        ("AcquisitionNumber", (1_234_567, 1_234_568)),
    ],
)
def test_acquisitions_that_differ_by_little_are_told_apart(
    keyword: str, values: tuple[Any, Any], tmp_path: Path
) -> None:
    series, study = pydicom.uid.generate_uid(), pydicom.uid.generate_uid()
    for number, value in enumerate(values):
        write_series(
            tmp_path, Geometry(slices=3), modality="MR", series_uid=series, study_uid=study, prefix=f"p{number}",
            numbers=range(3 * number + 1, 3 * number + 4), **{keyword: value},
        )  # fmt: skip
    (found,) = find_studies(tmp_path).series
    assert [len(volume.voxels) for volume in read_volumes(found)] == [3, 3]
