"""NF4 with double quantisation to a dense matrix, in one pass: what training does before each product."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from aris.kernels.gpu.weights import NF4_VALUES

# Columns that share a scale, and scales that share a factor (QLoRA, arXiv 2305.14314, section 3).
GROUP, SCALE_BLOCK = 64, 256
_GROUPS = 64  # of a program
_tables: dict[tuple[torch.device, torch.dtype], Tensor] = {}


@triton.jit
def _dequantise_kernel(
    codes, scale_codes, factor, mean, table, dense, count,
    GROUP: tl.constexpr, SCALE_BLOCK: tl.constexpr, GROUPS: tl.constexpr,
):
    group = tl.program_id(0).to(tl.int64) * GROUPS + tl.arange(0, GROUPS)
    live = group < count
    kind = dense.dtype.element_ty
    scale = tl.load(scale_codes + group, mask=live, other=0).to(tl.float32)
    scale = scale * tl.load(factor + group // SCALE_BLOCK, mask=live, other=0.0) + tl.load(mean)
    scale = scale.to(kind).to(tl.float32)
    byte = tl.arange(0, GROUP // 2)
    packed = tl.load(codes + group[:, None] * (GROUP // 2) + byte[None, :], mask=live[:, None], other=0).to(tl.int32)
    at = dense + group[:, None] * GROUP + byte[None, :]
    low = tl.load(table + (packed & 15)).to(tl.float32) * scale[:, None]
    high = tl.load(table + (packed >> 4)).to(tl.float32) * scale[:, None]
    tl.store(at, low.to(kind), mask=live[:, None])
    tl.store(at + GROUP // 2, high.to(kind), mask=live[:, None])


def dequantise_nf4(codes: Tensor, scale_codes: Tensor, factor: Tensor, mean: Tensor, dtype: torch.dtype) -> Tensor:
    """The dense matrix (out, in); values and scales are rounded to `dtype` before they are multiplied.

    Args:
        codes: uint8 (out, in/2); inside each group of 64, byte j holds column j low and column j + 32 high.
        scale_codes: int8 (out, in/64).
        factor: float32, one for every 256 scales in order.
        mean: float32 (), added to every scale.
    """
    key = (codes.device, dtype)
    if key not in _tables:
        _tables[key] = torch.tensor(NF4_VALUES, dtype=dtype, device=codes.device)
    dense = torch.empty(codes.shape[0], codes.shape[1] * 2, dtype=dtype, device=codes.device)
    groups = scale_codes.numel()
    _dequantise_kernel[(triton.cdiv(groups, _GROUPS),)](
        codes, scale_codes, factor, mean, _tables[key], dense, groups,
        GROUP=GROUP, SCALE_BLOCK=SCALE_BLOCK, GROUPS=_GROUPS,
    )  # fmt: skip
    return dense
