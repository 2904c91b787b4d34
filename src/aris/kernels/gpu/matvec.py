"""Product of one row and a matrix, which decides the speed of a single stream.

At batch 1 a decoder reads each weight once for two operations, so the only thing that counts is to keep memory busy: a
tile is asked for before the one at hand is used, and the first one before the program waits for the kernel before
it (programmatic dependent launch), which hides the gap between two launches. Kernels let those behind them start
when their own wait is over; earlier made 32 rows 8 % slower and one row no faster. What is asked for before the wait is
constant, or was written in an earlier step.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from aris.kernels.gpu.activation import gelu
from aris.kernels.gpu.weights import Weight

# 1.0 as float32: with a code in the mantissa's bits p and up it reads 1 + code / 2^(23 - p), exactly. It is passed as
# an argument, because an instruction takes one constant and the mask is one already.
_ONE = 0x3F800000


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
    x,
    w,
    scale,
    y,
    N,
    K: tl.constexpr,
    GROUP: tl.constexpr,
    INT8: tl.constexpr,
    GATED: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    TILES: tl.constexpr,
    PARTS: tl.constexpr,
    PDL: tl.constexpr,
):
    """Dense and int8 matrices, TILES tiles of BLOCK_N rows a program, one of PARTS equal parts of the columns."""
    column = tl.arange(0, BLOCK_K)
    COLUMNS: tl.constexpr = K // PARTS
    STEPS: tl.constexpr = (COLUMNS + BLOCK_K - 1) // BLOCK_K
    part_start = tl.program_id(1) * COLUMNS
    w += part_start
    first = tl.program_id(0) * TILES
    rows, live = _rows_of(first, N, GATED, BLOCK_N)
    at = rows.to(tl.int64)[:, None] * K + column[None, :]
    tile = tl.load(w + at, mask=live[:, None] & (column < COLUMNS)[None, :], other=0)
    if PDL:
        gdc_wait()
        gdc_launch_dependents()
    total = tl.zeros((BLOCK_N, BLOCK_K), dtype=tl.float32)
    for step in tl.range(0, TILES * STEPS):
        current = tile
        # The next tile is asked for before this one is used.
        ahead = step + 1
        rows, live = _rows_of(first + ahead // STEPS, N, GATED, BLOCK_N)
        live = live & (ahead < TILES * STEPS)
        k = (ahead % STEPS) * BLOCK_K + column
        at = rows.to(tl.int64)[:, None] * K + k[None, :]
        if COLUMNS % BLOCK_K == 0:
            tile = tl.load(w + at, mask=live[:, None], other=0)
        else:
            tile = tl.load(w + at, mask=live[:, None] & (k < COLUMNS)[None, :], other=0)
        k = (step % STEPS) * BLOCK_K + column
        part = tl.load(x + part_start + k, mask=k < COLUMNS, other=0.0).to(tl.float32)
        if INT8 and GROUP != K:
            rows, live = _rows_of(first + step // STEPS, N, GATED, BLOCK_N)
            group = rows.to(tl.int64)[:, None] * (K // GROUP) + ((part_start + k) // GROUP)[None, :]
            factor = tl.load(scale + group, mask=live[:, None] & (k < COLUMNS)[None, :], other=0.0).to(tl.float32)
            total += current.to(tl.float32) * factor * part[None, :]
        else:
            total += current.to(tl.float32) * part[None, :]
        if step % STEPS == STEPS - 1:
            done = first + step // STEPS
            result = tl.sum(total, 1)
            if INT8 and GROUP == K:
                rows, live = _rows_of(done, N, GATED, BLOCK_N)
                result = result * tl.load(scale + rows, mask=live, other=0.0).to(tl.float32)
            _finish(y + tl.program_id(1) * N, result, done, N, GATED, BLOCK_N)
            total = tl.zeros((BLOCK_N, BLOCK_K), dtype=tl.float32)


@triton.jit
def _mantissa(words, one, index: tl.constexpr):
    """Nibble `index` of each word in the mantissa of a float32 near 1 (see `_weight_of`): about one operation.

    What this saves it pays in rounding: sums of 1 + code / 4096 lose up to nine bits of a float32's 24, an error of
    some 1e-5, a hundredth of bfloat16's own.
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
    x,
    w,
    scale,
    minimum,
    table,
    y,
    N,
    one,
    K: tl.constexpr,
    GROUP: tl.constexpr,
    NF4: tl.constexpr,
    GATED: tl.constexpr,
    BLOCK_N: tl.constexpr,
    SPANS: tl.constexpr,
    TILES: tl.constexpr,
    PARTS: tl.constexpr,
    PDL: tl.constexpr,
):
    """int4 and NF4 matrices in spans of 128 columns (see `weights.pack_words`), SPANS of them a step."""
    # Words stay two-dimensional, so that the threads of a warp lie along a row and each holds several rows.
    WORDS: tl.constexpr = K // 8
    PER_ROW: tl.constexpr = K // 128 // PARTS
    STEPS: tl.constexpr = (PER_ROW + SPANS - 1) // SPANS
    span_start = tl.program_id(1) * PER_ROW
    w += span_start * 16
    # Groups in a span, and nibbles of a word in one group.
    GROUPS: tl.constexpr = 128 // GROUP
    PART: tl.constexpr = 8 // GROUPS
    c = tl.arange(0, SPANS * 16)
    first = tl.program_id(0) * TILES
    rows, live = _rows_of(first, N, GATED, BLOCK_N)
    at = rows.to(tl.int64)[:, None] * WORDS + c[None, :]
    tile = tl.load(w + at, mask=live[:, None] & (c < PER_ROW * 16)[None, :], other=0)
    if PDL:
        gdc_wait()
        gdc_launch_dependents()
    total = tl.zeros((BLOCK_N, SPANS), dtype=tl.float32)
    for step in tl.range(0, TILES * STEPS):
        current = tile
        ahead = step + 1
        rows, live = _rows_of(first + ahead // STEPS, N, GATED, BLOCK_N)
        live = live & (ahead < TILES * STEPS)
        word = (ahead % STEPS) * (SPANS * 16) + c
        at = rows.to(tl.int64)[:, None] * WORDS + word[None, :]
        if PER_ROW % SPANS == 0:
            tile = tl.load(w + at, mask=live[:, None], other=0)
        else:
            tile = tl.load(w + at, mask=live[:, None] & (word < PER_ROW * 16)[None, :], other=0)
        rows, live = _rows_of(first + step // STEPS, N, GATED, BLOCK_N)
        span = (step % STEPS) * SPANS + tl.arange(0, SPANS)
        word = (step % STEPS) * (SPANS * 16) + c
        inputs = x + span_start * 128 + (word // 16) * 128 + word % 16
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
            position = rows.to(tl.int64)[:, None] * (K // GROUP) + ((span_start + span) * GROUPS + group)[None, :]
            factor = tl.load(scale + position, mask=mask, other=0.0).to(tl.float32)
            if not NF4:
                dot -= offset[None, :]
            total += tl.sum(tl.reshape(dot, (BLOCK_N, SPANS, 16)), 2) * factor
            if not NF4:
                low = tl.load(minimum + position, mask=mask, other=0.0).to(tl.float32)
                total += tl.sum(tl.reshape(sums, (SPANS, 16)), 1)[None, :] * low
        if step % STEPS == STEPS - 1:
            _finish(y + tl.program_id(1) * N, tl.sum(total, 1), first + step // STEPS, N, GATED, BLOCK_N)
            total = tl.zeros((BLOCK_N, SPANS), dtype=tl.float32)


def matvec(
    weight: Weight,
    out: Tensor,
    x: Tensor,
    *,
    table: Tensor | None = None,
    gated: bool = False,
    block_n: int = 8,
    block_k: int = 512,
    tiles: int = 1,
    parts: int = 1,
    num_warps: int = 4,
    pdl: bool = False,
) -> None:
    """`out` (N,) = x W^T for one row `x` (K,).

    Args:
        weight: (N, K), or (2N, K) if `gated`: gate rows, then up rows; the result is gelu(gate) * up.
        table: (16,) float32, the values of NF4's codes; needed for that format.
        block_n, block_k, num_warps: the tile, in rows and columns; for int4 and nf4 a multiple of 128 columns.
        tiles: tiles of rows that one program does, one after the other.
        parts: equal parts of the columns, each summed by programs of its own into a row of `out` (parts, N): for
            matrices of few rows, which would keep too few programs busy. `add_norm` adds them up.
        pdl: started by programmatic dependent launch (see the module).

    Raises:
        ValueError: the columns cannot be cut in so many parts.
    """
    rows, columns = weight.out_features // (2 if gated else 1), weight.in_features
    if parts > 1 and (gated or out.shape != (parts, rows) or columns % (parts * 128)):
        raise ValueError(f"matvec: {columns} columns cannot be summed in {parts} parts here")
    unused = out
    grid = (triton.cdiv(rows, (block_n // 2 if gated else block_n) * tiles), parts)
    scale = unused if weight.scale is None else weight.scale
    constants = {
        "K": columns, "GROUP": weight.group_size or columns, "GATED": gated, "BLOCK_N": block_n, "TILES": tiles,
        "PARTS": parts, "PDL": pdl, "num_warps": num_warps,
    } | ({"launch_pdl": True} if pdl else {})  # fmt: skip
    if weight.format in ("int4", "nf4"):
        minimum = unused if weight.minimum is None else weight.minimum
        _nibble_kernel[grid](
            x, weight.data, scale, minimum, unused if table is None else table, out, rows, _ONE,
            NF4=weight.format == "nf4", SPANS=block_k // 128, **constants,
        )  # fmt: skip
    else:
        _dense_kernel[grid](
            x, weight.data, scale, out, rows, INT8=weight.format == "int8", BLOCK_K=block_k, **constants
        )
