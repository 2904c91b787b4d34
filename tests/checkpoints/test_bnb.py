"""bitsandbytes' 4-bit weights against bitsandbytes itself, on the CPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_hf_folders import save

from aris.checkpoints import load_model, open_checkpoint
from aris.checkpoints.quantized import bnb
from aris.checkpoints.safetensors_file import SafetensorsFile
from aris.errors import CheckpointError
from imported_late import bitsandbytes


def quantised(folder: Path, kind: str, nested: bool, drop: str = "") -> tuple[torch.Tensor, dict[str, SafetensorsFile]]:
    # Rows are whole blocks: bitsandbytes' CPU kernel misplaces scales where a block crosses into the next row.
    weight = torch.randn(48, 128, generator=torch.Generator().manual_seed(3)).to(torch.bfloat16)
    packed, state = bitsandbytes().quantize_4bit(weight, blocksize=64, quant_type=kind, compress_statistics=nested)
    reference = bitsandbytes().dequantize_4bit(packed, state)
    tensors = {"x.weight": packed} | {f"x.weight.{name}": value for name, value in state.as_dict(packed=True).items()}
    tensors = {name: value.contiguous() for name, value in tensors.items() if not (drop and drop in name)}
    save_file(tensors, folder / "model.safetensors")
    file = SafetensorsFile(folder / "model.safetensors")
    return reference, dict.fromkeys(file, file)


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize("nested", [True, False])
def test_values_equal_bitsandbytes(kind: str, nested: bool, tmp_path: Path) -> None:
    reference, files = quantised(tmp_path, kind, nested)
    packed = bnb.find("x.weight", files)
    assert packed is not None and packed.shape == (48, 128)
    # Their CPU kernel multiplies in another order than their GPU's: within one rounding of bfloat16.
    assert torch.allclose(packed.read(torch.bfloat16).float(), reference.float(), rtol=2**-7, atol=0)
    assert all(bnb.is_statistic(name) for name in files if name != "x.weight")


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_blocks_that_cross_rows_are_read_right(kind: str, tmp_path: Path) -> None:
    weight = torch.randn(10, 96, generator=torch.Generator().manual_seed(4))
    packed, state = bitsandbytes().quantize_4bit(weight, blocksize=64, quant_type=kind, compress_statistics=False)
    tensors = {"x.weight": packed} | {f"x.weight.{name}": value for name, value in state.as_dict(packed=True).items()}
    save_file({name: value.contiguous() for name, value in tensors.items()}, tmp_path / "model.safetensors")
    file = SafetensorsFile(tmp_path / "model.safetensors")
    found = bnb.find("x.weight", dict.fromkeys(file, file))
    assert found is not None
    # The definition: each value is the level nearest to it, times its block's largest magnitude.
    blocks = weight.view(-1, 64)
    largest = blocks.abs().amax(1, keepdim=True)
    levels = state.code
    nearest = levels[(blocks[..., None] / largest[..., None] - levels).abs().argmin(-1)] * largest
    assert torch.allclose(found.read(torch.float32).view(-1, 64), nearest, atol=1e-5)


def test_missing_statistics_are_named(tmp_path: Path) -> None:
    _, files = quantised(tmp_path, "nf4", True, drop="nested_absmax")
    packed = bnb.find("x.weight", files)
    assert packed is not None
    with pytest.raises(CheckpointError, match=r"x\.weight: nested_absmax is missing"):
        packed.read(torch.bfloat16)


def packed(weight: torch.Tensor, name: str, kind: str, nested: bool) -> dict[str, torch.Tensor]:
    codes, state = bitsandbytes().quantize_4bit(weight, blocksize=64, quant_type=kind, compress_statistics=nested)
    parts = {name: codes} | {f"{name}.{part}": value for part, value in state.as_dict(packed=True).items()}
    return {key: value.contiguous() for key, value in parts.items()}


@pytest.mark.parametrize(("kind", "nested"), [("nf4", True), ("fp4", False)])
def test_a_prequantised_folder_loads(kind: str, nested: bool, tmp_path: Path) -> None:
    """As transformers saves one: linear layers of decoder and tower in four bits, the rest as it was."""
    save("multimodal", tmp_path)
    saved = {k: v.to(torch.bfloat16) for k, v in load_file(tmp_path / "model.safetensors").items()}
    tensors, expected = {}, {}
    for name, tensor in saved.items():
        if name.endswith("proj.weight") and tensor.numel() % 64 == 0:
            tensors |= packed(tensor, name, kind, nested)
            file = tmp_path / "one.safetensors"
            save_file(packed(tensor, name, kind, nested), file)
            one = SafetensorsFile(file)
            found = bnb.find(name, dict.fromkeys(one, one))
            assert found is not None
            expected[name] = found.read(torch.float32)
        else:
            tensors[name] = expected[name] = tensor
    assert len(tensors) > len(saved) + 100
    save_file(expected, tmp_path / "model.safetensors")
    plain = load_model(open_checkpoint(str(tmp_path)), dtype=torch.float32).state_dict()
    save_file(tensors, tmp_path / "model.safetensors")
    config = json.loads((tmp_path / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": kind}
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = load_model(open_checkpoint(str(tmp_path)), dtype=torch.float32).state_dict()
    assert all(torch.equal(loaded[name], plain[name]) for name in plain)


def test_bytes_stored_as_another_dtype_are_read(tmp_path: Path) -> None:
    weight = torch.randn(4, 64, generator=torch.Generator().manual_seed(5))
    as_bytes = packed(weight, "x.weight", "nf4", False)
    as_bf16 = as_bytes | {"x.weight": as_bytes["x.weight"].flatten().view(torch.bfloat16)[:, None]}
    values = []
    for number, tensors in enumerate((as_bytes, as_bf16)):
        path = tmp_path / f"{number}.safetensors"
        save_file(tensors, path)
        file = SafetensorsFile(path)
        found = bnb.find("x.weight", dict.fromkeys(file, file))
        assert found is not None
        values.append(found.read(torch.float32))
    assert torch.equal(*values)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("", torch.zeros(7, 1, dtype=torch.uint8)),
        (".absmax", torch.zeros(3, dtype=torch.uint8)),
        (".quant_map", torch.zeros(15)),
        (".nested_quant_map", torch.zeros(100)),
        (".nested_absmax", torch.zeros(9)),
    ],
)
def test_parts_that_do_not_fit_are_named(part: str, value: torch.Tensor, tmp_path: Path) -> None:
    tensors = packed(torch.randn(8, 64), "x.weight", "nf4", True)
    save_file(tensors | {f"x.weight{part}": value}, tmp_path / "model.safetensors")
    file = SafetensorsFile(tmp_path / "model.safetensors")
    found = bnb.find("x.weight", dict.fromkeys(file, file))
    assert found is not None
    with pytest.raises(CheckpointError, match=r"x\.weight: its quantised parts do not fit"):
        found.read(torch.float32)


@pytest.mark.parametrize("state", [b"[]", b"{not json", b'{"shape": [8, 64], "blocksize": 0}', b'{"blocksize": 64}'])
def test_a_damaged_description_is_named(state: bytes, tmp_path: Path) -> None:
    tensors = packed(torch.randn(8, 64), "x.weight", "nf4", True)
    key = next(name for name in tensors if "quant_state" in name)
    tensors[key] = torch.frombuffer(bytearray(state), dtype=torch.uint8)
    save_file(tensors, tmp_path / "model.safetensors")
    file = SafetensorsFile(tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"x\.weight: its quantisation.s description is damaged"):
        bnb.find("x.weight", dict.fromkeys(file, file))
