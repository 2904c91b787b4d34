"""bitsandbytes' 4-bit weights against bitsandbytes itself, on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from aris.checkpoints import bnb
from aris.checkpoints.hf import SafetensorsFile
from aris.errors import CheckpointError

functional = pytest.importorskip("bitsandbytes.functional")


def quantised(folder: Path, kind: str, nested: bool, drop: str = "") -> tuple[torch.Tensor, dict[str, SafetensorsFile]]:
    # Rows are whole blocks: bitsandbytes' CPU kernel misplaces scales where a block crosses into the next row.
    weight = torch.randn(48, 128, generator=torch.Generator().manual_seed(3)).to(torch.bfloat16)
    packed, state = functional.quantize_4bit(weight, blocksize=64, quant_type=kind, compress_statistics=nested)
    reference = functional.dequantize_4bit(packed, state)
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
    packed, state = functional.quantize_4bit(weight, blocksize=64, quant_type=kind, compress_statistics=False)
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
