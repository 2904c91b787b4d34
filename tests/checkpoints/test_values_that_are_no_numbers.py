"""Weights with NaN or infinity are refused by the tensor's name; damaged files beside them are one clear line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from gguf_writing import gguf, small_model, write_gguf
from safetensors.torch import load_file, save_file
from test_hf_folders import save

sys.path.insert(0, str(Path(__file__).parent.parent))
import tiny_checkpoint
from aris.checkpoints import load_model, open_checkpoint
from aris.checkpoints.checkpoint import read_json
from aris.checkpoints.export.quantize import Rounding, quantize_checkpoint
from aris.errors import CheckpointError


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("model.layers.3.mlp.down_proj.weight", r"language_model\.layers\.3\.mlp\.down_proj\.weight"),
        ("model.embed_tokens.weight", r"language_model\.embed_tokens\.weight"),
        ("model.norm.weight", r"language_model\.norm\.weight"),
    ],
)
def test_a_tensor_that_is_not_finite_is_named(theirs: str, ours: str, value: float, tmp_path: Path) -> None:
    save("text", tmp_path / "m")
    path = tmp_path / "m" / "model.safetensors"
    saved = {key: tensor.clone() for key, tensor in load_file(path).items()}
    saved[theirs].view(-1)[7] = value
    save_file(saved, path)
    opened = open_checkpoint(str(tmp_path / "m"))
    for dtype in (torch.float32, torch.bfloat16):  # mapped as it is, and converted
        with pytest.raises(CheckpointError, match=ours + " holds values that are no numbers"):
            load_model(opened, dtype=dtype)
    with pytest.raises(CheckpointError, match=r"no numbers"):
        load_model(opened, quantize="int8")
    with pytest.raises(CheckpointError, match=ours):
        quantize_checkpoint(opened, tmp_path / "out", Rounding("int8"))
    assert not (tmp_path / "out").exists()


def test_scales_of_coarse_blocks_too(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    write_gguf(small_model(vision=False), path, kind=gguf.GGMLQuantizationType.Q8_0)
    opened = open_checkpoint(str(path))
    load_model(opened, dtype=torch.float32, blocks=True)
    reader = gguf.GGUFReader(path, "r+")
    tensor = next(each for each in reader.tensors if each.name == "blk.2.ffn_up.weight")
    tensor.data.reshape(-1)[:2] = [0x00, 0x7E]  # the first block's scale, float16: NaN
    tensor.data.flush()
    del tensor, reader
    for blocks in (True, False):
        with pytest.raises(CheckpointError, match=r"layers\.2\.mlp\.up_proj\.weight holds values that are no numbers"):
            load_model(open_checkpoint(str(path)), dtype=torch.float32, blocks=blocks)


@pytest.mark.parametrize("name", ["calibration", "config", "preprocessor_config", "generation_config", "tokenizer"])
def test_json_nested_too_deep_is_one_line(name: str, tmp_path: Path) -> None:
    import aris

    folder = tiny_checkpoint.save(tmp_path / "m")
    (folder / f"{name}.json").write_text('{"a":' * 100_000 + "1" + "}" * 100_000)
    with pytest.raises(CheckpointError, match=rf"{name}\.json: not (readable|a readable)") as error:
        aris.load(folder, dtype="float32")
    assert "\n" not in str(error.value)
    if name == "calibration":
        with pytest.raises(CheckpointError, match="not readable as JSON"):
            read_json(folder / "calibration.json", missing_ok=True)
