"""Bits of a cell that are no pixel (PS3.5 8.1.1) are in no value and in no de-identified file, whatever the codec."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.native import _encode_frame as encode_rle
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from aris.exchange.deidentify.images import Deidentifier, Options
from aris.exchange.dicomweb.retrieving import explicit
from aris.imaging import read_volume
from aris.imaging.dicom import codecs
from aris.imaging.stills import read_stills
from dicom_objects import CT, as_bytes, image

CODECS = {
    "native": ExplicitVRLittleEndian, "implicit": ImplicitVRLittleEndian, "big endian": ExplicitVRBigEndian,
    "deflate": DeflatedExplicitVRLittleEndian, "RLE": RLELossless, "JPEG lossless": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless, "JPEG 2000": JPEG2000Lossless, "HTJ2K": HTJ2KLossless,
}  # fmt: skip
SIDE = 24


@pytest.fixture(scope="module", autouse=True)
def one_child() -> Iterator[None]:
    """GDCM's process is started once for all."""
    with codecs.kept_child():
        yield


def stream(codec: str, cells: np.ndarray) -> bytes:
    """Whole cells as a stream of as many bits as they have, as the encoders of old archives wrote them."""
    imagecodecs = pytest.importorskip("imagecodecs")
    bits = 8 * cells.itemsize
    if codec == "RLE":
        runner = pydicom.pixels.encoders.base.EncodeRunner(RLELossless)
        for name, value in (
            ("rows", SIDE), ("columns", SIDE), ("samples_per_pixel", 1), ("bits_allocated", bits),
            ("bits_stored", bits), ("pixel_representation", 0), ("number_of_frames", 1),
            ("photometric_interpretation", "MONOCHROME2"),
        ):  # fmt: skip
            runner.set_option(name, value)
        return bytes(encode_rle(cells.tobytes(), runner))
    if codec == "JPEG lossless":
        return bytes(imagecodecs.ljpeg_encode(cells, bitspersample=bits))
    if codec == "JPEG-LS":
        return bytes(imagecodecs.jpegls_encode(cells))
    if codec == "JPEG 2000":
        return bytes(imagecodecs.jpeg2k_encode(cells, codecformat="J2K", reversible=True, level=0))
    return bytes(imagecodecs.htj2k_encode(cells, reversible=True))


def file(codec: str, cells: np.ndarray, stored: int, high: int, signed: bool) -> bytes:
    bits = 8 * cells.itemsize
    made = image(
        1, side=SIDE, Modality="CT", BitsAllocated=bits, BitsStored=stored, HighBit=high,
        PixelRepresentation=int(signed), WindowCenter=0, WindowWidth=1000,
    )  # fmt: skip
    made.file_meta.TransferSyntaxUID = CODECS[codec]
    made["PixelData"].VR = "OW" if bits > 8 else "OB"
    if CODECS[codec].is_encapsulated:
        made.PixelData = encapsulate([stream(codec, cells)])
        made["PixelData"].is_undefined_length = True
    else:
        order = ">" if codec == "big endian" else "<"
        made.PixelData = cells.astype(cells.dtype.newbyteorder(order)).tobytes()
    if codec not in ("implicit", "big endian"):
        return as_bytes(made)
    out = io.BytesIO()
    made.set_original_encoding(codec == "implicit", codec != "big endian", None)
    pydicom.dcmwrite(out, made, enforce_file_format=True)
    return out.getvalue()


def values_of(stored: int, signed: bool) -> np.ndarray:
    low = -(1 << stored - 1) if signed else 0
    values = np.random.default_rng(stored).integers(low, low + (1 << stored), (SIDE, SIDE))
    values[0, 0] = -327 if signed and stored > 9 else values[0, 0]
    return values


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("bits", "stored", "high"), [(16, 12, 11), (16, 12, 15), (16, 10, 13), (8, 5, 4), (8, 6, 7)])
@pytest.mark.parametrize("codec", CODECS)
def test_what_lies_beside_the_stored_bits_is_no_pixel(
    codec: str, bits: int, stored: int, high: int, signed: bool
) -> None:
    if codec == "big endian" and bits == 8:
        pytest.skip("bytes have no order")
    values = values_of(stored, signed)
    shift = high + 1 - stored
    mask = ((1 << stored) - 1) << shift
    drawing = np.zeros((SIDE, SIDE), dtype=np.int64)
    drawing[5:9, 3:20] = ((1 << bits) - 1) & ~mask  # all that is not pixel
    cells = (((values << shift) & mask) | drawing).astype(f"<u{bits // 8}")
    data = file(codec, cells, stored, high, signed)
    dataset = pydicom.dcmread(io.BytesIO(data))
    read = codecs.stored_values(dataset)
    assert read.dtype.newbyteorder("=") == np.dtype(f"{'i' if signed else 'u'}{bits // 8}")
    assert np.array_equal(read, values)
    clean = pydicom.dcmread(io.BytesIO(Deidentifier(bytes(32), Options(pixels="reviewed")).clean(data).data))
    assert (clean.BitsStored, clean.HighBit, clean.BitsAllocated) == (stored, stored - 1, bits)
    written = np.frombuffer(clean.PixelData, f"<{'i' if signed else 'u'}{bits // 8}")[: SIDE * SIDE]
    assert np.array_equal(written.reshape(SIDE, SIDE), values)
    assert np.array_equal(clean.pixel_array, values)  # another reader
    if CODECS[codec].is_encapsulated:
        plain = pydicom.dcmread(io.BytesIO(explicit(data, strict=True)[0]))
        assert np.array_equal(plain.pixel_array, values) and plain.HighBit == stored - 1


def test_a_ct_value_below_zero_is_read_as_such_from_a_stream_of_sixteen_bits(tmp_path: Any) -> None:
    cells = np.full((SIDE, SIDE), -327 & 0xFFF, dtype=np.uint16)  # 3769 to who takes all bits
    for codec in ("JPEG-LS", "JPEG 2000", "HTJ2K", "JPEG lossless"):
        dataset = pydicom.dcmread(io.BytesIO(file(codec, cells, 12, 11, signed=True)))
        assert set(codecs.stored_values(dataset).ravel().tolist()) == {-327}, codec


@pytest.mark.parametrize("codec", ["JPEG-LS", "JPEG 2000", "HTJ2K"])
def test_a_stream_narrower_than_the_cells_fills_them(codec: str) -> None:
    values = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
    data = file(codec, values.astype(np.uint16), 12, 11, signed=False)
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.PixelData = encapsulate([stream(codec, values)])
    dataset["PixelData"].is_undefined_length = True
    data = as_bytes(dataset)
    clean = pydicom.dcmread(io.BytesIO(Deidentifier(bytes(32), Options(pixels="reviewed")).clean(data).data))
    assert clean.BitsAllocated == 16 and np.array_equal(clean.pixel_array, values)


@pytest.mark.parametrize("signed", [False, True])
def test_cells_of_thirty_two_bits(signed: bool) -> None:
    values = values_of(20, signed)
    cells = ((values & 0xFFFFF) | 0xABC00000).astype("<u4")
    data = file("native", cells, 20, 19, signed)
    assert np.array_equal(codecs.stored_values(pydicom.dcmread(io.BytesIO(data))), values)
    clean = pydicom.dcmread(io.BytesIO(Deidentifier(bytes(32), Options(pixels="reviewed")).clean(data).data))
    assert np.array_equal(np.frombuffer(clean.PixelData, "<i4" if signed else "<u4").reshape(SIDE, SIDE), values)


def test_pixels_of_other_kinds_do_not_ride_along() -> None:
    secret = b"MEYER^ANNA" * 20
    made = image(1, side=SIDE, Modality="CT")
    made.add_new(0x7FE00008, "OF", secret)  # Float Pixel Data beside Pixel Data
    made.add_new(0x7FE00009, "OD", secret)
    inner = pydicom.Dataset()
    inner.add_new(0x7FE00010, "OW", secret)
    inner.FrameAcquisitionNumber = 1
    item = pydicom.Dataset()
    item.FrameContentSequence = [inner]
    made.SharedFunctionalGroupsSequence = [item]
    made.PixelData += secret  # behind the last row
    clean = Deidentifier(bytes(32), Options(pixels="reviewed")).clean(as_bytes(made)).data
    assert b"MEYER" not in clean and b"MEYER" not in zlib.compress(clean)


def test_a_picture_shows_no_overlay_of_unused_bits(tmp_path: Any) -> None:
    values = np.tile(np.arange(SIDE, dtype=np.uint16) * 100, (SIDE, 1))
    cells = values.copy()
    cells[4:8] |= 0x8000
    for codec in ("native", "JPEG 2000"):
        data = file(codec, cells, 12, 11, signed=False)
        dataset = pydicom.dcmread(io.BytesIO(data))
        dataset.Modality, dataset.WindowCenter, dataset.WindowWidth = "XC", 1200, 2400
        (tmp_path / "a.dcm").write_bytes(as_bytes(dataset))
        (shown,) = read_stills(tmp_path / "a.dcm").frames
        assert (shown == shown[0]).all(), codec


@pytest.mark.parametrize(("signed", "bits"), [(False, 12), (True, 12), (False, 16), (True, 16)])
def test_padding_beyond_the_stored_bits_is_padding(signed: bool, bits: int, tmp_path: Path) -> None:
    """Scanners pad with -2000, whatever the bits: cut to 12 of them it is 2096, which is bone."""
    made = image(
        1, SOPClassUID=CT, Modality="CT", Rows=2, Columns=2, BitsStored=bits, HighBit=bits - 1,
        PixelRepresentation=int(signed), RescaleSlope=1, RescaleIntercept=-1024,
    )  # fmt: skip
    made.PixelData = np.array([63_536, 1064, 1064, 24], "<u2").tobytes()
    made.add_new(0x00280120, "US", 63_536)
    cleaned = Deidentifier(bytes(32), Options(pixels="reviewed")).clean(as_bytes(made)).data
    for number, data in enumerate((as_bytes(made), cleaned)):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(data)
        volume = read_volume(path)
        assert volume.voxels.ravel().tolist() == [-1024, 40, 40, -1000] and volume.value_range == (-1000, 40)
    found = pydicom.dcmread(path)
    assert found.pixel_array[0, 0] == found.PixelPaddingValue
    made.compress(RLELossless)
    plain = pydicom.dcmread(io.BytesIO(explicit(as_bytes(made), strict=True)[0]))
    assert plain.pixel_array[0, 0] == plain.PixelPaddingValue
