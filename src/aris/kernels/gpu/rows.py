"""Steps that go row by row: embedding, norms with the residual, and QK-norm with RoPE and the write to the cache."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from aris.kernels.gpu.weights import FORMATS, Weight


@triton.jit
def _embed_kernel(
    ids, positions, w, scale, minimum, x, cos, sin, local_cos, local_sin, frequencies, local_frequencies, factor,
    W: tl.constexpr, W_PADDED: tl.constexpr, HALF: tl.constexpr, GROUP: tl.constexpr, FORMAT: tl.constexpr,
):
    row = tl.program_id(0)
    token = tl.load(ids + row)
    k = tl.arange(0, W_PADDED)
    live = k < W
    if FORMAT == 0:
        value = tl.load(w + token * W + k, mask=live, other=0.0).to(tl.float32)
    else:
        at = token * (W // GROUP) + k // GROUP
        factor_g = tl.load(scale + at, mask=live, other=0.0).to(tl.float32)
        if FORMAT == 1:
            value = tl.load(w + token * W + k, mask=live, other=0).to(tl.float32) * factor_g
        else:
            word = tl.load(w + token * (W // 8) + (k // 128) * 16 + k % 16, mask=live, other=0)
            code = (word >> (4 * ((k % 128) // 16))) & 15
            value = code.to(tl.float32) * factor_g + tl.load(minimum + at, mask=live, other=0.0).to(tl.float32)
    kind = x.dtype.element_ty
    tl.store(x + row * W + k, value.to(kind).to(tl.float32) * factor, mask=live)
    # The angles of this row's position, for both kinds of layer, once for all of them.
    d = tl.arange(0, HALF)
    angle_at = tl.load(positions + row).to(tl.float32)
    angle = angle_at * tl.load(frequencies + d)
    tl.store(cos + row * HALF + d, tl.cos(angle))
    tl.store(sin + row * HALF + d, tl.sin(angle))
    angle = angle_at * tl.load(local_frequencies + d)
    tl.store(local_cos + row * HALF + d, tl.cos(angle))
    tl.store(local_sin + row * HALF + d, tl.sin(angle))


def embed(
    ids: Tensor,
    positions: Tensor,
    weight: Weight,
    frequencies: Tensor,
    local_frequencies: Tensor,
    factor: float,
    x: Tensor,
    tables: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    """Rows of the embedding times `factor` into `x` (R, W), and RoPE's tables at each row's position.

    Args:
        ids, positions: (R,) int64.
        weight: the embedding (vocabulary, W): dense, int8 or int4.
        frequencies, local_frequencies: (head_dim/2,) float32 of global and local layers.
        factor: sqrt(W), rounded to x's dtype.
        tables: cos and sin of global layers, then of local ones, each (R, head_dim/2) float32.
    """
    width = weight.in_features
    unused = x
    _embed_kernel[(ids.shape[0],)](
        ids, positions, weight.data,
        unused if weight.scale is None else weight.scale,
        unused if weight.minimum is None else weight.minimum,
        x, *tables, frequencies, local_frequencies, factor,
        W=width, W_PADDED=triton.next_power_of_2(width), HALF=frequencies.shape[0],
        GROUP=weight.group_size or width, FORMAT=FORMATS[weight.format], num_warps=4,
    )  # fmt: skip


@triton.jit
def _add_norm_kernel(
    branch, residual, residual_out, out, post_weight, pre_weight, rows, eps,
    W: tl.constexpr, W_PADDED: tl.constexpr, BRANCH: tl.constexpr, PARTS: tl.constexpr, PDL: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, W_PADDED)
    live = k < W
    pre = 1.0 + tl.load(pre_weight + k, mask=live, other=0.0).to(tl.float32)
    if BRANCH:
        post = 1.0 + tl.load(post_weight + k, mask=live, other=0.0).to(tl.float32)
    if PDL:
        gdc_wait()
        gdc_launch_dependents()
    value = tl.load(residual + row * W + k, mask=live, other=0.0)
    if BRANCH:
        b = tl.load(branch + row * W + k, mask=live, other=0.0).to(tl.float32)
        for part in tl.static_range(1, PARTS):
            b += tl.load(branch + (part * rows + row) * W + k, mask=live, other=0.0).to(tl.float32)
        # Rounded once, as a product's result is.
        b = b.to(value.dtype).to(tl.float32)
        b = (b * tl.rsqrt(tl.sum(b * b, 0) / W + eps) * post).to(value.dtype)
        value = (value.to(tl.float32) + b.to(tl.float32)).to(value.dtype)
        tl.store(residual_out + row * W + k, value, mask=live)
    wide = value.to(tl.float32)
    tl.store(out + row * W + k, wide * tl.rsqrt(tl.sum(wide * wide, 0) / W + eps) * pre, mask=live)


def add_norm(
    residual: Tensor,
    pre_weight: Tensor,
    eps: float,
    out: Tensor,
    *,
    branch: Tensor | None = None,
    post_weight: Tensor | None = None,
    residual_out: Tensor | None = None,
    num_warps: int | None = None,
    pdl: bool = False,
) -> None:
    """RMSNorm of rows (T, W) into `out`; with `branch`, of residual + RMSNorm(branch), which goes to `residual_out`.

    `residual_out` may be `residual` itself. Weights are stored as w and applied as 1 + w, in float32. `branch` may be
    several (P, T, W), float32 parts of a product that was split along its columns: their sum is meant.
    """
    rows, width = residual.shape
    warps = num_warps or (4 if width <= 4096 else 8)
    options = {"launch_pdl": True} if pdl else {}
    _add_norm_kernel[(rows,)](
        residual if branch is None else branch,
        residual,
        residual if residual_out is None else residual_out,
        out,
        pre_weight if post_weight is None else post_weight,
        pre_weight,
        rows,
        eps,
        W=width,
        W_PADDED=triton.next_power_of_2(width),
        BRANCH=branch is not None,
        PARTS=branch.shape[0] if branch is not None and branch.dim() == 3 else 1,
        PDL=pdl,
        num_warps=warps,
        **options,
    )


@triton.jit
def _heads_kernel(
    qkv, q_norm, k_norm, cos, sin, query, key_out, value_out, key_pool, value_pool, entries, eps,
    H: tl.constexpr, KV: tl.constexpr, PADDED: tl.constexpr, D: tl.constexpr, COPY: tl.constexpr, PDL: tl.constexpr,
):
    """Process one row a program, all its heads as one tile: queries, then keys, then values."""
    HALF: tl.constexpr = D // 2
    row = tl.program_id(0).to(tl.int64)
    h = tl.arange(0, PADDED)
    d = tl.arange(0, D)
    other_d = (d + HALF) % D
    real = (h < H + 2 * KV)[:, None]
    is_query = (h < H)[:, None]
    is_value = (h >= H + KV)[:, None]
    q_weight = 1.0 + tl.load(q_norm + d).to(tl.float32)
    k_weight = 1.0 + tl.load(k_norm + d).to(tl.float32)
    q_other = 1.0 + tl.load(q_norm + other_d).to(tl.float32)
    k_other = 1.0 + tl.load(k_norm + other_d).to(tl.float32)
    if PDL:
        gdc_wait()
        gdc_launch_dependents()
    source = qkv + row * (H + 2 * KV) * D + h[:, None] * D
    raw = tl.load(source + d[None, :], mask=real, other=0.0)
    kind = raw.dtype
    wide = raw.to(tl.float32)
    far = tl.load(source + other_d[None, :], mask=real, other=0.0).to(tl.float32)
    entry = tl.load(entries + row)
    cosine = tl.load(cos + row * HALF + d % HALF)[None, :]
    sine = (tl.load(sin + row * HALF + d % HALF) * tl.where(d < HALF, -1.0, 1.0))[None, :]
    factor = tl.rsqrt(tl.sum(wide * wide, 1) / D + eps)[:, None]
    # Rounded where the plain network rounds: after the norm, and after RoPE.
    wide = (wide * factor * tl.where(is_query, q_weight[None, :], k_weight[None, :])).to(kind).to(tl.float32)
    far = (far * factor * tl.where(is_query, q_other[None, :], k_other[None, :])).to(kind).to(tl.float32)
    turned = (wide * cosine + far * sine).to(kind)
    tl.store(query + (row * H + h)[:, None] * D + d[None, :], turned, mask=is_query)
    is_key = real & (is_query == 0) & (is_value == 0)
    is_value = real & is_value
    key_at = (h - H)[:, None] * D + d[None, :]
    value_at = (h - H - KV)[:, None] * D + d[None, :]
    if COPY:
        tl.store(key_out + row * KV * D + key_at, turned, mask=is_key)
        tl.store(value_out + row * KV * D + value_at, raw, mask=is_value)
    tl.store(key_pool + entry * KV * D + key_at, turned, mask=is_key & (entry >= 0))
    tl.store(value_pool + entry * KV * D + value_at, raw, mask=is_value & (entry >= 0))


def finish_heads(
    qkv: Tensor,
    q_norm: Tensor,
    k_norm: Tensor,
    tables: tuple[Tensor, Tensor],
    eps: float,
    heads: int,
    kv_heads: int,
    query: Tensor,
    pool: tuple[Tensor, Tensor],
    entries: Tensor,
    *,
    copy: tuple[Tensor, Tensor] | None = None,
    pdl: bool = False,
) -> None:
    """Rows of fused projections to queries, and to keys and values in the cache: QK-norm, RoPE, write.

    Args:
        qkv: (T, (H + 2 K) D): query, key and value heads of each row.
        tables: cos, sin (T, D/2) float32.
        query: (T, H, D), written.
        pool: keys and values (anything, K, D) seen as (entries, K, D), written at `entries`.
        entries: (T,) int64, the entry of each row; -1 writes none.
        copy: keys and values (T, K, D) to be written too, in order.
    """
    rows = qkv.shape[0]
    key_out, value_out = (query, query) if copy is None else copy
    options = {"launch_pdl": True} if pdl else {}
    total = heads + 2 * kv_heads
    _heads_kernel[(rows,)](
        qkv, q_norm, k_norm, *tables, query, key_out, value_out, *pool, entries, eps,
        H=heads, KV=kv_heads, PADDED=triton.next_power_of_2(total), D=q_norm.shape[0], COPY=copy is not None, PDL=pdl,
        num_warps=8 if total * q_norm.shape[0] > 4096 else 4, **options,
    )  # fmt: skip
