"""Quantised weights: what they stand for, how far they are off, and a whole model on them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from aris.errors import ModelError
from aris.model import (
    MedGemma,
    MedGemmaConfig,
    QuantizedEmbedding,
    QuantizedLinear,
    TextConfig,
)
from aris.model.quantized import dequantize, pack, quantize_int4, quantize_int8, unpack
from quantized_models import quantize_model


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 5), groups=st.integers(1, 4), group=st.sampled_from([2, 32, 64]), seed=st.integers(0, 9999)
)
def test_packing_is_reversible(rows: int, groups: int, group: int, seed: int) -> None:
    codes = torch.randint(0, 16, (rows, groups * group), generator=torch.Generator().manual_seed(seed))
    codes = codes.to(torch.uint8)
    packed = pack(codes, group)
    assert packed.shape == (rows, groups * group // 2)
    assert torch.equal(unpack(packed, group), codes)
    # Byte j of a group holds columns j and j + g/2.
    assert int(packed[0, 0]) == int(codes[0, 0]) + 16 * int(codes[0, group // 2])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999), spread=st.sampled_from([1e-3, 1.0, 100.0]), group=st.sampled_from([None, 32]))
def test_int8_is_off_by_half_a_step_at_most(seed: int, spread: float, group: int | None) -> None:
    weight = torch.randn(7, 64, generator=torch.Generator().manual_seed(seed)) * spread
    codes, scale = quantize_int8(weight, group)
    back = dequantize("int8", codes, scale, None, group or 64)
    step = scale.repeat_interleave(group or 64, 1)
    assert bool(((back - weight).abs() <= step * 0.5001).all())


def test_int4_is_close_and_clipping_lowers_the_error() -> None:
    torch.manual_seed(1)
    weight = torch.randn(64, 256)
    packed, scale, minimum = quantize_int4(weight, 64)
    error = (dequantize("int4", packed, scale, minimum, 64) - weight).square().mean()
    groups = weight.view(64, 4, 64)
    low, high = groups.amin(2, keepdim=True), groups.amax(2, keepdim=True)
    step = (high - low) / 15
    plain = ((torch.round((groups - low) / step) * step + low) - groups).square().mean()
    assert error < 0.98 * plain
    assert error < 0.012


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_constant_and_zero_rows(kind: str) -> None:
    linear = nn.Linear(64, 2, bias=False)
    linear.weight.data = torch.stack([torch.zeros(64), torch.full((64,), 0.5)])
    quantized = QuantizedLinear.from_linear(linear, kind)
    assert torch.allclose(quantized.dequantized(), linear.weight, atol=2e-3)


def test_nf4_stands_for_its_table() -> None:
    codes = torch.arange(16, dtype=torch.uint8).repeat(4)[None]
    weight = dequantize("nf4", pack(codes, 64), torch.tensor([[2.0]]), None, 64)
    assert float(weight[0, 0]) == -2.0 and float(weight[0, 15]) == 2.0 and float(weight[0, 7]) == 0.0


@pytest.mark.parametrize(("kind", "group"), [("int8", None), ("int8", 32), ("int4", 64), ("int4", 32)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_product_is_that_of_the_matrix_it_stands_for(kind: str, group: int | None, dtype: torch.dtype) -> None:
    torch.manual_seed(2)
    linear = nn.Linear(128, 24, bias=False)
    quantized = QuantizedLinear.from_linear(linear, kind, group)
    x = torch.randn(2, 5, 128).to(dtype)
    wanted = F.linear(x.float(), quantized.dequantized())
    tolerance = 1e-6 if dtype == torch.float32 else 1e-2
    assert float((quantized(x).float() - wanted).norm() / wanted.norm()) < tolerance


def model() -> MedGemma:
    torch.manual_seed(3)
    text = TextConfig(
        vocab_size=300, hidden_size=128, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=64, query_pre_attn_scalar=64, sliding_window=8,
        layer_types=("sliding_attention", "full_attention"),
    )  # fmt: skip
    made = MedGemma(MedGemmaConfig(text)).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.1)
    return made


@pytest.mark.parametrize(("kind", "head"), [("int8", None), ("int4", None), ("int4", "int4"), ("int4", "keep")])
@torch.inference_mode()
def test_a_model_equals_the_one_whose_weights_its_codes_stand_for(kind: str, head: str | None) -> None:
    quantized = model()
    before = sum(parameter.nbytes for parameter in quantized.parameters())
    count = quantize_model(quantized, kind, head=head)
    assert count == 2 * 7 + (head != "keep")
    tensors = [*quantized.parameters(), *quantized.buffers()]
    if head != "keep":
        assert sum(tensor.nbytes for tensor in tensors) < before * (0.3 if kind == "int8" else 0.27)
    dense = model()
    for name, module in quantized.named_modules():
        if isinstance(module, QuantizedLinear | QuantizedEmbedding):
            dense.get_submodule(name).weight.data = module.dequantized()
    ids = torch.randint(0, 300, (1, 30))
    assert torch.allclose(quantized(ids), dense(ids), atol=1e-5)
    assert quantized.dtype == torch.float32 and quantized.device.type == "cpu"
    # It is not the model that it was made of.
    assert not torch.allclose(quantized(ids), model()(ids), atol=1e-5)


def test_what_cannot_be_quantised_is_said() -> None:
    with pytest.raises(ModelError, match="groups of 64 do not divide rows of 100"):
        QuantizedLinear.from_linear(nn.Linear(100, 4, bias=False), "int4")
    with pytest.raises(ModelError, match="without a bias"):
        QuantizedLinear.from_linear(nn.Linear(64, 4), "int8")
    with pytest.raises(ModelError, match="int3"):
        QuantizedLinear.from_linear(nn.Linear(64, 4, bias=False), "int3")
