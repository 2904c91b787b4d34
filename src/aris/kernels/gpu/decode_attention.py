"""Attention of decode rows over ring and paged caches, split along the keys (flash-decoding), one launch.

Each program takes one row, one key-value head with all query heads that share it, and a part of the visible positions.
The last program of a row and head to finish puts the parts together. With raw projections given, the programs also do
QK-norm and RoPE of their queries, and the one that owns the newest position writes its key and value: right when all
rows belong to different sequences.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait


@triton.jit
def _turned(raw, other, weight, other_weight, cos, signed_sin, eps, D: tl.constexpr):
    """Head vectors (rows, D) after QK-norm and RoPE, rounded as the plain network rounds them.

    RoPE joins each dimension with the one half a head away: `other` and `other_weight` are the vectors and the norm's
    weights shifted by half a head, and `signed_sin` is negative in the first half.
    """
    kind = raw.dtype
    wide = raw.to(tl.float32)
    factor = tl.rsqrt(tl.sum(wide * wide, 1) / D + eps)[:, None]
    wide = (wide * factor * weight[None, :]).to(kind).to(tl.float32)
    other = (other.to(tl.float32) * factor * other_weight[None, :]).to(kind).to(tl.float32)
    return (wide * cos[None, :] + other * signed_sin[None, :]).to(kind)


@triton.jit
def _entries(key_position, seen, slot, tables, RING: tl.constexpr, PAGE: tl.constexpr, LOCAL: tl.constexpr):
    """Return the entries of positions in the pool."""
    if LOCAL:
        return (slot * RING + key_position % RING).to(tl.int64)
    return tl.load(tables + key_position // PAGE, mask=seen, other=0).to(tl.int64) * PAGE + key_position % PAGE


@triton.jit
def _decode_kernel(
    qkv, query, q_norm, k_norm, cos, sin, key_pool, value_pool, tables, slots, positions, partial, sums, counters, out,
    scale, eps, table_stride,
    H: tl.constexpr, KV: tl.constexpr, D: tl.constexpr, BLOCK_S: tl.constexpr, SPLITS: tl.constexpr,
    SPLITS_PADDED: tl.constexpr, RING: tl.constexpr, PAGE: tl.constexpr, WINDOW: tl.constexpr, GROUPS: tl.constexpr,
    STAGES: tl.constexpr, LOCAL: tl.constexpr, FUSED: tl.constexpr, DOT: tl.constexpr, PDL: tl.constexpr,
    PRECISION: tl.constexpr,
):
    split = tl.program_id(0)
    kv = tl.program_id(1)
    row = tl.program_id(2)
    G: tl.constexpr = H // KV
    HALF: tl.constexpr = D // 2
    position = tl.load(positions + row).to(tl.int32)
    slot = tl.load(slots + row).to(tl.int32)
    tables += row.to(tl.int64) * table_stride
    lowest = position * 0
    if LOCAL:
        lowest = tl.maximum(position - WINDOW + 1, 0)
    length = position + 1 - lowest
    share = tl.cdiv(tl.cdiv(length, SPLITS), BLOCK_S) * BLOCK_S
    active = tl.cdiv(length, share)
    begin = lowest + split * share
    end = tl.minimum(begin + share, position + 1)
    # With FUSED the newest position is not in the pool yet, and what is there was written in an earlier step: the first
    # tile can be asked for before the projections are ready.
    stop = tl.minimum(end, position) if FUSED else end
    s = tl.arange(0, BLOCK_S)
    d = tl.arange(0, D)
    g = tl.arange(0, GROUPS)
    # Query heads are padded to a matrix unit's tile where that is used; the padding repeats the last head.
    head = (row * H + kv * G + tl.minimum(g, G - 1)).to(tl.int64)
    real = g < G
    other_d = (d + HALF) % D
    if FUSED:
        q_weight = 1.0 + tl.load(q_norm + d).to(tl.float32)
        q_other_weight = 1.0 + tl.load(q_norm + other_d).to(tl.float32)
        k_weight = 1.0 + tl.load(k_norm + d).to(tl.float32)
        k_other_weight = 1.0 + tl.load(k_norm + other_d).to(tl.float32)
    if PDL:
        if not FUSED:
            gdc_wait()
            gdc_launch_dependents()
    if not DOT:
        key_position = begin + s
        offsets = (_entries(key_position, key_position < stop, slot, tables, RING, PAGE, LOCAL) * KV + kv) * D
        k = tl.load(key_pool + offsets[:, None] + d[None, :], mask=(key_position < stop)[:, None], other=0.0)
        v = tl.load(value_pool + offsets[:, None] + d[None, :], mask=(key_position < stop)[:, None], other=0.0)
    if PDL:
        if FUSED:
            gdc_wait()
            gdc_launch_dependents()
    if split < active:
        kind = key_pool.dtype.element_ty
        if FUSED:
            base = qkv + row.to(tl.int64) * (H + 2 * KV) * D
            one = tl.arange(0, 1)
            q_source = base + (kv * G + tl.minimum(g, G - 1))[:, None] * D
            k_source = base + (H + kv + one)[:, None] * D
            # All that depends on the projections is asked for at once.
            q_raw = tl.load(q_source + d[None, :])
            q_other = tl.load(q_source + other_d[None, :])
            k_raw = tl.load(k_source + d[None, :])
            k_other = tl.load(k_source + other_d[None, :])
            new_value = tl.load(base + (H + KV + kv + one)[:, None] * D + d[None, :])
            cosine = tl.load(cos + row * HALF + d % HALF)
            sine = tl.load(sin + row * HALF + d % HALF) * tl.where(d < HALF, -1.0, 1.0)
            q = _turned(q_raw, q_other, q_weight, q_other_weight, cosine, sine, eps, D)
        else:
            q = tl.load(query + head[:, None] * D + d[None, :])
        best = tl.full((GROUPS,), float("-inf"), dtype=tl.float32)
        total = tl.zeros((GROUPS,), dtype=tl.float32)
        result = tl.zeros((GROUPS, D), dtype=tl.float32)
        for at in tl.range(begin, stop, BLOCK_S, num_stages=STAGES):
            seen = at + s < stop
            if DOT:
                key_position = at + s
                offsets = (_entries(key_position, seen, slot, tables, RING, PAGE, LOCAL) * KV + kv) * D
                k_now = tl.load(key_pool + offsets[:, None] + d[None, :], mask=seen[:, None], other=0.0)
                v_now = tl.load(value_pool + offsets[:, None] + d[None, :], mask=seen[:, None], other=0.0)
                score = tl.dot(q, tl.trans(k_now), input_precision=PRECISION) * scale
            else:
                k_now = k
                v_now = v
                key_position = at + BLOCK_S + s
                stored = key_position < stop
                offsets = (_entries(key_position, stored, slot, tables, RING, PAGE, LOCAL) * KV + kv) * D
                k = tl.load(key_pool + offsets[:, None] + d[None, :], mask=stored[:, None], other=0.0)
                v = tl.load(value_pool + offsets[:, None] + d[None, :], mask=stored[:, None], other=0.0)
                # (G, S, D): with one row and few heads this is quicker than filling a matrix unit's tile.
                score = tl.sum(q.to(tl.float32)[:, None, :] * k_now.to(tl.float32)[None, :, :], 2) * scale
            score = tl.where(seen[None, :], score, float("-inf"))
            top = tl.maximum(best, tl.max(score, 1))
            p = tl.exp(score - top[:, None])
            shrink = tl.exp(best - top)
            total = total * shrink + tl.sum(p, 1)
            result = result * shrink[:, None]
            if DOT:
                result = tl.dot(p.to(kind), v_now, result, input_precision=PRECISION)
            else:
                result += tl.sum(p[:, :, None] * v_now.to(tl.float32)[None, :, :], 1)
            best = top
        if FUSED:
            if end == position + 1:
                new_key = _turned(k_raw, k_other, k_weight, k_other_weight, cosine, sine, eps, D)
                newest = tl.full((1,), 0, tl.int32) + position
                target = (_entries(newest, newest >= 0, slot, tables, RING, PAGE, LOCAL) * KV + kv) * D
                tl.store(key_pool + target[:, None] + d[None, :], new_key)
                tl.store(value_pool + target[:, None] + d[None, :], new_value)
                own = tl.sum(q.to(tl.float32) * new_key.to(tl.float32), 1) * scale
                top = tl.maximum(best, own)
                p_own = tl.exp(own - top)
                shrink = tl.exp(best - top)
                total = total * shrink + p_own
                result = result * shrink[:, None] + p_own[:, None] * new_value.to(tl.float32)
                best = top
        if active == 1:
            tl.store(out + head[:, None] * D + d[None, :], (result / total[:, None]).to(kind), mask=real[:, None])
        else:
            spot = ((row * KV + kv) * SPLITS + split) * G + g
            tl.store(partial + spot.to(tl.int64)[:, None] * D + d[None, :], result, mask=real[:, None])
            tl.store(sums + spot * 2, best, mask=real)
            tl.store(sums + spot * 2 + 1, total, mask=real)
            tl.debug_barrier()
            done = tl.atomic_add(counters + row * KV + kv, 1, sem="acq_rel")
            if done == active - 1:
                tl.store(counters + row * KV + kv, 0)
                part = tl.arange(0, SPLITS_PADDED)
                held = part < active
                for i in tl.static_range(G):
                    entry = ((row * KV + kv) * SPLITS + part) * G + i
                    best_s = tl.load(sums + entry * 2, mask=held, other=float("-inf"), cache_modifier=".cg")
                    total_s = tl.load(sums + entry * 2 + 1, mask=held, other=0.0, cache_modifier=".cg")
                    cells = entry.to(tl.int64)[:, None] * D + d[None, :]
                    parts = tl.load(partial + cells, mask=held[:, None], other=0.0, cache_modifier=".cg")
                    weight = tl.exp(best_s - tl.max(best_s, 0))
                    merged = tl.sum(parts * weight[:, None], 0) / tl.sum(total_s * weight, 0)
                    tl.store(out + (row * H + kv * G + i).to(tl.int64) * D + d, merged.to(kind))


def decode_attention(
    out: Tensor,
    pool: tuple[Tensor, Tensor],
    positions: Tensor,
    slots: Tensor,
    *,
    scale: float,
    splits: int,
    workspace: tuple[Tensor, Tensor, Tensor],
    window: int | None = None,
    tables: Tensor | None = None,
    query: Tensor | None = None,
    qkv: Tensor | None = None,
    norms: tuple[Tensor, Tensor] | None = None,
    rope: tuple[Tensor, Tensor] | None = None,
    eps: float = 1e-6,
    dot: bool = True,
    block_s: int = 32,
    num_warps: int = 4,
    stages: int = 3,
    pdl: bool = False,
) -> None:
    """Attention of R rows, each over its own sequence's cache, into `out` (R, H, D).

    Args:
        pool: keys and values; local layers (slots, ring, K, D), global ones (blocks, 64, K, D).
        positions, slots: (R,) int64; a row sees the positions up to its own, in a local layer the last `window`.
        tables: (R, blocks a sequence) int32, for a global layer.
        query: (R, H, D), after QK-norm and RoPE, when all keys up to the rows' own are in the pool already; or
        qkv, norms, rope: raw projections (R, (H + 2K) D), the two norms' weights, and cos, sin (R, D/2) float32: the
            newest key and value are then written too. Rows must belong to different sequences.
        splits: parts of the keys at most.
        workspace: float32 of at least R H splits D; float32 of 2 R H splits; int32 zeros (R K), left zero.
        dot: use the matrix units, which pays with many rows.
        block_s, num_warps, stages: the tile.
        pdl: started by programmatic dependent launch.

    Raises:
        ValueError: the number of query heads that share a key head is no power of two.
    """
    rows, heads, dim = out.shape
    key, value = pool
    kv_heads = key.shape[2]
    if (heads // kv_heads) & (heads // kv_heads - 1):
        raise ValueError(f"{heads} query heads on {kv_heads} key heads: the groups must be powers of two")
    local = window is not None
    partial, sums, counters = workspace
    q_norm, k_norm = (out, out) if norms is None else norms
    cos, sin = (out, out) if rope is None else rope
    options = {"launch_pdl": True} if pdl else {}
    _decode_kernel[(splits, kv_heads, rows)](
        out if qkv is None else qkv, out if query is None else query, q_norm, k_norm, cos, sin, key, value,
        positions if tables is None else tables, slots, positions, partial, sums, counters, out,
        scale, eps, 0 if tables is None else tables.stride(0),
        H=heads, KV=kv_heads, D=dim, BLOCK_S=block_s, SPLITS=splits, SPLITS_PADDED=triton.next_power_of_2(splits),
        RING=key.shape[1] if local else 0, PAGE=64 if local else key.shape[1], WINDOW=window or 0,
        GROUPS=max(16, heads // kv_heads) if dot else heads // kv_heads, STAGES=stages, LOCAL=local,
        FUSED=qkv is not None, DOT=dot, PDL=pdl,
        PRECISION="ieee" if out.element_size() == 4 else "tf32", num_warps=num_warps, **options,
    )  # fmt: skip
