"""Files that are not what they say, through every command that reads one: one line each, and the others go on."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from films import filmlike
from scripted_backend import ScriptedBackend

Aris = Callable[..., Any]
Scripted = Callable[..., ScriptedBackend]


def dicom(path: Path, **elements: Any) -> Path:
    """A DX file with the facts of a child's frontal film; elements that are None are left out."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    values: dict[str, Any] = {
        "SOPClassUID": DigitalXRayImageStorageForPresentation,
        "SOPInstanceUID": dataset.file_meta.MediaStorageSOPInstanceUID,
        "Modality": "DX",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "AP",
        "PatientAge": "003Y",
        "PatientName": "Doe^Jane",
        "PatientID": "4711",
    }
    for keyword, value in (values | elements).items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def inverted_12_bit(path: Path) -> Path:
    """MONOCHROME1, 12 bits, windowed by a VOI LUT Sequence: a film that must be read, and read the right way up."""
    pixels = 4095 - filmlike().astype(np.uint16) * 16
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 8]
    table.LUTData = (np.arange(4096) // 16).astype(np.uint16).tobytes()
    table["LUTData"].VR = "OW"
    return dicom(
        path,
        Rows=pixels.shape[0],
        Columns=pixels.shape[1],
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME1",
        BitsAllocated=16,
        BitsStored=12,
        HighBit=11,
        PixelRepresentation=0,
        VOILUTSequence=Sequence([table]),
        PixelData=pixels.tobytes(),
    )


def truncated_png(path: Path) -> Path:
    PIL.Image.fromarray(filmlike()).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    return path


def huge_png(path: Path) -> Path:
    """A sound PNG header that promises 20,000 x 20,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(20_001) * 100)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


BAD: dict[str, Callable[[Path], Path]] = {
    "truncated PNG": lambda folder: truncated_png(folder / "half.png"),
    "zero bytes": lambda folder: written(folder / "empty.png", b""),
    "text named .dcm": lambda folder: written(folder / "text.dcm", b"Patient: Jane Doe, born 1970\n" * 20),
    "DICOM without pixels": lambda folder: dicom(folder / "report.dcm"),
    "20,000 x 20,000": lambda folder: huge_png(folder / "huge.png"),
    "no such file": lambda folder: folder / "none.png",
    "a folder": lambda folder: folder,
    "a PDF": lambda folder: written(folder / "letter.png", b"%PDF-1.7\n"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_one_line_without_patient_data(
    kind: str, aris: Aris, scripted: Scripted, film_png: Path, tmp_path: Path
) -> None:
    scripted()
    path = BAD[kind](tmp_path)

    result = aris("findings", film_png, path, film_png, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1 and len(lines) == 3
    assert set(lines[1]) == {"file", "error"} and lines[1]["file"] == str(path)
    assert lines[0]["findings"] == lines[2]["findings"] != []

    for args in (("draft", path), ("draft", path, "--json"), ("findings", path), ("ask", "-i", path, "What?")):
        result = aris(*args)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: ") and len(result.stderr.splitlines()) == 1
        assert str(path) in result.stderr and "defect" not in result.stderr
        assert "Doe" not in result.output and "4711" not in result.output and "1970" not in result.output
        if args != ("draft", path, "--json"):
            assert result.stdout == ""


def test_an_inverted_12_bit_film_with_a_voi_lut_is_read_as_a_film(
    aris: Aris, scripted: Scripted, tmp_path: Path
) -> None:
    model = scripted()
    path = inverted_12_bit(tmp_path / "film.dcm")
    result = aris("draft", path, "--json")
    assert result.exit_code == 0, result.stderr
    data = json.loads(result.stdout)
    assert data["warnings"] == [] and data["findings"][0]["probability"] is not None
    pixels = model.prompts[0][0].content[0].pixels  # type: ignore[union-attr]
    expected = filmlike()
    assert pixels.shape == expected.shape
    assert np.corrcoef(pixels.ravel().astype(float), expected.ravel().astype(float))[0, 1] > 0.99


def test_an_adults_film_is_not_assessed(aris: Aris, scripted: Scripted, tmp_path: Path) -> None:
    scripted()
    path = inverted_12_bit(tmp_path / "film.dcm")
    from pydicom import dcmread

    dataset = dcmread(path)
    dataset.PatientAge = "071Y"
    dataset.save_as(path)
    data = json.loads(aris("findings", path, "--json").stdout)
    assert data["findings"][0]["probability"] is None
    assert "age is outside" in data["warnings"][0]
    assert "71" not in data["findings"][0]["note"] + " ".join(data["warnings"])
    draft = json.loads(aris("draft", path, "--json").stdout)
    assert draft["sections"] == {"findings": "", "impression": ""}
