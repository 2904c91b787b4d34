"""Compressed DICOM, odd cells and tables, and headers with bad facts: what real archives hold."""

from __future__ import annotations

import logging
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.data
import pytest
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEGLSLossless,
    RLELossless,
)

import bad_files
from aris.errors import ImageError
from aris.imaging import read_film
from aris.imaging.dicom import codecs, gdcm_child

RAMP = np.linspace(0, 4095, 60 * 50).reshape(60, 50).astype(np.uint16)
WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}


def shipped(name: str) -> Path:
    path = pydicom.data.get_testdata_file(name)
    assert path is not None
    return Path(path)  # type: ignore[arg-type]


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, DeflatedExplicitVRLittleEndian])
def test_lossless_transfer_syntaxes_show_the_same_pixels(syntax: Any, tmp_path: Path) -> None:
    plain = bad_files.dicom(tmp_path, RAMP, **WINDOW)
    dataset = pydicom.dcmread(plain)
    if syntax.is_encapsulated:
        dataset.compress(syntax)
    else:
        dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(tmp_path / "packed.dcm")
    assert np.array_equal(read_film(tmp_path / "packed.dcm").pixels, read_film(plain).pixels)


@pytest.mark.parametrize("signed", [False, True])
def test_jpeg_lossless_is_decoded_in_a_process_of_its_own(signed: bool, tmp_path: Path) -> None:
    stored = RAMP.astype(np.int16) - 1000 if signed else RAMP
    packed = bad_files.lossless_jpeg(tmp_path, stored)
    assert np.array_equal(read_film(packed).pixels, read_film(tmp_path / "plain-lossless.dcm").pixels)
    assert "gdcm" not in codecs._PLUGINS


@pytest.mark.parametrize("signed", [False, True])
def test_lossless_jpeg_2000_shows_the_same_pixels(signed: bool, tmp_path: Path) -> None:
    stored = RAMP.astype(np.int16) - 1000 if signed else RAMP
    packed = bad_files.lossless_jpeg(tmp_path, stored, syntax="JPEG2000Lossless")
    assert np.array_equal(read_film(packed).pixels, read_film(tmp_path / "plain-lossless.dcm").pixels)


def test_the_damaged_jpeg_does_end_the_decoders_process(tmp_path: Path) -> None:
    """Else the list of bad files shows nothing about it."""
    sent = bad_files.damaged_lossless_jpeg(tmp_path).read_bytes()
    sent = len(sent).to_bytes(8, "little") + sent
    done = subprocess.run([sys.executable, gdcm_child.__file__], input=sent, capture_output=True, check=False)
    assert done.returncode != 0


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("SC_rgb_jpeg_dcmtk.dcm", (100, 100, 3)),
        ("SC_rgb_gdcm_KY.dcm", (100, 100, 3)),
        ("SC_rgb_jls_lossy_line.dcm", (100, 100, 3)),
        ("SC_rgb_rle.dcm", None),
    ],
)
def test_what_a_stream_declares(name: str, size: tuple[int, int, int] | None) -> None:
    dataset = pydicom.dcmread(shipped(name))
    assert codecs.stream_size(pydicom.encaps.get_frame(dataset.PixelData, 0, number_of_frames=1)) == size


def test_jpeg_2000_in_colour() -> None:
    film = read_film(shipped("SC_rgb_gdcm_KY.dcm"))
    wanted = read_film(shipped("SC_rgb_rle.dcm"))
    assert np.abs(film.pixels.astype(int) - wanted.pixels).mean() < 4


def test_bits_outside_the_value_are_dropped(tmp_path: Path) -> None:
    wanted = read_film(bad_files.dicom(tmp_path, RAMP, **WINDOW)).pixels
    overlay = bad_files.dicom(tmp_path, RAMP | 0xF000, name="overlay.dcm", **WINDOW)
    high = bad_files.dicom(tmp_path, (RAMP << 4) | 0xF, name="high.dcm", HighBit=15, **WINDOW)
    assert np.array_equal(read_film(overlay).pixels, wanted)
    assert np.array_equal(read_film(high).pixels, wanted)


def test_twelve_signed_bits_without_sign_extension(tmp_path: Path) -> None:
    value = RAMP.astype(np.int16) - 2048
    window = {"WindowCenter": 0, "WindowWidth": 4096}
    extended = bad_files.dicom(tmp_path, value, name="a.dcm", **window)
    cells = (value & 0xFFF).astype(np.uint16)
    bare = bad_files.dicom(tmp_path, cells, name="b.dcm", PixelRepresentation=1, **window)
    assert np.array_equal(read_film(bare).pixels, read_film(extended).pixels)


def voi_item(first: int, table: np.ndarray, order: str = "<") -> pydicom.Dataset:
    item = pydicom.Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(table), first, 8])
    item.add_new("LUTData", "OW", table.astype(f"{order}u2").tobytes())
    return item


def test_defect_4_a_voi_lut_begins_at_its_first_value_mapped(tmp_path: Path) -> None:
    """Stored 0..4095 with an intercept of -1000; the table maps -500 to 2000 and holds its ends beyond."""
    table = np.linspace(0, 255, 2501).round()
    path = bad_files.dicom(
        tmp_path, RAMP, RescaleIntercept=-1000, RescaleSlope=1, VOILUTSequence=pydicom.Sequence([voi_item(-500, table)])
    )
    value = RAMP.astype(np.int64) - 1000
    assert np.array_equal(read_film(path).pixels, table[np.clip(value + 500, 0, 2500)].astype(np.uint8))


def test_defect_4_tables_of_a_big_endian_file(tmp_path: Path) -> None:
    table = (np.sqrt(np.arange(4096) / 4095) * 255).round()
    dataset = pydicom.dcmread(bad_files.dicom(tmp_path, RAMP))
    dataset.VOILUTSequence = pydicom.Sequence([voi_item(0, table, ">")])
    dataset["PixelData"].VR = "OW"
    dataset.PixelData = RAMP.astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    pydicom.dcmwrite(tmp_path / "big.dcm", dataset, implicit_vr=False, little_endian=False, force_encoding=True)
    assert np.array_equal(read_film(tmp_path / "big.dcm").pixels, table[RAMP].astype(np.uint8))


def test_a_modality_lut_comes_before_the_window(tmp_path: Path) -> None:
    table = (np.arange(4096) ** 2 / 4095).round()
    item = voi_item(0, table)
    item.LUTDescriptor[2] = 16
    item.ModalityLUTType = "US"
    path = bad_files.dicom(
        tmp_path, RAMP, ModalityLUTSequence=pydicom.Sequence([item]), WindowCenter=1000, WindowWidth=800,
        VOILUTFunction="LINEAR_EXACT",
    )  # fmt: skip
    wanted = np.rint(np.clip((table[RAMP] - 1000) / 800 + 0.5, 0, 1) * 255)
    assert np.array_equal(read_film(path).pixels, wanted)


@pytest.mark.parametrize(
    "elements",
    [
        {"PatientBirthDate": "20209999", "StudyDate": "20210101"},
        {"PatientAge": "999Y"},
        {"PatientOrientation": "LF"},
        {"PixelSpacing": "0.1"},
        {"PixelSpacing": ["0", "0"]},
    ],
)
def test_a_bad_fact_is_left_out_and_the_film_is_read(elements: dict[str, Any], tmp_path: Path) -> None:
    with pydicom.config.disable_value_validation():
        film = read_film(bad_files.dicom(tmp_path, RAMP, **WINDOW, **elements))
    assert film.pixels.max() == 255
    assert film.patient_age_years is film.patient_orientation is film.pixel_spacing_mm is None


def test_facts_are_short_and_printable(tmp_path: Path) -> None:
    with pydicom.config.disable_value_validation():
        film = read_film(bad_files.dicom(tmp_path, RAMP, ViewPosition="p\x1ba\x07" + "x" * 500))
    assert film.view_position is not None and film.view_position.startswith("PAX")
    assert len(film.view_position) <= 32 and film.view_position.isprintable()


@pytest.mark.parametrize("modality", ["CT", "MR", "MG", "US", "NM", "PT", "XA", "SEG", "RTDOSE"])
def test_other_modalities_are_named(modality: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=rf"\b{modality}\b.*single radiographs"):
        read_film(bad_files.dicom(tmp_path, RAMP, Modality=modality))


def test_what_is_not_a_modality_is_not_repeated(tmp_path: Path) -> None:
    with pydicom.config.disable_value_validation():
        path = bad_files.dicom(tmp_path, RAMP, Modality="Secret^Name", name="odd.dcm")
    with pytest.raises(ImageError, match="unknown") as caught:
        read_film(path)
    assert "SECRET" not in str(caught.value).upper()


def test_without_a_modality_the_sop_class_decides(tmp_path: Path) -> None:
    assert "does not name its modality" in read_film(bad_files.dicom(tmp_path, RAMP, Modality=None)).warnings[0]
    ct = bad_files.dicom(tmp_path, RAMP, Modality=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    with pytest.raises(ImageError, match="CT Image Storage"):
        read_film(ct)


def test_a_deflated_file_that_swells_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = pydicom.dcmread(bad_files.dicom(tmp_path, np.zeros((1000, 1000), dtype=np.uint16)))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(tmp_path / "deflated.dcm")
    assert (tmp_path / "deflated.dcm").stat().st_size < 10_000
    assert read_film(tmp_path / "deflated.dcm").pixels.shape == (1000, 1000)
    monkeypatch.setattr("aris.imaging.dicom.parsing.MAX_INFLATED", 1_000_000)
    with pytest.raises(ImageError, match="inflated, it is too large"):
        read_film(tmp_path / "deflated.dcm")


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (16, np.uint16)])
def test_tiff_with_white_as_zero_is_inverted(bits: int, dtype: Any, tmp_path: Path) -> None:
    pixels = np.tile(np.linspace(0, 2**bits - 1, 64).astype(dtype), (32, 1))
    entries = [
        (256, 64), (257, 32), (258, bits), (259, 1), (262, 0), (273, 8), (277, 1), (278, 32), (279, pixels.nbytes)
    ]  # fmt: skip
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", t, 4, 1, v) for t, v in entries)
    header = b"II*\0" + struct.pack("<I", 8 + pixels.nbytes)
    (tmp_path / "film.tif").write_bytes(header + pixels.tobytes() + directory + bytes(4))
    shown = read_film(tmp_path / "film.tif").pixels
    assert shown[0, 0] == 255 and shown[0, -1] == 0


def test_of_a_jpeg_with_a_preview_the_photograph_is_read(tmp_path: Path) -> None:
    photograph = Image.fromarray(np.tile(np.arange(64, dtype=np.uint8) * 3, (48, 1)))
    photograph.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[photograph.resize((16, 12))])
    assert read_film(tmp_path / "a.jpg").pixels.shape == (48, 64)


def test_cmyk_jpeg_has_the_right_polarity(tmp_path: Path) -> None:
    grey = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    Image.fromarray(grey).convert("RGB").convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    pixels = read_film(tmp_path / "print.jpg").pixels.astype(int)
    assert np.abs((pixels if pixels.ndim == 2 else pixels.mean(2)) - grey).mean() < 4


@pytest.mark.parametrize("name", ["~no-such-user/film.png", "a\0b.png", "", "two\nlines.png"])
def test_odd_names_give_one_line(name: str) -> None:
    with pytest.raises(ImageError) as caught:
        read_film(name)
    assert "\n" not in str(caught.value) and "\0" not in str(caught.value)


def test_files_that_pydicom_ships_are_read_or_refused_quietly(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    caplog.set_level(logging.DEBUG)
    folder = shipped("CT_small.dcm").parent
    read = 0
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        try:
            film = read_film(path)
            read += 1
            assert film.pixels.dtype == np.uint8 and film.pixels.ndim in (2, 3)
        except ImageError as error:
            assert len(str(error).splitlines()) == 1
    assert read >= 25
    assert capfd.readouterr() == ("", "")
    assert not caplog.records and not list(recwarn)


@pytest.mark.parametrize("name", ["SC_rgb_rle.dcm", "SC_rgb_jls_lossy_line.dcm", "SC_rgb_gdcm_KY.dcm", "image_dfl.dcm"])
def test_damaged_compressed_bytes_raise_nothing_but_image_errors(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = shipped(name).read_bytes()
    chance = random.Random(zlib.crc32(name.encode()))
    for _ in range(15):
        raw = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            raw[chance.randrange(len(raw) // 2, len(raw))] = chance.randrange(256)
        (tmp_path / "z.dcm").write_bytes(raw[: chance.randrange(len(raw) // 2, len(raw) + 1)])
        try:
            read_film(tmp_path / "z.dcm")
        except ImageError as error:
            assert len(str(error).splitlines()) == 1
    assert capfd.readouterr() == ("", "")
