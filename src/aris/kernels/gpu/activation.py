"""GeGLU's activation: gelu(gate) * up with the tanh approximation, in one pass over the two halves."""

from __future__ import annotations

import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def gelu(x):
    """GELU of float32 values, tanh approximation; tanh(u) = 1 - 2 / (exp(2u) + 1) cannot overflow to NaN."""
    u = 0.7978845608028654 * (x + 0.044715 * x * x * x)
    return 0.5 * x * (2.0 - 2.0 / (tl.exp(2.0 * u) + 1.0))


@triton.jit
def _gated_kernel(both, out, COLUMNS, BLOCK: tl.constexpr):
    row = tl.program_id(1).to(tl.int64)
    k = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = k < COLUMNS
    gate = tl.load(both + row * 2 * COLUMNS + k, mask=live, other=0.0).to(tl.float32)
    up = tl.load(both + row * 2 * COLUMNS + COLUMNS + k, mask=live, other=0.0).to(tl.float32)
    # Rounded where the plain network rounds: after the activation, and after the product.
    tl.store(out + row * COLUMNS + k, gelu(gate).to(out.dtype.element_ty).to(tl.float32) * up, mask=live)


def gated(both: Tensor) -> Tensor:
    """Rows (T, 2F), gate then up, to gelu(gate) * up (T, F) in the same dtype."""
    rows, width = both.shape
    out = both.new_empty(rows, width // 2)
    block = 1024
    _gated_kernel[(triton.cdiv(width // 2, block), rows)](both, out, width // 2, BLOCK=block, num_warps=4)
    return out


def gated_reference(both: Tensor) -> Tensor:
    """The same in plain PyTorch."""
    gate, up = both.chunk(2, dim=-1)
    return F.gelu(gate, approximate="tanh") * up


__all__ = ["gated", "gated_reference", "gelu"]
