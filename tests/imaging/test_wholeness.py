"""A file that ends before what it announces is told from one that is only odd."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

from aris.imaging.dicom.wholeness import is_cut_off
from aris.store.files import StoredFile
from aris.store.objects import ObjectError, dataset_start
from aris.store.store import Store
from dicom_objects import as_bytes, image


def cut_off(data: bytes, frames: int = 1) -> bool:
    dataset = pydicom.dcmread(io.BytesIO(data), force=True)
    syntax = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True).file_meta.TransferSyntaxUID
    del dataset
    return is_cut_off(
        io.BytesIO(data), len(data), dataset_start(io.BytesIO(data)), implicit=syntax.is_implicit_VR,
        little=syntax.is_little_endian, frames=frames,
    )  # fmt: skip


def nested(**more: object) -> pydicom.Dataset:
    made = image(1, **more)
    inner = pydicom.Dataset()
    inner.CodeValue, inner.CodeMeaning = "1", "x"
    outer = pydicom.Dataset()
    outer.ConceptNameCodeSequence = [inner, inner]
    made.ContentSequence = [outer, outer]
    made["ContentSequence"].is_undefined_length = True
    for item in made.ContentSequence:
        item.is_undefined_length_sequence_item = True
        item["ConceptNameCodeSequence"].is_undefined_length = True
    return made


def test_every_cut_of_a_nested_file_is_found_and_the_whole_one_is_whole() -> None:
    data = as_bytes(nested())
    start = dataset_start(io.BytesIO(data))
    assert not cut_off(data)
    assert not cut_off(data + bytes(512))  # some programs fill the last block up
    whole = {start}  # between two elements of the dataset a shorter file is a file too
    ends = [at for at in range(start + 1, len(data)) if not is_cut_off(
        io.BytesIO(data[:at]), at, start, implicit=False, little=True)]  # fmt: skip
    assert len(ends) < len(list(nested())) + 1 and whole
    assert all(data[at + 2 : at + 4] != b"" for at in ends)


def test_compressed_pixels_end_with_a_delimiter_or_with_as_many_fragments_as_frames() -> None:
    made = image(1)
    made.file_meta.TransferSyntaxUID = JPEG2000Lossless
    made.NumberOfFrames = 2
    made.PixelData = encapsulate([b"\xff\x4f" + bytes(98), b"\xff\x4f" + bytes(198)])
    made["PixelData"].is_undefined_length = True
    data = as_bytes(made)
    assert not cut_off(data, 2)
    assert not cut_off(data[:-8], 2)  # the delimiter alone is missing: some writers leave it out
    assert cut_off(data[:-20], 2) and cut_off(data[: -8 - 208], 2) and cut_off(data[: -8 - 250], 2)


@pytest.mark.parametrize("length", ["pixels", "header"])
def test_the_store_takes_no_object_without_its_end_by_any_way(tmp_path: Path, length: str) -> None:
    made = image(1, PixelData=np.zeros((16, 16), np.uint16).tobytes(), Rows=16, Columns=16, BitsAllocated=16,
                 BitsStored=16, HighBit=15, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2",
                 PixelRepresentation=0)  # fmt: skip
    data = as_bytes(made)
    half = data[:-100] if length == "pixels" else data[: data.index(b"\x10\x00\x10\x00") + 10]
    with Store(tmp_path / "store") as store:
        if length == "pixels":
            with pytest.raises(ObjectError, match="its end is missing"):
                store.add(half, source="CT1")
        with pytest.raises(ObjectError):
            (tmp_path / "half.dcm").write_bytes(half)
            store.add_file(_file(tmp_path / "half.dcm"), source="FOLDER")
        assert store.counts()["instances"] == 0
        assert store.add(data, source="CT1").outcome == "stored"


def _file(path: Path) -> StoredFile:
    from aris.imaging.sources import FileSource

    return FileSource(path)  # type: ignore[return-value]
