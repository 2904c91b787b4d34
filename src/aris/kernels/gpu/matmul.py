"""A few rows times a matrix in any format: decode steps of many streams, and whole prompts on packed weights.

Up to 64 rows the weights are unpacked on their way into the matrix units, once for all rows. Beyond that a packed
matrix is unpacked to a temporary dense one first, because the product is then bound by arithmetic.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from aris.kernels.gpu.activation import gated, gelu
from aris.kernels.gpu.tiles import tiled_product
from aris.kernels.gpu.weights import FORMATS, Weight

MOST_ROWS = 64


@triton.jit
def _codes(words, table, first: tl.constexpr, PART: tl.constexpr, NF4: tl.constexpr, KIND: tl.constexpr):
    """PART nibbles from the `first` of words (N, 16) as columns (N, 16 PART): int4 plus 128, NF4 by its table."""
    shifts = 4 * (first + tl.arange(0, PART))
    nibbles = (words[:, None, :] >> shifts[None, :, None]) & 15
    if NF4:
        values = tl.load(table + nibbles).to(KIND)
    elif KIND == tl.bfloat16:  # noqa: SIM300
        values = (nibbles | 0x4300).to(tl.int16).to(tl.bfloat16, bitcast=True)
    else:
        values = nibbles.to(KIND) + 128.0
    return tl.reshape(values, (words.shape[0], 16 * PART))


@triton.jit
def _matmul_kernel(
    x, w, scale, minimum, table, y, R, N, x_stride,
    K: tl.constexpr, GROUP: tl.constexpr, FORMAT: tl.constexpr, GATED: tl.constexpr,
    BLOCK_R: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, STAGES: tl.constexpr, PARTS: tl.constexpr,
    PDL: tl.constexpr, PRECISION: tl.constexpr,
):
    # One of PARTS equal parts of the columns, summed into a result of its own.
    COLUMNS: tl.constexpr = K // PARTS
    begin = tl.program_id(2) * COLUMNS
    y += tl.program_id(2).to(tl.int64) * R * N
    pid = tl.program_id(0)
    HALF: tl.constexpr = BLOCK_N // 2 if GATED else BLOCK_N
    index = tl.arange(0, BLOCK_N)
    if GATED:
        n = pid * HALF + index // 2
        live = n < N
        n = n + (index % 2) * N
    else:
        n = pid * BLOCK_N + index
        live = n < N
    n = n.to(tl.int64)
    r = tl.program_id(1) * BLOCK_R + tl.arange(0, BLOCK_R)
    real = r < R
    rows = r.to(tl.int64) * x_stride
    if PDL:
        gdc_wait()
        gdc_launch_dependents()
    kind = x.dtype.element_ty
    total = tl.zeros((BLOCK_R, BLOCK_N), dtype=tl.float32)
    if FORMAT == 0:
        for start in tl.range(begin, begin + COLUMNS, BLOCK_K, num_stages=STAGES):
            k = start + tl.arange(0, BLOCK_K)
            inside = k < begin + COLUMNS
            part = tl.load(x + rows[:, None] + k[None, :], mask=real[:, None] & inside[None, :], other=0.0)
            tile = tl.load(w + n[:, None] * K + k[None, :], mask=live[:, None] & inside[None, :], other=0.0)
            total = tl.dot(part, tl.trans(tile), total, input_precision=PRECISION)
    elif FORMAT == 1:
        for start in tl.range(begin, begin + COLUMNS, BLOCK_K, num_stages=STAGES):
            k = start + tl.arange(0, BLOCK_K)
            inside = k < begin + COLUMNS
            part = tl.load(x + rows[:, None] + k[None, :], mask=real[:, None] & inside[None, :], other=0.0)
            tile = tl.load(w + n[:, None] * K + k[None, :], mask=live[:, None] & inside[None, :], other=0)
            if GROUP == K:
                total = tl.dot(part, tl.trans(tile.to(kind)), total, input_precision=PRECISION)
            else:
                # BLOCK_K is one group.
                factor = tl.load(scale + n * (K // GROUP) + start // GROUP, mask=live, other=0.0)
                total += tl.dot(part, tl.trans(tile.to(kind)), input_precision=PRECISION) * factor[None, :]
        if GROUP == K:
            total = total * tl.load(scale + n, mask=live, other=0.0)[None, :]
    else:
        # One span of 128 columns a step. Scales belong to groups: each group's sums are scaled, not its weights.
        c = tl.arange(0, 16)
        GROUPS: tl.constexpr = 128 // GROUP
        for span in tl.range(begin // 128, (begin + COLUMNS) // 128, num_stages=STAGES):
            words = tl.load(w + n[:, None] * (K // 8) + (span * 16 + c)[None, :], mask=live[:, None], other=0)
            for g in tl.static_range(GROUPS):
                k = span * 128 + g * GROUP + tl.arange(0, GROUP)
                part = tl.load(x + rows[:, None] + k[None, :], mask=real[:, None], other=0.0)
                codes = _codes(words, table, g * (8 // GROUPS), 8 // GROUPS, FORMAT == 3, kind)
                dot = tl.dot(part, tl.trans(codes), input_precision=PRECISION)
                near = n * (K // GROUP) + span * GROUPS + g
                factor = tl.load(scale + near, mask=live, other=0.0).to(tl.float32)
                total += dot * factor[None, :]
                if FORMAT == 2:
                    least = tl.load(minimum + near, mask=live, other=0.0).to(tl.float32) - 128.0 * factor
                    total += tl.sum(part.to(tl.float32), 1)[:, None] * least[None, :]
    if GATED:
        gate, up = tl.split(tl.reshape(total, (BLOCK_R, HALF, 2)))
        out = pid * HALF + tl.arange(0, HALF)
        target = y + r.to(tl.int64)[:, None] * N + out[None, :]
        gate = gelu(gate.to(kind).to(tl.float32)).to(kind).to(tl.float32)
        tl.store(target, gate * up.to(kind).to(tl.float32), mask=real[:, None] & (out < N)[None, :])
    else:
        tl.store(y + r.to(tl.int64)[:, None] * N + n[None, :], total, mask=real[:, None] & live[None, :])


@triton.jit
def _dequantise_kernel(
    w, scale, minimum, table, out, K: tl.constexpr, GROUP: tl.constexpr, FORMAT: tl.constexpr, TILED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(1).to(tl.int64)
    k = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = k < K
    if TILED:
        block = (row // 8) * (K // 128) + k // 128
        word = tl.load(w + (block * 32 + (row % 8) * 4 + k % 32 // 8) * 4 + k % 128 // 32, mask=live, other=0)
        code = (word >> (16 * (k % 2) + k % 8 // 2 * 4)) & 15
        at = ((block * 8 + row % 8) * (128 // GROUP) + k % 128 // GROUP) * 2
        value = code.to(tl.float32) * tl.load(scale + at, mask=live, other=0.0).to(tl.float32)
        value += tl.load(scale + at + 1, mask=live, other=0.0).to(tl.float32)
    else:
        at = row * (K // GROUP) + k // GROUP
        factor = tl.load(scale + at, mask=live, other=0.0).to(tl.float32)
        if FORMAT == 1:
            value = tl.load(w + row * K + k, mask=live, other=0).to(tl.float32) * factor
        else:
            word = tl.load(w + row * (K // 8) + (k // 128) * 16 + k % 16, mask=live, other=0)
            code = (word >> (4 * ((k % 128) // 16))) & 15
            if FORMAT == 2:
                value = code.to(tl.float32) * factor + tl.load(minimum + at, mask=live, other=0.0).to(tl.float32)
            else:
                value = tl.load(table + code) * factor
    tl.store(out + row * K + k, value, mask=live)


def dequantise(weight: Weight, dtype: torch.dtype, table: Tensor | None = None) -> Tensor:
    """The dense matrix (out, in) that a packed one stands for, rounded to `dtype`."""
    if weight.format == "dense":
        return weight.data.to(dtype)
    rows, columns = weight.out_features, weight.in_features
    out = torch.empty(rows, columns, dtype=dtype, device=weight.data.device)
    unused = weight.scale
    _dequantise_kernel[(triton.cdiv(columns, 1024), rows)](
        weight.data, weight.scale, unused if weight.minimum is None else weight.minimum,
        unused if table is None else table, out,
        K=columns, GROUP=weight.group_size or columns, FORMAT=FORMATS[weight.format], TILED=weight.tiled, BLOCK=1024,
        num_warps=4,
    )  # fmt: skip
    return out


def matmul(
    x: Tensor,
    weight: Weight,
    *,
    gate: bool = False,
    table: Tensor | None = None,
    out: Tensor | None = None,
    block_n: int | None = None,
    block_k: int = 128,
    num_warps: int = 4,
    stages: int = 4,
    parts: int = 1,
    pdl: bool = False,
) -> Tensor:
    """Rows (T, K) times W^T: (T, N), or (T, N/2) of gelu(gate) * up when the rows of W are gate, then up.

    Args:
        table: (16,) float32, the values of NF4's codes; needed for that format.
        out: written and returned, if given.
        block_n, block_k, num_warps, stages: the tile, for up to 64 rows.
        parts: equal parts of the columns, each summed into its own (T, N) of `out` (parts, T, N), for up to 64 rows.
        pdl: started by programmatic dependent launch (up to 64 rows).
    """
    rows, columns = x.shape
    if rows > MOST_ROWS:
        product = F.linear(x, dequantise(weight, x.dtype, table))
        product = gated(product) if gate else product
        return product if out is None else out.copy_(product)
    width = weight.out_features // (2 if gate else 1)
    out = x.new_empty(rows, width) if out is None else out
    if weight.tiled:
        tiled_product(weight, x.contiguous(), out, gated=gate, pdl=pdl)
        return out
    block_r = max(16, triton.next_power_of_2(rows))
    block_n = block_n or (64 if weight.out_features >= 8192 else 32)
    group = weight.group_size or columns
    if weight.format == "int8" and group != columns:
        block_k = group
    unused = out
    if parts > 1 and (gate or out.shape != (parts, rows, width) or columns % (parts * 128)):
        raise ValueError(f"matmul: {columns} columns cannot be summed in {parts} parts here")
    grid = (triton.cdiv(width, block_n // 2 if gate else block_n), triton.cdiv(rows, block_r), parts)
    options = {"launch_pdl": True} if pdl else {}
    _matmul_kernel[grid](
        x, weight.data,
        unused if weight.scale is None else weight.scale,
        unused if weight.minimum is None else weight.minimum,
        unused if table is None else table,
        out, rows, width, x.stride(0),
        K=columns, GROUP=group, FORMAT=FORMATS[weight.format], GATED=gate, BLOCK_R=block_r, BLOCK_N=block_n,
        BLOCK_K=block_k, STAGES=stages, PARTS=parts, PDL=pdl, PRECISION="ieee" if x.element_size() == 4 else "tf32",
        num_warps=num_warps, **options,
    )  # fmt: skip
    return out
