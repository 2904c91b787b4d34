"""LayerNorm of a vision tower's rows, together with the bias of the product that is added to them next.

A matrix product can add its result to the rows (beta = 1) or a bias, not both; so the bias is added here, where the
rows pass anyway.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor, nn


@triton.jit
def _norm_kernel(x, out, weight, bias, ahead, eps, W: tl.constexpr, W_PADDED: tl.constexpr, AHEAD: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, W_PADDED)
    live = k < W
    value = tl.load(x + row * W + k, mask=live, other=0.0).to(tl.float32)
    centred = tl.where(live, value - tl.sum(value) / W, 0.0)
    factor = tl.rsqrt(tl.sum(centred * centred) / W + eps)
    scaled = centred * factor * tl.load(weight + k, mask=live, other=0.0).to(tl.float32)
    tl.store(out + row * W + k, scaled + tl.load(bias + k, mask=live, other=0.0).to(tl.float32), mask=live)
    if AHEAD:
        tl.store(x + row * W + k, value + tl.load(ahead + k, mask=live, other=0.0).to(tl.float32), mask=live)


def norm_ahead(x: Tensor, norm: nn.LayerNorm, ahead: Tensor | None) -> Tensor:
    """LayerNorm of rows (T, V), which then become x + ahead in place.

    Args:
        ahead: (V,); nothing is added without it.

    Returns:
        (T, V) of the same dtype; sums are in float32.
    """
    rows, width = x.shape
    out = x.new_empty(rows, width)
    padded = triton.next_power_of_2(width)
    _norm_kernel[(rows,)](
        x, out, norm.weight, norm.bias, norm.bias if ahead is None else ahead, norm.eps,
        W=width, W_PADDED=padded, AHEAD=ahead is not None, num_warps=4,
    )  # fmt: skip
    return out


def norm_ahead_reference(x: Tensor, norm: nn.LayerNorm, ahead: Tensor | None) -> Tensor:
    """The same in plain PyTorch."""
    out: Tensor = norm(x)
    if ahead is not None:
        x += ahead
    return out
