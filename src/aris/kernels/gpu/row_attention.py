"""Attention of one decode row by a CUDA C++ kernel (`decode_attention.cu`), for NVIDIA GPUs from 9.0 on.

A single row is bound by a chain of dependent trips, not by the keys it reads. Thread blocks that join their results
through each other's shared memory have the shortest one; Triton has only memory for that.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from aris.kernels.gpu.cuda_source import kernel, why_not
from aris.kernels.gpu.device import processors

_SHARED = 8 * 3 * 4 * 1024


def can_attend(head_dim: int, heads: int, kv_heads: int, dtype: torch.dtype) -> bool:
    """Return whether this machine has the kernel for these shapes."""
    groups = heads // kv_heads
    fits = head_dim in (128, 256) and groups in (1, 2, 4, 8) and dtype == torch.bfloat16
    return fits and not why_not() and torch.cuda.get_device_capability() >= (9, 0)


@functools.cache
def clusters(kv_heads: int, device: int) -> int:
    """Clusters of 8 thread blocks a key head, at most: as many as keep the device busy with long contexts."""
    return max(1, processors(device) // (8 * kv_heads))


def workspace(heads: int, kv_heads: int, head_dim: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Allocate the workspace of `attend_row`: results and sums (float32), and counters (int32 zeros, left zero)."""
    most = clusters(kv_heads, device.index or 0)
    return (
        torch.zeros(heads * head_dim * most, device=device),
        torch.zeros(kv_heads * 8 * most * 2, device=device),
        torch.zeros(kv_heads * 8, dtype=torch.int32, device=device),
    )


def attend_row(
    out: Tensor,
    pool: tuple[Tensor, Tensor],
    positions: Tensor,
    slots: Tensor,
    *,
    scale: float,
    space: tuple[Tensor, Tensor, Tensor],
    qkv: Tensor,
    norms: tuple[Tensor, Tensor],
    rope: tuple[Tensor, Tensor],
    window: int | None = None,
    tables: Tensor | None = None,
    eps: float = 1e-6,
    pdl: bool = False,
) -> None:
    """`decode_attention` of one row, `out` (1, H, D) bfloat16, from raw projections; the newest position is written.

    Args:
        space: what `workspace` makes.
        pool, positions, slots, qkv, norms, rope, window, tables, eps: as for `decode_attention`.
    """
    _, heads, dim = out.shape
    key, value = pool
    kv_heads, device = key.shape[2], out.device.index or 0
    most = clusters(kv_heads, device)
    program = kernel("decode_attention.cu", "attend", device, D=dim, G=heads // kv_heads, CLUSTERS=most, WARPS=8, GS=1)
    program.launch(
        (8 * most, kv_heads, 1), 256, _SHARED,
        (qkv, *norms, *rope, key, value, tables, slots, positions, *space, out,
         kv_heads, key.shape[1], window or 0, 64 if window else key.shape[1], float(scale), float(eps)),
        pdl=pdl,
    )  # fmt: skip
