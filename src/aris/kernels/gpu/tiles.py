"""1 to 64 rows times an int4 matrix in tiles, by CUDA C++ kernels (`tiles.cu`, `tiles_many.cu`).

Triton cannot be told which thread holds which weight, so there codes pass through shared memory on their way to the
matrix units, or are multiplied outside of them at 5 instructions a weight. Here it is 2, for one row and for eight.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import pairwise, product

import torch
from torch import Tensor

from aris.kernels.gpu.cuda_source import compiles, kernel, why_not
from aris.kernels.gpu.device import SMALL_BLOCK_MEMORY, block_memory, processors
from aris.kernels.gpu.weights import Weight

MOST_ROWS = 64
# Of `tiles.cu`: warps of a thread block, and units that a warp asks for ahead. Six units fill so much of an H100's
# shared memory that a processor takes one block: blocks of two kernels side by side leave some with two of the same.
_WARPS, _DEPTH, _SMALL_DEPTH = 8, 6, 3
# Of `tiles_many.cu`: parts of the columns that a matrix of few rows is cut into.
_MANY_DEPTH, _MANY_PARTS = 4, 4


@dataclass(frozen=True)
class Norm:
    """The row that a product reads, as the norms before it make it (see `rows.add_norm`).

    Attributes:
        branch: (P, K) float32, parts of the product before it; None at the first layer.
        residual, residual_out: (K,) bfloat16, not the same memory; the latter is written if there is a branch.
        post, pre: (K,) bfloat16, the norms' weights, w of 1 + w.
    """

    branch: Tensor | None
    residual: Tensor
    residual_out: Tensor
    post: Tensor | None
    pre: Tensor
    eps: float


@dataclass(frozen=True)
class Plan:
    """Plan of a product of up to 8 rows and a matrix: how it is cut up.

    Attributes:
        blocks: thread blocks, one wave if there is room.
        parts: results that have to be added up.
        slots: tiles that a warp has at most.
        depth: units that a warp asks for ahead.
        shared: bytes of shared memory.
    """

    blocks: int
    parts: int
    slots: int
    depth: int
    shared: int


def can_tile(rows: int, columns: int, group_size: int) -> bool:
    """Return whether a matrix can be laid out in tiles, and this machine has the kernels for them."""
    fits = rows % 64 == 0 and columns % 128 == 0 and group_size in (32, 64, 128)
    if not (fits and torch.cuda.is_available() and _works(device := torch.cuda.current_device())):
        return False
    shape = (rows // 32, columns // 128, 128 // group_size)
    return all(_plan(*shape, split, one, device) is not None for split in (True, False) for one in (True, False))


def _plan(tiles: int, spans: int, groups: int, split: bool, one: bool, device: int) -> Plan | None:
    return plan(tiles, spans, groups, split, one, processors(device), _depth(device), block_memory(device))


@functools.cache
def _works(device: int) -> bool:
    """Return whether the kernels compile for a device; if not, Triton's are used."""
    if why_not() or torch.cuda.get_device_capability(device) < (8, 0):
        return False
    shape = {"NORM": 0, "SPLIT": 0, "BRANCH": 0, "PAIRS": 1, "WARPS": _WARPS, "DEPTH": _depth(device)}
    return compiles(
        lambda: kernel("tiles.cu", "product", device, ONE=1, **shape, GATED=0, GS=2, WIDE=0),
        "int4 weights are read by Triton's kernels, which is slower",
    )


def _depth(device: int) -> int:
    return _DEPTH if block_memory(device) > SMALL_BLOCK_MEMORY else _SMALL_DEPTH


@functools.cache
def plan(
    tiles: int, spans: int, groups: int, split: bool, one: bool, processors: int, depth: int, room: int
) -> Plan | None:
    """Cut `tiles` tiles of 32 rows and `spans` spans of 128 columns; `split` ones may be cut inside too.

    A block for each processor, or several where `room` bytes of shared memory are too few for so large ones; then with
    fewer units asked for ahead. None if nothing fits.
    """
    total = tiles * spans
    for ahead, waves in product(range(depth, 1, -1), (1, 2, 3, 4, 6, 8, 12, 16, 32, 64)):
        blocks = min(waves * processors, total if split else tiles)
        starts = [block * total // blocks if split else block * tiles // blocks * spans for block in range(blocks + 1)]
        runs = list(pairwise(starts))
        slots, reach = _most(runs, spans)
        shared = _WARPS * ahead * 4 * (512 + 8 * groups * 4) + _WARPS * slots * 32 * (1 if one else 8) * 4
        shared += reach * (4 * 4 + 128 * 2) if one else reach * groups * 8 * 4
        if shared <= room:
            return Plan(blocks, _owners(runs, tiles, spans) if split else 1, slots, ahead, shared)
    return None


def _owners(runs: list[tuple[int, int]], tiles: int, spans: int) -> int:
    """Of all tiles: the runs of units that share one at most."""
    return max(sum(first < (t + 1) * spans and past > t * spans for first, past in runs) for t in range(tiles))


def _most(runs: list[tuple[int, int]], spans: int) -> tuple[int, int]:
    """Of all runs of units: the tiles that a warp meets at most, and the spans whose inputs a block needs at most."""
    slots = reach = 0
    for first, past in runs:
        units = past - first
        reach = max(reach, units if (past - 1) // spans == first // spans else spans)
        for warp in range(_WARPS):
            begin, end = first + warp * units // _WARPS, first + (warp + 1) * units // _WARPS
            if end > begin:
                slots = max(slots, (end - 1) // spans - begin // spans + 1)
    return slots, reach


def parts_of(weight: Weight, rows: int) -> int:
    """Parts of the columns into which `tiled_product` cuts a matrix, if it may, to keep all processors busy."""
    device = weight.data.device.index or 0
    spans = weight.in_features // 128
    if rows <= 8:
        cut = _plan(weight.out_features // 32, spans, 128 // weight.group_size, True, rows == 1, device)
        assert cut is not None, "see can_tile"
        return cut.parts
    blocks = weight.out_features // 64
    return max(1, min(_MANY_PARTS, spans, 2 * processors(device) // blocks))


def tiled_product(
    weight: Weight,
    x: Tensor,
    out: Tensor,
    *,
    gated: bool = False,
    norm: Norm | None = None,
    pdl: bool = False,
) -> None:
    """`out` = x W^T for rows `x` (R, K) bfloat16, R up to 64.

    Args:
        weight: (N, K), or (2N, K) if `gated` (gate rows, then up rows; gelu(gate) * up), in tiles.
        out: (R, N) bfloat16; or (P, R, N) float32 with P = `parts_of(weight, R)`, results that have to be added up.
        norm: with one row, x is not read but made from this by every thread block.
        pdl: started by programmatic dependent launch.

    Raises:
        ValueError: `out` has another shape.
    """
    rows, columns = x.shape
    width = weight.out_features // (2 if gated else 1)
    split = out.dim() == 3
    parts = parts_of(weight, rows) if split else 1
    if tuple(out.shape) != ((parts, rows, width) if split else (rows, width)):
        raise ValueError(f"tiled_product: {rows} rows times {tuple(weight.data.shape)} words into {tuple(out.shape)}")
    assert weight.tiled and weight.scale is not None and not (split and gated) and (norm is None or rows == 1)
    shape = {"GATED": int(gated), "GS": 128 // weight.group_size, "WIDE": int(out.dtype == torch.float32)}
    device = x.device.index or 0
    if rows > 8:
        _many(weight, x, out, width, parts, shape, device, pdl=pdl)
        return
    one, tiles = rows == 1, weight.out_features // 32
    cut = _plan(tiles, columns // 128, shape["GS"], split, one, device)
    assert cut is not None, "see can_tile"
    program = kernel(
        "tiles.cu", "product", device, ONE=int(one), NORM=int(norm is not None), SPLIT=int(split),
        BRANCH=0 if norm is None or norm.branch is None else len(norm.branch),
        PAIRS=1 if norm is None else -(-columns // (2 * 32 * _WARPS)), WARPS=_WARPS, DEPTH=cut.depth, **shape,
    )  # fmt: skip
    made: tuple[Tensor | float | None, ...] = (None, None, None, None, None, 0.0)
    if norm is not None:
        made = (norm.branch, norm.residual, norm.residual_out, norm.post, norm.pre, float(norm.eps))
    program.launch(
        (cut.blocks, 1, 1), 32 * _WARPS, cut.shared,
        (weight.data, weight.scale, x, out, rows, columns, tiles, parts, cut.slots, *made), pdl=pdl,
    )  # fmt: skip


def _many(
    weight: Weight, x: Tensor, out: Tensor, width: int, parts: int, shape: dict[str, int], device: int, *, pdl: bool
) -> None:
    eights = 2 if len(x) <= 16 else 4 if len(x) <= 32 else 8
    # 64 or 128 rows a thread block: 128 where there are enough, as inputs then serve more of them.
    many = weight.out_features % 128 == 0 and weight.out_features // 128 >= processors(device)
    tiles = 2 if eights < 8 and many else 1
    warps = 4
    codes = 2 * tiles * (512 + 8 * shape["GS"] * 4)
    shared = _MANY_DEPTH * (eights * 8 * 256 + warps * codes) + 2 * shape["GS"] * 8 * eights * 4
    program = kernel(
        "tiles_many.cu", "product", device, NT=eights, TILES=tiles, WARPS=warps, DEPTH=_MANY_DEPTH, **shape
    )
    program.launch(
        (weight.out_features // (16 * tiles * warps), parts, 1), 32 * warps, shared,
        (weight.data, weight.scale, x, out, len(x), x.shape[1], width), pdl=pdl,
    )  # fmt: skip
