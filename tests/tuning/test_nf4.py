"""NF4 with double quantisation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from aris.errors import ModelError
from aris.kernels.gpu.weights import NF4_VALUES
from aris.model.quantized import dequantize
from aris.tuning.layers.nf4 import GROUP, NF4Linear, quantize_nf4, quantize_scales, restore_scales


def test_each_value_goes_to_the_nearest_code() -> None:
    weight = torch.randn(48, 256, generator=torch.Generator().manual_seed(0))
    codes, scale = quantize_nf4(weight)
    assert codes.shape == (48, 128) and codes.dtype == torch.uint8
    back = dequantize("nf4", codes, scale, None, GROUP)
    ratio = (weight.view(48, -1, GROUP) / scale[..., None]).view(-1, 1)
    nearest = (ratio - torch.tensor(NF4_VALUES)).abs().amin(1)
    error = ((back - weight).view(48, -1, GROUP) / scale[..., None]).abs().view(-1)
    torch.testing.assert_close(error, nearest, rtol=0, atol=1e-6)


def test_scales_are_kept_in_eight_bits_and_the_size_is_what_the_paper_says() -> None:
    generator = torch.Generator().manual_seed(1)
    scale = torch.rand(100, 37, generator=generator) + 0.5
    codes, factor, mean = quantize_scales(scale)
    assert codes.dtype == torch.int8 and len(factor) == -(-3700 // 256)
    assert (restore_scales(codes, factor, mean) - scale).abs().max() <= factor.max() / 2 + 1e-6
    layer = NF4Linear.from_linear(nn.Linear(2048, 512, bias=False))
    bits = sum(buffer.numel() * buffer.element_size() for buffer in layer.buffers()) * 8 / (2048 * 512)
    assert 4.12 < bits < 4.13


def test_a_layer_keeps_its_bias_and_zero_rows_and_refuses_odd_widths() -> None:
    linear = nn.Linear(128, 64)
    with torch.no_grad():
        linear.weight[:3] = 0
    x = torch.randn(4, 128, requires_grad=True)
    layer = NF4Linear.from_linear(linear)
    dense = layer.dequantized(torch.float32)
    assert (dense[:3] == 0).all()
    layer(x).square().sum().backward()
    expected = torch.autograd.grad(F.linear(x, dense, linear.bias).square().sum(), x)[0]
    torch.testing.assert_close(x.grad, expected)
    with pytest.raises(ModelError, match="64"):
        quantize_nf4(torch.zeros(4, 96))
