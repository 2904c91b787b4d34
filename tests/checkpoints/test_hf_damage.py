"""Hugging Face folders that are damaged, foreign or incomplete: one line each, and only `CheckpointError` escapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from test_hf_folders import save

from aris.checkpoints import open_checkpoint
from aris.checkpoints.configs import read_config
from aris.checkpoints.safetensors_file import SafetensorsFile
from aris.errors import CheckpointError
from aris.model import MedGemma


def test_damaged_folders_get_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such model"):
        open_checkpoint(str(tmp_path / "nowhere"))
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        open_checkpoint(str(tmp_path))
    save("text", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    with pytest.raises(CheckpointError, match=r"'llama'.*Gemma 3"):
        open_checkpoint(str(tmp_path))
    (tmp_path / "config.json").write_text("{ not json")
    with pytest.raises(CheckpointError, match="not readable as JSON"):
        open_checkpoint(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = tmp_path / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match="truncated"):
        open_checkpoint(str(tmp_path))
    weights.unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(CheckpointError, match="pickles"):
        open_checkpoint(str(tmp_path))


def test_a_missing_shard_and_an_index_that_escapes_are_refused(tmp_path: Path) -> None:
    save("text", tmp_path, max_shard_size="40KB")
    next(tmp_path.glob("model-00002*")).unlink()
    with pytest.raises(CheckpointError, match=r"model-00002.*missing"):
        open_checkpoint(str(tmp_path))
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"model.norm.weight": "../other/model.safetensors"}}))
    with pytest.raises(CheckpointError, match="not the name of a file beside it"):
        open_checkpoint(str(tmp_path))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.ckpt"])
def test_a_pickle_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04pickle")
    with pytest.raises(CheckpointError, match="can run code when read; convert"):
        open_checkpoint(str(tmp_path / name))


@pytest.mark.parametrize(
    ("quantization", "says"),
    [
        ({"quant_method": "gptq"}, "quantised by 'gptq'"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "8 bits"),
        (["odd"], "quantised by"),
    ],
)
def test_other_ways_of_quantising_are_refused(quantization: Any, says: str, tmp_path: Path) -> None:
    save("text", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"quantization_config": quantization}))
    with pytest.raises(CheckpointError, match=says):
        open_checkpoint(str(tmp_path))


def test_tensors_that_overlap_are_refused(tmp_path: Path) -> None:
    header = {
        "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
    }
    raw = json.dumps(header).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(12))
    with pytest.raises(CheckpointError, match="'b' overlaps"):
        SafetensorsFile(path)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}, "'a' does not have its size"),
        ({"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}, "truncated before the end of tensor 'a'"),
        ({"dtype": "F4", "shape": [2], "data_offsets": [0, 8]}, "'a' has dtype 'F4'"),
        ({"dtype": "F32", "shape": [-2], "data_offsets": [8, 0]}, "header is damaged"),
        ({"dtype": "F32", "shape": "22", "data_offsets": [0, 8]}, "header is damaged"),
    ],
)
def test_headers_that_cannot_be_are_refused(entry: dict[str, Any], says: str, tmp_path: Path) -> None:
    raw = json.dumps({"a": entry}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(8))
    with pytest.raises(CheckpointError, match=says):
        SafetensorsFile(path)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_safetensors_headers_raise_nothing_but_checkpoint_errors(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "model.safetensors"
    save_file({"a": torch.arange(6.0).view(2, 3), "b": torch.zeros(4, dtype=torch.bfloat16)}, path)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(raw)[: data.draw(st.integers(0, len(raw)))])
    try:
        file = SafetensorsFile(path)
        for name in file:
            file.tensor(name)
    except CheckpointError as error:
        assert "\n" not in str(error)


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-3, 3), st.integers(2**31, 2**70), st.floats(), st.text(max_size=5)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def good_config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("good")
    save("multimodal", folder)
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return config


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_odd_configurations_raise_nothing_but_checkpoint_errors(
    data: st.DataObject, good_config: dict[str, Any]
) -> None:
    config = json.loads(json.dumps(good_config))
    part = data.draw(st.sampled_from([config, config["text_config"], config["vision_config"]]))
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(JSON)
    try:
        shape = read_config(config, "here")
        with torch.device("meta"):
            MedGemma(shape)
    except CheckpointError as error:
        assert "\n" not in str(error)
