"""One row times a matrix: the product that decides the speed of a single stream.

At batch 1 a decoder reads each weight once for two operations, so the only thing that counts is to keep memory busy.
Two things stand in the way between products: the small steps (norms, residual) and the gap between two launches. Here
the small steps are done by every program for itself, from a vector that fits in a cache; and the first tile of weights
is requested before the program waits for the kernel that precedes it (programmatic dependent launch).
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from aris.kernels.gpu.activation import gelu
from aris.kernels.gpu.weights import Weight

PLAIN, NORMED, BRANCH = 0, 1, 2
# 1.0 as float32: with a code in the mantissa's bits p and up it reads 1 + code / 2^(23 - p), exactly. It is passed as an
# argument, because an instruction takes one constant and the mask is one already.
_ONE = 0x3F800000


@triton.jit
def _prepare(
    x, residual, residual_out, post_weight, pre_weight, scratch, eps,
    K: tl.constexpr, K_PADDED: tl.constexpr, INPUT: tl.constexpr, PDL: tl.constexpr,
):
    """Wait for the kernel before; make the input vector where it is not plain; return where it lies."""
    if INPUT == 0:
        if PDL:
            gdc_wait()
            gdc_launch_dependents()
        return x
    k = tl.arange(0, K_PADDED)
    held = k < K
    pre = 1.0 + tl.load(pre_weight + k, mask=held, other=0.0).to(tl.float32)
    post = pre
    if INPUT == 2:
        post = 1.0 + tl.load(post_weight + k, mask=held, other=0.0).to(tl.float32)
    if PDL:
        gdc_wait()
        gdc_launch_dependents()
    value = tl.load(residual + k, mask=held, other=0.0)
    if INPUT == 2:
        branch = tl.load(x + k, mask=held, other=0.0).to(tl.float32)
        branch = (branch * tl.rsqrt(tl.sum(branch * branch, 0) / K + eps) * post).to(value.dtype)
        value = (value.to(tl.float32) + branch.to(tl.float32)).to(value.dtype)
        if tl.program_id(0) == 0:
            tl.store(residual_out + k, value, mask=held)
    wide = value.to(tl.float32)
    # Each program keeps its own copy, which stays in its processor's cache.
    source = scratch + tl.program_id(0) * K_PADDED
    tl.store(source + k, (wide * tl.rsqrt(tl.sum(wide * wide, 0) / K + eps) * pre).to(value.dtype), mask=held)
    tl.debug_barrier()
    return source


@triton.jit
def _rows_of(tile, N, GATED: tl.constexpr, BLOCK_N: tl.constexpr):
    """Rows of the matrix in a tile, and which of them exist; a gated tile holds gate rows, then their up rows."""
    index = tl.arange(0, BLOCK_N)
    if GATED:
        HALF: tl.constexpr = BLOCK_N // 2
        rows = tile * HALF + index % HALF
        return rows + (index // HALF) * N, rows < N
    rows = tile * BLOCK_N + index
    return rows, rows < N


@triton.jit
def _finish(y, result, tile, N, GATED: tl.constexpr, BLOCK_N: tl.constexpr):
    """Store a tile's sums (BLOCK_N,), rounded as the plain network rounds them."""
    kind = y.dtype.element_ty
    if GATED:
        HALF: tl.constexpr = BLOCK_N // 2
        pair = tl.reshape(result, (2, HALF)).to(kind).to(tl.float32)
        is_gate = (tl.arange(0, 2) == 0)[:, None]
        gate = tl.sum(tl.where(is_gate, pair, 0.0), 0)
        up = tl.sum(tl.where(is_gate, 0.0, pair), 0)
        out = tile * HALF + tl.arange(0, HALF)
        tl.store(y + out, gelu(gate).to(kind).to(tl.float32) * up, mask=out < N)
    else:
        out = tile * BLOCK_N + tl.arange(0, BLOCK_N)
        tl.store(y + out, result, mask=out < N)


@triton.jit
def _dense_kernel(
    x, residual, residual_out, post_weight, pre_weight, scratch, w, scale, y, N, eps,
    K: tl.constexpr, K_PADDED: tl.constexpr, GROUP: tl.constexpr, INT8: tl.constexpr, INPUT: tl.constexpr,
    GATED: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, TILES: tl.constexpr, PDL: tl.constexpr,
):
    """Dense and int8 matrices, TILES tiles of BLOCK_N rows a program."""
    column = tl.arange(0, BLOCK_K)
    STEPS: tl.constexpr = (K + BLOCK_K - 1) // BLOCK_K
    first = tl.program_id(0) * TILES
    rows, live = _rows_of(first, N, GATED, BLOCK_N)
    at = rows.to(tl.int64)[:, None] * K + column[None, :]
    tile = tl.load(w + at, mask=live[:, None] & (column < K)[None, :], other=0)
    source = _prepare(x, residual, residual_out, post_weight, pre_weight, scratch, eps, K, K_PADDED, INPUT, PDL)
    total = tl.zeros((BLOCK_N, BLOCK_K), dtype=tl.float32)
    for step in tl.range(0, TILES * STEPS):
        current = tile
        # The next tile is asked for before this one is used.
        ahead = step + 1
        rows, live = _rows_of(first + ahead // STEPS, N, GATED, BLOCK_N)
        live = live & (ahead < TILES * STEPS)
        k = (ahead % STEPS) * BLOCK_K + column
        at = rows.to(tl.int64)[:, None] * K + k[None, :]
        if K % BLOCK_K == 0:
            tile = tl.load(w + at, mask=live[:, None], other=0)
        else:
            tile = tl.load(w + at, mask=live[:, None] & (k < K)[None, :], other=0)
        k = (step % STEPS) * BLOCK_K + column
        part = tl.load(source + k, mask=k < K, other=0.0).to(tl.float32)
        if INT8 and GROUP != K:
            rows, live = _rows_of(first + step // STEPS, N, GATED, BLOCK_N)
            group = rows.to(tl.int64)[:, None] * (K // GROUP) + (k // GROUP)[None, :]
            factor = tl.load(scale + group, mask=live[:, None] & (k < K)[None, :], other=0.0).to(tl.float32)
            total += current.to(tl.float32) * factor * part[None, :]
        else:
            total += current.to(tl.float32) * part[None, :]
        if step % STEPS == STEPS - 1:
            done = first + step // STEPS
            result = tl.sum(total, 1)
            if INT8 and GROUP == K:
                rows, live = _rows_of(done, N, GATED, BLOCK_N)
                result = result * tl.load(scale + rows, mask=live, other=0.0).to(tl.float32)
            _finish(y, result, done, N, GATED, BLOCK_N)
            total = tl.zeros((BLOCK_N, BLOCK_K), dtype=tl.float32)


@triton.jit
def _mantissa(words, one, index: tl.constexpr):
    """Nibble `index` of each word in the mantissa of a float32 near 1 (see `_weight_of`): about one operation.

    What this saves it pays in rounding: sums of 1 + code / 4096 lose up to nine bits of a float32's 24, an error of some
    1e-5, a hundredth of bfloat16's own.
    """
    # Three shifts serve eight nibbles: each then lies at bit 11, 15 or 19.
    if index < 3:
        bits = (words << 11) & (15 << (4 * index + 11))
    elif index < 5:
        bits = (words << 3) & (15 << (4 * index + 3))
    else:
        bits = (words >> 9) & (15 << (4 * index - 9))
    return (bits | one).to(tl.float32, bitcast=True)


@triton.jit
def _weight_of(index: tl.constexpr):
    """2^(23 - p) for the bit p where `_mantissa` puts nibble `index`: code = (value - 1) * this, exactly."""
    p: tl.constexpr = 4 * index + (11 if index < 3 else (3 if index < 5 else -9))
    return (1 << (23 - p)) * 1.0


@triton.jit
def _nibble_kernel(
    x, residual, residual_out, post_weight, pre_weight, scratch, w, scale, minimum, table, y, N, one, eps,
    K: tl.constexpr, K_PADDED: tl.constexpr, GROUP: tl.constexpr, NF4: tl.constexpr, INPUT: tl.constexpr,
    GATED: tl.constexpr, BLOCK_N: tl.constexpr, SPANS: tl.constexpr, TILES: tl.constexpr, PDL: tl.constexpr,
):
    """int4 and NF4 matrices in spans of 128 columns (see `weights.pack_words`), SPANS of them a step."""
    # Words stay two-dimensional, so that the threads of a warp lie along a row and each holds several rows.
    PER_ROW: tl.constexpr = K // 128
    STEPS: tl.constexpr = (PER_ROW + SPANS - 1) // SPANS
    # Groups in a span, and nibbles of a word in one group.
    GROUPS: tl.constexpr = 128 // GROUP
    PART: tl.constexpr = 8 // GROUPS
    c = tl.arange(0, SPANS * 16)
    first = tl.program_id(0) * TILES
    rows, live = _rows_of(first, N, GATED, BLOCK_N)
    at = rows.to(tl.int64)[:, None] * (PER_ROW * 16) + c[None, :]
    tile = tl.load(w + at, mask=live[:, None] & (c < PER_ROW * 16)[None, :], other=0)
    source = _prepare(x, residual, residual_out, post_weight, pre_weight, scratch, eps, K, K_PADDED, INPUT, PDL)
    total = tl.zeros((BLOCK_N, SPANS), dtype=tl.float32)
    for step in tl.range(0, TILES * STEPS):
        current = tile
        ahead = step + 1
        rows, live = _rows_of(first + ahead // STEPS, N, GATED, BLOCK_N)
        live = live & (ahead < TILES * STEPS)
        word = (ahead % STEPS) * (SPANS * 16) + c
        at = rows.to(tl.int64)[:, None] * (PER_ROW * 16) + word[None, :]
        if PER_ROW % SPANS == 0:
            tile = tl.load(w + at, mask=live[:, None], other=0)
        else:
            tile = tl.load(w + at, mask=live[:, None] & (word < PER_ROW * 16)[None, :], other=0)
        rows, live = _rows_of(first + step // STEPS, N, GATED, BLOCK_N)
        span = (step % STEPS) * SPANS + tl.arange(0, SPANS)
        word = (step % STEPS) * (SPANS * 16) + c
        inputs = source + (word // 16) * 128 + word % 16
        there = word < PER_ROW * 16
        mask = live[:, None] & (span < PER_ROW)[None, :]
        for group in tl.static_range(GROUPS):
            dot = tl.zeros((BLOCK_N, SPANS * 16), dtype=tl.float32)
            sums = tl.zeros((SPANS * 16,), dtype=tl.float32)
            offset = tl.zeros((SPANS * 16,), dtype=tl.float32)
            for i in tl.static_range(PART):
                part = tl.load(inputs + (group * PART + i) * 16, mask=there, other=0.0).to(tl.float32)
                if NF4:
                    dot += tl.load(table + ((current >> (4 * (group * PART + i))) & 15)) * part[None, :]
                else:
                    sums += part
                    part = part * _weight_of(group * PART + i)
                    offset += part
                    dot += _mantissa(current, one, group * PART + i) * part[None, :]
            place = rows.to(tl.int64)[:, None] * (K // GROUP) + (span * GROUPS + group)[None, :]
            factor = tl.load(scale + place, mask=mask, other=0.0).to(tl.float32)
            if not NF4:
                dot -= offset[None, :]
            total += tl.sum(tl.reshape(dot, (BLOCK_N, SPANS, 16)), 2) * factor
            if not NF4:
                low = tl.load(minimum + place, mask=mask, other=0.0).to(tl.float32)
                total += tl.sum(tl.reshape(sums, (SPANS, 16)), 1)[None, :] * low
        if step % STEPS == STEPS - 1:
            _finish(y, tl.sum(total, 1), first + step // STEPS, N, GATED, BLOCK_N)
            total = tl.zeros((BLOCK_N, SPANS), dtype=tl.float32)


def matvec(
    weight: Weight,
    out: Tensor,
    *,
    x: Tensor | None = None,
    residual: Tensor | None = None,
    residual_out: Tensor | None = None,
    post_weight: Tensor | None = None,
    pre_weight: Tensor | None = None,
    scratch: Tensor | None = None,
    table: Tensor | None = None,
    eps: float = 1e-6,
    gated: bool = False,
    block_n: int = 8,
    block_k: int = 512,
    tiles: int = 1,
    num_warps: int = 4,
    pdl: bool = False,
) -> None:
    """`out` (N,) = input W^T for one row, where the input (K,) is one of three.

    * `x` as it is;
    * with `residual` and `pre_weight`: the RMSNorm of `residual` (K,);
    * with `x` too, and `post_weight`: `residual_out` = residual + RMSNorm(x), and its RMSNorm by `pre_weight`. This is
      the seam between two halves of a decoder layer (Gemma 3 report, section 2: norms before and after each half).

    Args:
        weight: (N, K), or (2N, K) if `gated`: gate rows, then up rows; the result is gelu(gate) * up.
        scratch: (programs, K padded to a power of two), the input's dtype; needed with `residual`.
        table: (16,) float32, the values of NF4's codes; needed for that format.
        block_n, block_k, num_warps: the tile, in rows and columns; for int4 and nf4 a multiple of 128 columns.
        tiles: tiles of rows that one program does, one after the other.
        pdl: started by programmatic dependent launch (see the module).
    """
    source = BRANCH if x is not None and residual is not None else NORMED if residual is not None else PLAIN
    rows, columns = weight.out_features // (2 if gated else 1), weight.in_features
    padded = triton.next_power_of_2(columns)
    unused = out
    grid = (triton.cdiv(rows, (block_n // 2 if gated else block_n) * tiles),)
    if scratch is not None and scratch.numel() < grid[0] * padded:
        raise ValueError(f"matvec: scratch holds {scratch.numel()} values, {grid[0] * padded} are needed")
    inputs = [unused if t is None else t for t in (x, residual, residual_out, post_weight, pre_weight, scratch)]
    scale = unused if weight.scale is None else weight.scale
    constants = {
        "K": columns, "K_PADDED": padded, "GROUP": weight.group_size or columns, "INPUT": source, "GATED": gated,
        "BLOCK_N": block_n, "TILES": tiles, "PDL": pdl, "num_warps": num_warps,
    } | ({"launch_pdl": True} if pdl else {})  # fmt: skip
    if weight.format in ("int4", "nf4"):
        minimum = unused if weight.minimum is None else weight.minimum
        _nibble_kernel[grid](
            *inputs, weight.data, scale, minimum, unused if table is None else table, out, rows, _ONE, eps,
            NF4=weight.format == "nf4", SPANS=block_k // 128, **constants,
        )  # fmt: skip
    else:
        _dense_kernel[grid](
            *inputs, weight.data, scale, out, rows, eps, INT8=weight.format == "int8", BLOCK_K=block_k, **constants
        )
