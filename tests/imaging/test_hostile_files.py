"""Files that ask for too much, or that broke a reader once: each find of the fuzzing has its test."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels.utils import pixel_array

import bad_files
from aris.errors import ImageError
from aris.imaging import find_studies, open_slide, patches, read_film, read_header, read_nifti, read_stills, read_volume
from aris.imaging.dicom import gdcm_child, parsing
from aris.imaging.dicom.codecs import DecodeError, stored_values
from aris.imaging.sources import FileSource
from aris.imaging.synthetic.series import Geometry, write_series
from aris.imaging.synthetic.slide import write_slide

SMALL = Geometry(slices=2, rows=8, columns=8)
_PIXELS = b"\xe0\x7f\x10\x00"


def deflated(path: Path, *, before: bytes = b"", behind: int = 0, group_length: int | None = None) -> Path:
    """A file deflated by hand, with elements before its pixels or zeros behind all."""
    data = path.read_bytes()
    _, start = parsing.meta_of(data)
    meta, body = data[:start], data[start:]
    at = meta.index(b"\x02\x00\x10\x00UI")
    (length,) = struct.unpack_from("<H", meta, at + 6)
    meta = meta[:at] + b"\x02\x00\x10\x00UI\x16\x001.2.840.10008.1.2.1.99" + meta[at + 8 + length :]
    if group_length is not None:
        meta = meta[:140] + struct.pack("<I", group_length) + meta[144:]
    place = body.index(_PIXELS)
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    made = path.with_name("deflated.dcm")
    with made.open("wb") as file:
        file.write(meta + packer.compress(body[:place] + before + body[place:]))
        for _ in range(behind >> 20):
            file.write(packer.compress(bytes(1 << 20)))
        file.write(packer.flush())
    return made


def refused(path: Path, *readers: Callable[[Path], object]) -> str:
    said = ""
    for reader in readers:
        with pytest.raises(ImageError) as error:
            reader(path)
        said = str(error.value)
        assert len(said.splitlines()) == 1
    return said


def test_megabytes_of_empty_elements_are_refused(tmp_path: Path) -> None:
    """A deflated file of 20 kB that has millions of elements: minutes for pydicom."""
    path = deflated(write_series(tmp_path / "s", SMALL)[0], behind=20 << 20)
    assert path.stat().st_size < 200_000
    assert "damaged" in refused(path, read_film, read_stills, read_volume)
    assert read_header(path).patient  # what comes before the pixels can be read all the same


@pytest.mark.parametrize("tag", [0x52009230, 0x00081140], ids=["read by the readers", "read by nobody"])
def test_an_item_full_of_empty_elements_is_refused(tag: int, tmp_path: Path) -> None:
    """pydicom parses sequences of a declared length when they are first used."""
    zeros = bytes(20 << 20)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(zeros)) + zeros
    sequence = struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, b"SQ", 0, len(item)) + item
    path = deflated(write_series(tmp_path / "s", SMALL)[0], before=sequence)
    assert "damaged" in refused(path, read_film, read_stills)


def test_a_deflated_file_is_inflated_up_to_a_limit_whatever_its_group_length_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parsing, "MAX_INFLATED", 1 << 20)
    path = deflated(write_series(tmp_path / "s", SMALL)[0], behind=4 << 20, group_length=7)
    whole = path.read_bytes()
    assert "too large" in refused(path, read_film, read_stills, lambda _: parsing.parse(whole, "x", pixels=False))


def test_of_a_deflated_file_no_more_is_read_than_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inflated: list[int] = []
    real = parsing._Inflating._piece

    def piece(self: parsing._Inflating) -> bytes:
        made = real(self)
        inflated.append(len(made))
        return made

    monkeypatch.setattr(parsing._Inflating, "_piece", piece)
    path = deflated(write_series(tmp_path / "s", SMALL)[0], behind=20 << 20, group_length=7)
    dataset = parsing.parse_header(FileSource(path), "x", ["SOPInstanceUID", "Rows"])
    assert dataset.Rows == 8 and dataset.SOPInstanceUID
    assert sum(inflated) <= 1 << 20
    assert len(find_studies(path).studies) == 1
    inflated.clear()
    parsing.parse(path.read_bytes(), "x", tags=["Rows"], pixels=False)  # a store's: all of it must be there
    assert sum(inflated) > 20 << 20


def test_a_header_that_is_larger_than_any_image_is_not_inflated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parsing, "MAX_INFLATED", 1 << 20)
    element = struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 4 << 20) + bytes(4 << 20)
    path = deflated(write_series(tmp_path / "s", SMALL)[0], before=element)
    assert "too large" in refused(path, lambda each: parsing.parse_header(FileSource(each), "x", ["Rows"]))


def test_a_deflated_file_that_ends_too_early_is_damaged(tmp_path: Path) -> None:
    path = deflated(write_series(tmp_path / "s", SMALL)[0])
    path.write_bytes(path.read_bytes()[:-8])
    assert "damaged" in refused(path, read_film)


def test_a_deflated_series_equals_the_plain_one(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path / "s", Geometry(slices=1))
    wanted = read_volume(path).voxels
    made = deflated(path)
    path.unlink()
    assert np.array_equal(read_volume(made).voxels, wanted)


def test_a_long_list_of_numbers_is_not_converted(tmp_path: Path) -> None:
    """Two megabytes of spacings would be a million objects, and gigabytes as many more."""
    values = b"1\\" * (1 << 20)
    element = struct.pack("<HH2sHI", 0x0028, 0x0030, b"UN", 0, len(values)) + values
    path = deflated(write_series(tmp_path / "s", SMALL, PixelSpacing=None)[0], before=element)
    assert 0x00280030 not in parsing.parse(path.read_bytes(), "x")
    assert read_volume(path).spacing_mm is None


def test_a_stream_of_empty_fragments_is_refused(tmp_path: Path) -> None:
    path = bad_files.lossless_jpeg(tmp_path, np.zeros((20, 30), dtype=np.uint16))
    dataset = pydicom.dcmread(path)
    dataset.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0" * 200_000 + b"\xfe\xff\xdd\xe0\0\0\0\0"
    with pytest.raises(DecodeError):
        stored_values(dataset)


def test_damaged_values_are_not_quoted_by_a_warning(tmp_path: Path) -> None:
    """In a process of its own, whose stderr a log may keep."""
    path = write_series(tmp_path, SMALL)[0]
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.5.1.4.1.1.2", b"SECRET^NAME^.5.1.4.1.1.2"))
    code = "import sys; from aris.imaging import find_studies; find_studies(sys.argv[1]).series[0]"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_of_any_compression_is_left_out(method: int, tmp_path: Path) -> None:
    paths = write_series(tmp_path / "files", SMALL)
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w", method) as packed:
        for path in paths:
            packed.write(path, path.name)
        start = packed.infolist()[1].header_offset
    data = bytearray(archive.read_bytes())
    data[start + 60 : start + 160] = os.urandom(100)
    archive.write_bytes(data)
    found = find_studies(archive)
    assert len(found.series[0].instances) == 1
    assert [one.reason for one in found.skipped] == ["damaged in the archive; pack it again"]


def test_a_member_without_a_name_is_none(tmp_path: Path) -> None:
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in write_series(tmp_path / "files", SMALL):
            packed.write(path, path.name)
        packed.writestr("x", b"")
        packed.infolist()[-1].filename = ""
    assert "" in zipfile.ZipFile(archive).namelist()
    assert len(find_studies(archive).series[0].instances) == 2


def test_entries_that_overlap_are_left_out(tmp_path: Path) -> None:
    """Every entry points at the first member, as a bomb of overlapping files does."""
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in write_series(tmp_path / "files", Geometry(slices=5, rows=8, columns=8)):
            packed.write(path, path.name)
    data = bytearray(archive.read_bytes())
    start = data.find(b"PK\x01\x02")
    while start >= 0:
        data[start + 42 : start + 46] = bytes(4)
        start = data.find(b"PK\x01\x02", start + 4)
    archive.write_bytes(data)
    found = find_studies(archive)
    assert sum(len(one.instances) for one in found.series) + len(found.skipped) == 5
    assert len(found.skipped) >= 4


@pytest.mark.parametrize("scale", [(3e38, 0.0), (1.5, 3e38), (float("nan"), 1.0)])
@pytest.mark.parametrize("sform", [1.0, 3e38, float("nan")])
def test_a_nifti_file_s_numbers_beyond_their_type_are_quiet(
    scale: tuple[float, float], sform: float, tmp_path: Path
) -> None:
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, 8, 8, 3, 1, 1, 1, 1)
    struct.pack_into("<h", header, 70, 4)
    struct.pack_into("<3f", header, 108, 352, *scale)
    struct.pack_into("<h", header, 254, 1)
    struct.pack_into("<12f", header, 280, *(np.eye(3, 4) * sform).ravel())
    header[344:348] = b"n+1\0"
    path = tmp_path / "x.nii"
    path.write_bytes(bytes(header) + np.arange(192, dtype="<i2").tobytes())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            assert np.isfinite(read_nifti(path, "CT").voxels).all()
        except ImageError as error:
            assert len(str(error).splitlines()) == 1


def test_a_slide_of_an_absurd_scale_has_no_scale(tmp_path: Path) -> None:
    path = write_slide(tmp_path, width=60, height=40, tile=16, downsamples=(1,), label=False)[0]
    dataset = pydicom.dcmread(path)
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = [0.0005, 9_999_999]
    dataset.save_as(path)
    slide = open_slide(path)
    assert slide.mpp is None and patches(slide, size=32)


def test_a_panic_of_a_decoder_is_no_crash(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The RLE decoder is in Rust: what it raises where it would abort is no Exception, and it prints."""
    dataset = pydicom.dcmread(bad_files.dicom(tmp_path, np.arange(1200, dtype=np.uint16).reshape(30, 40)))
    dataset.compress(pydicom.uid.RLELossless)
    stream = bytearray(dataset.PixelData)
    stream[84] = 0x81  # a run where a length was: it writes one value too many
    dataset.PixelData = bytes(stream)
    with pytest.raises(BaseException, match="index out of bounds"):
        pixel_array(dataset, decoding_plugin="pylibjpeg")
    capfd.readouterr()
    with warnings.catch_warnings(), contextlib.suppress(DecodeError):
        warnings.simplefilter("ignore")
        stored_values(dataset)
    assert capfd.readouterr() == ("", "")


def test_the_decoder_s_process_has_limits() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import gdcm_child\n"
        "gdcm_child.MAX_SECONDS = 0.2\n"
        "with gdcm_child.limited_time():\n    while True: pass\n"
    )
    folder = str(Path(gdcm_child.__file__).parent)
    done = subprocess.run([sys.executable, "-c", code, folder], timeout=60, check=False)
    assert done.returncode < 0  # ended by the signal, not by itself
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import gdcm_child\n"
        "gdcm_child.limit_memory()\n"
        "try: bytearray(gdcm_child.MAX_BYTES)\n"
        "except MemoryError: print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=False)
    assert done.stdout == "refused\n"


def test_a_deflated_file_in_an_archive_is_bounded_too(tmp_path: Path) -> None:
    path = deflated(write_series(tmp_path / "s", SMALL)[0], behind=20 << 20)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.write(path, "a.dcm")
    archive = tmp_path / "study.zip"
    archive.write_bytes(buffer.getvalue())
    assert "none of its 1 files can be read" in refused(archive, read_volume)


def test_a_directory_whose_record_has_a_damaged_character_set_is_refused(tmp_path: Path) -> None:
    data = Path(pydicom.data.get_testdata_file("DICOMDIR-reordered")).read_bytes()
    # Specific Character Set of a record as an unsigned short: pydicom matches a pattern against the number.
    charset = struct.pack("<HH2sH", 8, 5, b"CS", 10)
    at = data.index(charset, data.index(struct.pack("<HH", 4, 0x1220)))
    (tmp_path / "DICOMDIR").write_bytes(data[: at + 4] + b"US" + data[at + 6 :])
    with pytest.raises(ImageError, match="the DICOMDIR is damaged"):
        find_studies(tmp_path / "DICOMDIR")
