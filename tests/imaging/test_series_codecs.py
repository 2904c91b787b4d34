"""Series in every transfer syntax: the same Hounsfield units, and one process for what needs one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

import bad_files
from aris.imaging import read_volume
from aris.imaging.dicom import codecs
from aris.imaging.synthetic.series import Geometry, write_enhanced, write_series

GEOMETRY = Geometry(slices=4)
WANTED = np.stack([GEOMETRY.hu(index) for index in range(4)])


def encoded(pixels: np.ndarray, syntax: str) -> bytes:
    """One frame's stream, by encoders other than the decoders that read it where there are any."""
    if syntax == HTJ2KLossless:
        imagecodecs = pytest.importorskip("imagecodecs")
        return bytes(imagecodecs.htj2k_encode(pixels, reversible=True))
    if syntax == JPEGLosslessSV1:
        imagecodecs = pytest.importorskip("imagecodecs")
        return bytes(imagecodecs.ljpeg_encode(pixels, bitspersample=16))
    raise AssertionError(syntax)


def rewrite(path: Path, syntax: Any) -> None:
    dataset = pydicom.dcmread(path)
    if syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        dataset.compress(syntax)
    elif syntax in (HTJ2KLossless, JPEGLosslessSV1):
        frames = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
        dataset.PixelData = encapsulate([encoded(np.ascontiguousarray(frame), syntax) for frame in frames])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = syntax
    elif syntax == ExplicitVRBigEndian:
        dataset.PixelData = dataset.pixel_array.byteswap().tobytes()
        dataset.file_meta.TransferSyntaxUID = syntax
    else:
        dataset.file_meta.TransferSyntaxUID = syntax
    little = syntax != ExplicitVRBigEndian
    pydicom.dcmwrite(path, dataset, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=little)


SYNTAXES = [
    ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless, JPEGLSLossless,
    JPEG2000Lossless, HTJ2KLossless, JPEGLosslessSV1,
]  # fmt: skip


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
def test_each_transfer_syntax_gives_the_same_volume(syntax: Any, tmp_path: Path) -> None:
    for path in write_series(tmp_path / "series", GEOMETRY):
        rewrite(path, syntax)
    volume = read_volume(tmp_path / "series")
    assert np.array_equal(volume.voxels, WANTED) and not volume.skipped
    enhanced = write_enhanced(tmp_path / "enhanced.dcm", GEOMETRY)
    rewrite(enhanced, syntax)
    assert np.array_equal(read_volume(enhanced).voxels, WANTED)


def test_a_series_takes_one_decoder_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    popen = codecs.subprocess.Popen

    def counted(*args: Any, **options: Any) -> Any:
        started.append(args)
        return popen(*args, **options)

    for path in write_series(tmp_path, GEOMETRY):
        rewrite(path, JPEGLosslessSV1)
    monkeypatch.setattr(codecs.subprocess, "Popen", counted)
    assert len(read_volume(tmp_path).voxels) == 4
    assert len(started) == 1


def test_a_stream_that_ends_the_process_costs_one_slice(tmp_path: Path) -> None:
    """The process is started again for the slices after it."""
    paths = write_series(tmp_path / "series", GEOMETRY)
    for path in paths:
        rewrite(path, JPEGLosslessSV1)
    killer = pydicom.dcmread(bad_files.damaged_lossless_jpeg(tmp_path))
    dataset = pydicom.dcmread(paths[1])
    for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelData"):
        dataset[keyword] = killer[keyword]
    dataset.file_meta.TransferSyntaxUID = killer.file_meta.TransferSyntaxUID
    dataset.save_as(paths[1], enforce_file_format=True)
    volume = read_volume(tmp_path / "series")
    assert len(volume.voxels) == 3 and len(volume.skipped) == 1
    assert np.array_equal(volume.voxels, WANTED[[0, 2, 3]])
