"""GGUF files that are damaged, foreign or odd: one clear line each, and nothing but a `CheckpointError` escapes."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import torch
from gguf_writing import small_model, write_gguf
from hypothesis import given, settings
from hypothesis import strategies as st

from aris.checkpoints import load_model, open_checkpoint
from aris.checkpoints.gguf import gemma
from aris.checkpoints.gguf.reading import GGUFFile
from aris.errors import CheckpointError
from aris.model import MedGemma


def test_damage_and_foreign_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    with pytest.raises(CheckpointError, match="no such"):
        open_checkpoint(str(path))
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="empty"):
        open_checkpoint(str(path))
    path.write_bytes(b"hello, this is not a model at all")
    with pytest.raises(CheckpointError, match="not a GGUF file"):
        open_checkpoint(str(path))
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 9, 0, 0) + bytes(20))
    with pytest.raises(CheckpointError, match="version 9"):
        open_checkpoint(str(path))
    write_gguf(small_model(vision=False), path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 5000])
    with pytest.raises(CheckpointError, match="truncated"):
        open_checkpoint(str(path))
    path.write_bytes(data.replace(b"gemma3", b"llama3"))
    with pytest.raises(CheckpointError, match=r"llama3.*Gemma 3"):
        open_checkpoint(str(path))
    path.write_bytes(data.replace(b"blk.2.ffn_up", b"blk.2.ffn_zz"))
    with pytest.raises(CheckpointError, match="not part of Gemma 3"):
        load_model(open_checkpoint(str(path)))


def test_a_shard_a_big_endian_file_and_overlapping_tensors_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write_gguf(small_model(vision=False), path, extra={"split.count": 3})
    with pytest.raises(CheckpointError, match=r"one of 3 shards.*--merge"):
        open_checkpoint(str(path))
    path.write_bytes(b"GGUF" + struct.pack(">IQQ", 3, 0, 0) + bytes(20))
    with pytest.raises(CheckpointError, match="big-endian"):
        open_checkpoint(str(path))
    write_gguf(small_model(vision=False), path)
    data = path.read_bytes()
    second = GGUFFile(path).tensors["blk.0.attn_q.weight"].offset
    # The offset is the last field of a tensor's entry: name, dimensions, shape, type, offset.
    at = data.index(b"blk.0.attn_q.weight") + len(b"blk.0.attn_q.weight") + 4 + 16 + 4
    assert struct.unpack_from("<Q", data, at) == (second,)
    path.write_bytes(data[:at] + struct.pack("<Q", second - 32) + data[at + 8 :])
    with pytest.raises(CheckpointError, match="overlaps"):
        open_checkpoint(str(path))


@pytest.fixture(scope="module")
def good_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    write_gguf(small_model(vision=False), path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def good_file(good_bytes: bytes, tmp_path_factory: pytest.TempPathFactory) -> GGUFFile:
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    path.write_bytes(good_bytes)
    return GGUFFile(path)


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_flipped_bytes_in_the_header_raise_nothing_but_checkpoint_errors(
    data: st.DataObject, good_bytes: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "model.gguf"
    damaged = bytearray(good_bytes)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, 5000))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(damaged)[: data.draw(st.sampled_from([len(damaged), 900, 3000]))])
    try:
        load_model(open_checkpoint(str(path)))
    except CheckpointError as error:
        assert "\n" not in str(error)


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.integers(2**31, 2**64),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(0, 1), max_size=8),
)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_odd_metadata_raises_nothing_but_checkpoint_errors(data: st.DataObject, good_file: GGUFFile) -> None:
    good = dict(good_file.metadata)
    key = data.draw(st.sampled_from(sorted(good)))
    good_file.metadata[key] = data.draw(ODD)
    try:
        config = gemma.config(good_file, None)
        gemma.vocabulary(good_file)
        with torch.device("meta"):
            MedGemma(config)
    except CheckpointError as error:
        assert "\n" not in str(error)
    finally:
        good_file.metadata.update(good)
