"""Weights that stay in 4 or 8 bits: NF4 folders, rounding while loading, and adapters on top of codes."""

from __future__ import annotations

import copy
from pathlib import Path

import packed_models
import pytest
import torch
from torch import nn

from aris.checkpoints import Checkpoint, load_adapter, load_model, open_checkpoint, save_adapter
from aris.errors import CheckpointError
from aris.model import (
    LoRALinear,
    LoRAQuantized,
    MedGemma,
    QuantizedEmbedding,
    QuantizedLinear,
    attach_lora,
)
from imported_late import bitsandbytes
from quantized_models import quantize_model

IDS = torch.randint(0, 300, (1, 24), generator=torch.Generator().manual_seed(1))


def dense_twin(model: MedGemma) -> MedGemma:
    """The dense model that a quantised one's codes stand for, in float32."""
    twin = packed_models.network()
    for name, module in model.named_modules():
        if isinstance(module, QuantizedLinear | QuantizedEmbedding):
            twin.get_submodule(name).weight.data = module.dequantized()
    twin.load_state_dict({n: p.float() for n, p in model.named_parameters()}, strict=False)
    return twin


def nbytes(model: MedGemma) -> int:
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))


@pytest.mark.parametrize("nested", [True, False])
def test_nf4_stays_in_four_bits_and_means_what_bitsandbytes_says(nested: bool, tmp_path: Path) -> None:
    bitsandbytes()
    folder = packed_models.save_nf4(packed_models.network(), tmp_path / "nf4", nested=nested)
    checkpoint = open_checkpoint(str(folder))
    packed = load_model(checkpoint, dtype=torch.float32, packed=True)
    # test_bnb.py holds what `read` gives against bitsandbytes itself.
    dense = load_model(checkpoint, dtype=torch.float32)
    linear = [name for name, module in packed.named_modules() if isinstance(module, QuantizedLinear)]
    assert len(linear) == 2 * 7
    for name in linear:
        module, reference = packed.get_submodule(name), dense.get_submodule(name)
        assert isinstance(module, QuantizedLinear) and isinstance(reference, nn.Linear)
        assert module.format == "nf4" and module.group_size == 64
        assert module.qweight.numel() == module.in_features * module.out_features // 2
        assert torch.equal(module.dequantized(), reference.weight)
    with torch.inference_mode():
        assert torch.allclose(packed(IDS), dense(IDS), atol=1e-4)
        assert not torch.allclose(packed(IDS), packed_models.network()(IDS), atol=1e-2)


def test_fp4_has_no_packed_form_here_and_is_made_dense(tmp_path: Path) -> None:
    bitsandbytes()
    folder = packed_models.save_nf4(packed_models.network(), tmp_path / "fp4", kind="fp4", nested=False)
    model = load_model(open_checkpoint(str(folder)), packed=True)
    assert not any(isinstance(module, QuantizedLinear) for module in model.modules())


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_rounding_while_loading_equals_rounding_the_loaded_model(kind: str, tmp_path: Path) -> None:
    folder = packed_models.save(packed_models.network(), tmp_path / "plain")
    streamed = load_model(open_checkpoint(str(folder)), quantize=kind)
    whole = load_model(open_checkpoint(str(folder)))
    quantize_model(whole, kind)
    mine, other = streamed.state_dict(), whole.state_dict()
    assert mine.keys() == other.keys()
    assert all(torch.equal(mine[name], other[name]) for name in mine)
    assert nbytes(streamed) < 0.6 * nbytes(load_model(open_checkpoint(str(folder))))


def adapter(folder: Path) -> Path:
    adapted = packed_models.network()
    attach_lora(adapted, lambda name: name.endswith(("q_proj", "down_proj")), r=4, alpha=8)
    for module in adapted.modules():
        if isinstance(module, LoRALinear):
            nn.init.normal_(module.lora_A.weight, std=0.1)
            nn.init.normal_(module.lora_B.weight, std=0.1)
    save_adapter(adapted, folder)
    return folder


@pytest.mark.parametrize("kind", ["int8", "int4", "nf4"])
@torch.inference_mode()
def test_an_adapter_on_codes_scores_as_on_the_dense_matrices(kind: str, tmp_path: Path) -> None:
    lora = adapter(tmp_path / "lora")
    if kind == "nf4":
        bitsandbytes()
        folder = packed_models.save_nf4(packed_models.network(), tmp_path / "nf4")
        model = load_model(open_checkpoint(str(folder)), dtype=torch.float32, packed=True)
    else:
        folder = packed_models.save(packed_models.network(), tmp_path / "plain")
        model = load_model(open_checkpoint(str(folder)), dtype=torch.float32, quantize=kind)
    twin, before = dense_twin(model), model(IDS)
    assert load_adapter(model, lora).applied == load_adapter(twin, lora).applied == 4
    assert sum(isinstance(module, LoRAQuantized) for module in model.modules()) == 4
    assert torch.allclose(model(IDS), twin(IDS), atol=1e-4)
    assert not torch.allclose(model(IDS), before, atol=1e-2)
    with pytest.raises(CheckpointError, match="has an adapter already"):
        load_adapter(model, lora)
    save_adapter(model, tmp_path / "again")
    other = copy.deepcopy(dense_twin(load_model(open_checkpoint(str(folder)), dtype=torch.float32)))
    load_adapter(other, tmp_path / "again")


def test_a_models_own_adapter_is_folded_in_before_rounding(tmp_path: Path) -> None:
    lora = adapter(tmp_path / "lora")
    plain = open_checkpoint(str(packed_models.save(packed_models.network(), tmp_path / "plain")))
    own = Checkpoint(plain.name, plain.config, plain.entries, plain.tokenizer, adapters=(lora,))
    merged = load_model(own, dtype=torch.float32)
    reference = load_model(plain, dtype=torch.float32)
    load_adapter(reference, lora)
    for name, module in reference.named_modules():
        if isinstance(module, LoRALinear):
            assert torch.equal(module.merged(), merged.get_submodule(name).weight)
    quantize_model(merged, "int4")
    rounded = load_model(own, dtype=torch.float32, quantize="int4")
    assert all(torch.equal(value, merged.state_dict()[name]) for name, value in rounded.state_dict().items())
