"""Flash attention (arXiv 2307.08691) over visible ranges, for prompts: each query sees keys `first` to `last`.

The ranges of `model/attention.py` say all that Gemma 3 asks for: causal, sliding window, images seen whole. Tiles that
every query of a block sees whole are computed without a mask.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from aris.kernels.gpu.device import block_memory


@triton.jit
def _tiles(
    result, best, total, q, key, value, begin, end, kv_stride, KEYS, first, last, scale,
    D: tl.constexpr, D_PADDED: tl.constexpr, BLOCK_N: tl.constexpr, MASKED: tl.constexpr, PRECISION: tl.constexpr,
):
    d = tl.arange(0, D_PADDED)
    for start in tl.range(begin, end, BLOCK_N):
        n = start + tl.arange(0, BLOCK_N)
        at = n.to(tl.int64)[:, None] * kv_stride + d[None, :]
        if MASKED or D != D_PADDED:
            there = (n < KEYS)[:, None] & (d < D)[None, :]
            k = tl.load(key + at, mask=there, other=0.0)
            v = tl.load(value + at, mask=there, other=0.0)
        else:
            k = tl.load(key + at)
            v = tl.load(value + at)
        score = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale
        if MASKED:
            seen = (n[None, :] >= first[:, None]) & (n[None, :] <= last[:, None])
            score = tl.where(seen, score, float("-inf"))
        top = tl.maximum(best, tl.max(score, 1))
        # A query that has seen nothing yet has top = -inf; its weights are 0, not NaN.
        safe = tl.where(top == float("-inf"), 0.0, top)
        p = tl.exp2(score - safe[:, None])
        shrink = tl.exp2(best - safe)
        total = total * shrink + tl.sum(p, 1)
        result = result * shrink[:, None]
        result = tl.dot(p.to(v.dtype), v, result, input_precision=PRECISION)
        best = top
    return result, best, total


@triton.jit
def _prefill_kernel(
    query, key, value, firsts, lasts, out, T, KEYS, q_stride, kv_stride, scale,
    H: tl.constexpr, KV: tl.constexpr, D: tl.constexpr, D_PADDED: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, RANGED: tl.constexpr, PRECISION: tl.constexpr,
):
    # Late blocks of queries see the most keys: they start first, so that none is left over at the end.
    block = tl.num_programs(0) - 1 - tl.program_id(0)
    head = tl.program_id(1)
    batch = tl.program_id(2).to(tl.int64)
    m = block * BLOCK_M + tl.arange(0, BLOCK_M)
    live = m < T
    d = tl.arange(0, D_PADDED)
    query += batch * T * q_stride + head * D
    key += batch * KEYS * kv_stride + (head // (H // KV)) * D
    value += batch * KEYS * kv_stride + (head // (H // KV)) * D
    keep = live[:, None] & (d < D)[None, :]
    q = tl.load(query + m.to(tl.int64)[:, None] * q_stride + d[None, :], mask=keep, other=0.0)
    best = tl.full((BLOCK_M,), float("-inf"), dtype=tl.float32)
    total = tl.zeros((BLOCK_M,), dtype=tl.float32)
    result = tl.zeros((BLOCK_M, D_PADDED), dtype=tl.float32)
    if RANGED:
        first = tl.load(firsts + m, mask=live, other=0)
        last = tl.load(lasts + m, mask=live, other=-1)
        start = tl.min(tl.where(live, first, KEYS), 0) // BLOCK_N * BLOCK_N
        stop = tl.max(last, 0) + 1
        # Tiles between these are seen whole by every query of the block.
        whole = tl.cdiv(tl.max(first, 0), BLOCK_N) * BLOCK_N
        whole_end = (tl.min(tl.where(live, last, KEYS), 0) + 1) // BLOCK_N * BLOCK_N
        whole = tl.minimum(tl.maximum(whole, start), stop)
        whole_end = tl.maximum(whole_end, whole)
        result, best, total = _tiles(
            result, best, total, q, key, value, start, whole, kv_stride, KEYS, first, last, scale,
            D, D_PADDED, BLOCK_N, True, PRECISION,
        )  # fmt: skip
        result, best, total = _tiles(
            result, best, total, q, key, value, whole, whole_end, kv_stride, KEYS, first, last, scale,
            D, D_PADDED, BLOCK_N, False, PRECISION,
        )  # fmt: skip
        result, best, total = _tiles(
            result, best, total, q, key, value, whole_end, stop, kv_stride, KEYS, first, last, scale,
            D, D_PADDED, BLOCK_N, True, PRECISION,
        )  # fmt: skip
    else:
        first = m * 0
        last = first + KEYS - 1
        whole_end = KEYS // BLOCK_N * BLOCK_N
        result, best, total = _tiles(
            result, best, total, q, key, value, 0, whole_end, kv_stride, KEYS, first, last, scale,
            D, D_PADDED, BLOCK_N, False, PRECISION,
        )  # fmt: skip
        result, best, total = _tiles(
            result, best, total, q, key, value, whole_end, KEYS, kv_stride, KEYS, first, last, scale,
            D, D_PADDED, BLOCK_N, True, PRECISION,
        )  # fmt: skip
    target = out + (batch * T + m.to(tl.int64)[:, None]) * (H * D) + head * D + d[None, :]
    tl.store(target, result / total[:, None], mask=keep)


def prefill_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scale: float,
    first: Tensor | None = None,
    last: Tensor | None = None,
    block_m: int | None = None,
    block_n: int | None = None,
    num_warps: int | None = None,
    stages: int = 2,
) -> Tensor:
    """Attention of queries (B, T, H, D) over keys and values (B, S, K, D), to (B, T, H D).

    Args:
        first, last: (T,) int32, the range of keys that each query sees, as indices into S, the same for all heads; for
            B = 1. Without them every query sees every key (a vision tower).
        block_m, block_n, num_warps, stages: the tile; by default what the card has shared memory for.
    """
    batch, tokens, heads, dim = query.shape
    keys, kv_heads = key.shape[1:3]
    out = query.new_empty(batch, tokens, heads * dim)
    unused = out
    # Heads of 256 dimensions take 144 KiB at the large tile, 68 at the small one.
    small = dim > 128 and block_memory(query.device.index) < 144 << 10
    tile = (64, 32, 4) if small else (128, 64, 8)
    block_m, block_n, num_warps = (given or own for given, own in zip((block_m, block_n, num_warps), tile, strict=True))
    _prefill_kernel[(triton.cdiv(tokens, block_m), heads, batch)](
        query, key, value, unused if first is None else first, unused if last is None else last, out,
        tokens, keys, query.stride(1), key.stride(1), scale * 1.4426950408889634,
        H=heads, KV=kv_heads, D=dim, D_PADDED=triton.next_power_of_2(dim), BLOCK_M=block_m, BLOCK_N=block_n,
        RANGED=first is not None, PRECISION="ieee" if query.element_size() == 4 else "tf32",
        num_warps=num_warps, num_stages=stages,
    )  # fmt: skip
    return out
