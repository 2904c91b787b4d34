"""Frames of encapsulated pixels (PS3.5 A.4) are found by their fragments and marks where offset tables are wrong."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate_extended
from pydicom.uid import JPEG2000Lossless, RLELossless

from aris.exchange.dicomweb import frames as web_frames
from aris.imaging.dicom import codecs, fragments, frames
from aris.imaging.stills import read_stills
from dicom_objects import as_bytes, image

COUNT = 3


def item(data: bytes, tag: bytes = b"\xfe\xff\x00\xe0") -> bytes:
    data += b"\0" * (len(data) % 2)
    return tag + struct.pack("<I", len(data)) + data


def streams(syntax: str) -> tuple[np.ndarray, list[bytes]]:
    """Frames of distinct sizes, and the stream of each."""
    values = np.stack([np.random.default_rng(n).integers(0, 40 * (n + 1), (64, 64)) for n in range(COUNT)])
    made = []
    for each in values.astype(np.uint16):
        one = image(1, side=64, PixelData=each.tobytes())
        one.compress(syntax, generate_instance_uid=False)
        made.append(pydicom.encaps.get_frame(one.PixelData, 0, number_of_frames=1))
    return values, made


def encapsulated(parts: list[bytes], table: Sequence[int] | None) -> bytes:
    head = b"" if table is None else item(struct.pack(f"<{len(table)}I", *table))
    return head + b"".join(map(item, parts))


def starts(parts: list[bytes]) -> list[int]:
    sizes = [8 + len(part) + len(part) % 2 for part in parts]
    return [sum(sizes[:index]) for index in range(len(sizes))]


def cut(made: list[bytes], pieces: int) -> tuple[list[bytes], list[int]]:
    """Each stream in several fragments, and which of them begin frames."""
    parts, first = [], []
    for each in made:
        first.append(len(parts))
        step = -(-len(each) // pieces) // 2 * 2 + 2
        parts += [each[at : at + step] for at in range(0, len(each), step)]
    return parts, first


TABLES = {
    "none": lambda at: None, "empty": lambda at: [], "right": lambda at: at, "zeros": lambda at: [0] * COUNT,
    "one too few": lambda at: at[:-1], "beside the items": lambda at: [each + 2 for each in at],
    "from the file's start": lambda at: [each + 1000 for each in at], "backwards": lambda at: at[::-1],
    "beyond the end": lambda at: [0, 1 << 30, 1 << 31], "another fragment's": lambda at: [0, 8, 16],
}  # fmt: skip


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
def test_frames_are_found_whatever_the_basic_offset_table_says(syntax: str, table: str, pieces: int) -> None:
    values, made = streams(syntax)
    parts, first = cut(made, pieces)
    offsets = starts(parts)
    dataset = image(1, side=64, NumberOfFrames=COUNT)
    dataset.PixelData = encapsulated(parts, TABLES[table]([offsets[index] for index in first]))
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset = pydicom.dcmread(io.BytesIO(as_bytes(dataset)))
    for index, frame in enumerate(frames.split(dataset)):
        assert np.array_equal(codecs.stored_values(frame), values[index])
        # A stream ends with its own mark: the byte that makes it even is no harm.
        assert web_frames.stored_frame(dataset, index).startswith(made[index])
        assert np.array_equal(np.frombuffer(web_frames.plain_frame(dataset, index), "<u2"), values[index].ravel())


@pytest.mark.parametrize("wrong", ["right", "zeros", "shifted", "short"])
def test_frames_are_found_whatever_the_extended_offset_table_says(wrong: str) -> None:
    _, made = streams(JPEG2000Lossless)
    made[0] += b"" if len(made[0]) % 2 else b"\xd9"  # odd, so that its fragment has a byte more
    data, table, _ = encapsulate_extended(made)
    lengths = struct.pack(f"<{COUNT}Q", *map(len, made))  # without the byte that makes them even
    offsets = list(struct.unpack(f"<{COUNT}Q", table))
    changed = {"right": offsets, "zeros": [0] * COUNT, "shifted": [at + 4 for at in offsets], "short": offsets[:1]}
    table = struct.pack(f"<{len(changed[wrong])}Q", *changed[wrong])
    found = fragments.frames(data, COUNT, (table, lengths))
    assert [fragments.joined(data, spans) for spans in found] == made
    if wrong == "right":  # without marks the table is what tells
        blank = [b"\1" * len(each) for each in made]
        data, table, _ = encapsulate_extended(blank)
        assert [fragments.joined(data, spans) for spans in fragments.frames(data, COUNT, (table, lengths))] == blank


def test_a_table_tells_frames_apart_that_have_no_mark() -> None:
    parts = [b"aa", b"bb", b"cc", b"dd"]
    offsets = starts(parts)
    data = encapsulated(parts, [0, offsets[1], offsets[3]])
    found = fragments.frames(data, 3)
    assert [fragments.joined(data, spans) for spans in found] == [b"aa", b"bbcc", b"dd"]
    for table in ([0, 0, 0], [0, offsets[3], offsets[1]], [8, offsets[1], offsets[3]], []):
        with pytest.raises(ValueError, match="told apart"):
            fragments.frames(encapsulated(parts, table), 3)


@pytest.mark.parametrize("table", [[4], [0, 8], [0, 0], None])
def test_one_frame_in_several_fragments_with_a_wrong_table_is_read(table: list[int] | None, tmp_path: Path) -> None:
    values, made = streams(JPEG2000Lossless)
    parts, _ = cut(made[:1], 3)
    dataset = image(1, side=64, Modality="XC", WindowCenter=20, WindowWidth=40)
    dataset.PixelData = encapsulated(parts, table)
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    path = tmp_path / "a.dcm"
    path.write_bytes(as_bytes(dataset))
    assert np.array_equal(codecs.stored_values(pydicom.dcmread(path)), values[0])
    assert read_stills(path).frames[0].shape == (64, 64)


def test_of_a_file_that_is_cut_off_the_whole_frames_are_read() -> None:
    _, made = streams(JPEG2000Lossless)
    data = encapsulated(made[:2], [0, 8, 16])
    assert [fragments.joined(data, spans) for spans in fragments.frames(data, COUNT)] == [
        each + b"\0" * (len(each) % 2) for each in made[:2]
    ]


@pytest.mark.parametrize("data", [b"", item(b""), b"no item at all", b"\xfe\xff\x00\xe0\xff\xff\xff\xff"])
def test_what_is_not_encapsulated_is_refused(data: bytes) -> None:
    for total in (1, 3):
        with pytest.raises(ValueError):
            fragments.frames(data, total)
