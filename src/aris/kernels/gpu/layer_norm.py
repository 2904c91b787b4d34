"""LayerNorm of a vision tower's rows, from which the biases of earlier products were left out.

A matrix product can add its result to the rows (beta = 1) or a bias, not both. The biases are the same for all rows, so
their sum so far is added here, where the rows pass anyway, and the rows are left as they are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor, nn


@triton.jit
def _norm_kernel(x, shift, out, weight, bias, eps, W: tl.constexpr, W_PADDED: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, W_PADDED)
    live = k < W
    value = tl.load(x + row * W + k, mask=live, other=0.0).to(tl.float32) + tl.load(shift + k, mask=live, other=0.0)
    centred = tl.where(live, value - tl.sum(value) / W, 0.0)
    factor = tl.rsqrt(tl.sum(centred * centred) / W + eps)
    scaled = centred * factor * tl.load(weight + k, mask=live, other=0.0).to(tl.float32)
    tl.store(out + row * W + k, scaled + tl.load(bias + k, mask=live, other=0.0).to(tl.float32), mask=live)


def shifted_norm(x: Tensor, shift: Tensor, norm: nn.LayerNorm) -> Tensor:
    """LayerNorm of x + shift, computed in float32.

    Args:
        x: rows (T, V).
        shift: (V,) float32.

    Returns:
        (T, V) of x's dtype.
    """
    rows, width = x.shape
    out = torch.empty_like(x)
    _norm_kernel[(rows,)](
        x, shift, out, norm.weight, norm.bias, norm.eps, W=width, W_PADDED=triton.next_power_of_2(width), num_warps=4
    )
    return out


def shifted_norm_reference(x: Tensor, shift: Tensor, norm: nn.LayerNorm) -> Tensor:
    """The same in plain PyTorch."""
    weight, bias = norm.weight.float(), norm.bias.float()
    return F.layer_norm(x.float() + shift, norm.normalized_shape, weight, bias, norm.eps).to(x.dtype)
