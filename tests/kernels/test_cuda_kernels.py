"""The CUDA C++ kernels against plain PyTorch: on a GPU, or emulated on a CPU (`emulated_cuda.py`)."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import emulated_cuda
import pytest
import torch
import torch.nn.functional as F

from aris.kernels.gpu import row_attention, tiles, tower_attention
from aris.kernels.gpu.activation import gated_reference
from aris.kernels.gpu.cuda_source import why_not
from aris.kernels.gpu.matmul import dequantise
from aris.kernels.gpu.tiles import Norm, parts_of, plan, tiled_product
from aris.kernels.gpu.weights import Weight, pack_tiles, stack
from triton_interpreter import DEVICE

EPS = 1e-6
PROCESSORS = 5  # of the emulated device: few, so that a thread block has several tiles


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(7)
    if DEVICE == "cuda":
        if why_not():
            pytest.skip(why_not())
        return
    if emulated_cuda.compiler() is None:
        pytest.skip("no C++ compiler")
    for module in (tiles, row_attention, tower_attention):
        monkeypatch.setattr(module, "kernel", emulated_cuda.kernel)
    for module in (tiles, tower_attention):
        monkeypatch.setattr(module, "processors", lambda device: PROCESSORS)
    monkeypatch.setattr(tower_attention, "tensor_map", emulated_cuda.tensor_map)
    monkeypatch.setattr(tiles, "_depth", lambda device: 3)
    monkeypatch.setattr(tiles, "block_memory", lambda device: 227 << 10)
    monkeypatch.setattr(row_attention, "clusters", lambda kv_heads, device: 2)


def matrix(rows: int, columns: int, group: int) -> tuple[Weight, torch.Tensor]:
    """An int4 matrix in tiles, and what it stands for by the definition of the format, in float64."""
    packed = torch.randint(0, 256, (rows, columns // 2), device=DEVICE, dtype=torch.uint8)
    scale = (torch.rand(rows, columns // group, device=DEVICE) * 0.1 + 0.01).bfloat16()
    minimum = torch.randn(rows, columns // group, device=DEVICE).bfloat16()
    parts = packed.view(rows, -1, group // 2)
    codes = torch.cat((parts & 15, parts >> 4), 2).view(rows, columns)
    wide = [part.double().repeat_interleave(group, 1) for part in (scale, minimum)]
    return pack_tiles(packed, scale, minimum, group), codes.double() * wide[0] + wide[1]


def apart(got: torch.Tensor, wanted: torch.Tensor) -> float:
    assert got.shape == wanted.shape
    return float((got.double() - wanted.double()).norm() / wanted.double().norm())


@pytest.mark.parametrize("group", [32, 64, 128])
def test_tiles_hold_the_codes_and_scales_of_the_packed_format(group: int) -> None:
    weight, dense = matrix(64, 384, group)
    assert apart(dequantise(weight, torch.float32), dense) < 1e-6
    both = stack([weight, weight])
    assert apart(dequantise(both, torch.float32), torch.cat((dense, dense))) < 1e-6
    assert both.tiled and both.in_features == 384
    with pytest.raises(ValueError, match="width and format"):
        stack([weight, Weight("int4", weight.data, weight.scale, None, group)])
    with pytest.raises(ValueError, match="tiles"):
        pack_tiles(torch.zeros(8, 64, dtype=torch.uint8), torch.zeros(8, 2).bfloat16(), torch.zeros(8, 2), group)


@pytest.mark.parametrize(("split", "shape"), [(True, (3, 20)), (True, (40, 2)), (False, (3, 20)), (True, (80, 16))])
def test_a_plan_covers_every_unit_and_counts_who_shares_a_tile(split: bool, shape: tuple[int, int]) -> None:
    count, spans = shape
    cut = plan(count, spans, 2, split, True, 132, 3, 227 << 10)
    assert cut is not None and cut.blocks <= 132 and cut.shared <= 227 << 10
    blocks = range(cut.blocks + 1)
    bounds = [b * count * spans // cut.blocks if split else b * count // cut.blocks * spans for b in blocks]
    assert bounds[0] == 0 and bounds[-1] == count * spans
    owners = [sum(a < (t + 1) * spans and b > t * spans for a, b in pairwise(bounds)) for t in range(count)]
    assert min(owners) >= 1 and max(owners) == cut.parts


@pytest.mark.parametrize(
    ("rows", "shape", "group"), [(1, (192, 384), 64), (1, (64, 512), 32), (1, (64, 256), 128), (6, (128, 256), 64)]
)
def test_products_of_few_rows(rows: int, shape: tuple[int, int], group: int) -> None:
    check_product(rows, shape, group)


@pytest.mark.parametrize("rows", [1, 6])
def test_products_where_there_is_little_shared_memory(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """More blocks than processors, and fewer units ahead."""
    room = 38 << 10 if rows == 1 else 45 << 10
    monkeypatch.setattr(tiles, "block_memory", lambda device: room)
    monkeypatch.setattr(tiles, "processors", lambda device: 1)
    cut = tiles._plan(192 // 32, 384 // 128, 2, True, rows == 1, 0)
    assert cut is not None and cut.blocks == 2 and cut.depth == 2 and cut.shared <= room
    check_product(rows, (192, 384), 64)


@pytest.mark.parametrize(("rows", "shape", "group"), [(9, (128, 384), 64), (20, (64, 512), 32), (64, (64, 256), 128)])
def test_products_of_many_rows(rows: int, shape: tuple[int, int], group: int) -> None:
    check_product(rows, shape, group)


def check_product(rows: int, shape: tuple[int, int], group: int) -> None:
    weight, dense = matrix(*shape, group)
    x = torch.randn(rows, shape[1], device=DEVICE).bfloat16()
    wanted = x.double() @ dense.T
    out = torch.full((rows, shape[0]), float("nan"), device=DEVICE)
    tiled_product(weight, x, out)
    assert apart(out, wanted) < 1e-5
    parts = torch.full((parts_of(weight, rows), rows, shape[0]), float("nan"), device=DEVICE)
    tiled_product(weight, x, parts)
    assert apart(parts.sum(0), wanted) < 1e-5
    half = torch.full((rows, shape[0] // 2), float("nan"), device=DEVICE).bfloat16()
    tiled_product(weight, x, half, gated=True)
    assert apart(half, gated_reference(wanted.float().bfloat16())) < 4e-3
    with pytest.raises(ValueError, match="into"):
        tiled_product(weight, x, out[:, 1:])


def normed(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """RMSNorm of bfloat16 rows, rounded once."""
    wide = x.float()
    return (wide * torch.rsqrt((wide * wide).mean(-1, keepdim=True) + EPS) * (1 + weight.float())).bfloat16()


@pytest.mark.parametrize("parts", [0, 3])
def test_a_product_that_makes_its_row_by_the_norms_before_it(parts: int) -> None:
    weight, dense = matrix(64, 640, 64)
    residual = torch.randn(640, device=DEVICE).bfloat16()
    post, pre = ((torch.randn(640, device=DEVICE) * 0.1).bfloat16() for _ in range(2))
    branch = torch.randn(parts, 640, device=DEVICE) if parts else None
    onward = residual if branch is None else residual + normed(branch.sum(0).bfloat16(), post)
    got_onward = torch.full_like(residual, float("nan"))
    out = torch.full((1, 64), float("nan"), device=DEVICE)
    tiled_product(weight, residual[None], out, norm=Norm(branch, residual, got_onward, post, pre, EPS))
    # bfloat16 may be rounded to the other side where two float32 sums differ in the last bit.
    assert apart(out[0], normed(onward, pre).double() @ dense.T) < 1e-3
    if parts:
        assert apart(got_onward, onward) < 1e-3


def turned(heads: torch.Tensor, weight: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Heads (H, D) after QK-norm and RoPE, rounded as in `model/decoder.py`."""
    wide = normed(heads, weight).float()
    first, second = wide.chunk(2, -1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1).bfloat16()


@pytest.mark.parametrize(
    ("local", "dim", "heads", "kv_heads", "position"),
    [
        (True, 256, 2, 1, 70),
        (False, 256, 2, 1, 70),
        (True, 128, 4, 2, 0),
        (False, 128, 2, 1, 1500),
        (True, 128, 2, 1, 1500),
    ],
)
def test_attention_of_one_row(local: bool, dim: int, heads: int, kv_heads: int, position: int) -> None:
    ring, window, pages = 1088, 1024, position // 64 + 1
    pool = tuple(
        torch.randn((2, ring, kv_heads, dim) if local else (pages + 1, 64, kv_heads, dim), device=DEVICE).bfloat16()
        for _ in range(2)
    )
    after = tuple(part.clone() for part in pool)
    qkv = torch.randn(1, (heads + 2 * kv_heads) * dim, device=DEVICE).bfloat16()
    norms = tuple((torch.randn(dim, device=DEVICE) * 0.2).bfloat16() for _ in range(2))
    angle = torch.rand(1, dim // 2, device=DEVICE) * 6
    table = torch.randperm(pages, device=DEVICE).to(torch.int32) + 1

    split = qkv.view(-1, dim)
    seen = torch.arange(max(0, position - window + 1) if local else 0, position + 1, device=DEVICE)
    places = ring + seen % ring if local else table[seen // 64] * 64 + seen % 64
    flat = tuple(part.view(-1, kv_heads, dim) for part in after)
    flat[0][places[-1]] = turned(split[heads : heads + kv_heads], norms[1], angle)
    flat[1][places[-1]] = split[heads + kv_heads :]
    keys, values = (part[places].transpose(0, 1).double().repeat_interleave(heads // kv_heads, 0) for part in flat)
    query = turned(split[:heads], norms[0], angle).double()
    wanted = F.scaled_dot_product_attention(query[:, None], keys, values, scale=dim**-0.5)[:, 0]

    space = row_attention.workspace(heads, kv_heads, dim, torch.device(DEVICE))
    got = torch.full((1, heads, dim), float("nan"), device=DEVICE).bfloat16()
    for _ in range(2):  # the counters are left as they were
        row_attention.attend_row(
            got, pool, torch.tensor([position], device=DEVICE), torch.tensor([1], device=DEVICE), scale=dim**-0.5,
            space=space, qkv=qkv, norms=norms, rope=(angle.cos(), angle.sin()), eps=EPS,
            window=window if local else None, tables=None if local else table[None],
        )  # fmt: skip
        assert apart(got[0], wanted) < 5e-3
        assert not space[2].any()
    for mine, theirs in zip(pool, after, strict=True):
        assert apart(mine, theirs) < 1e-4


@pytest.mark.parametrize(("early", "images", "patches", "heads", "blocks"), [
    (False, 2, 640, 1, 2), (True, 2, 640, 1, 2), (False, 2, 384, 2, 1), (True, 3, 128, 3, 2), (False, 9, 128, 16, 1),
])  # fmt: skip
def test_attention_of_a_tower_with_heads_of_72(
    early: bool, images: int, patches: int, heads: int, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More blocks of keys than buffers, more tiles than processors, and last tiles of a head that are not full."""
    if DEVICE == "cuda" and torch.cuda.get_device_capability() != (9, 0):
        pytest.skip("for Hopper")
    if DEVICE == "cpu":
        images, heads = min(images, 3), min(heads, 3)
        monkeypatch.setattr(tower_attention, "processors", lambda device: blocks)
        monkeypatch.setattr(tower_attention, "kernel", partial(emulated_cuda.kernel, EARLY=int(early)))
    query = (1.5 * torch.randn(images, patches, heads, 72, device=DEVICE)).bfloat16()
    key_value = (1.5 * torch.randn(2, heads, 72, images, patches, device=DEVICE)).bfloat16()
    key_value[0, ..., patches // 3 :] += 0.5  # later keys score higher than all before
    got = tower_attention.tower_attention(query, key_value)
    wanted = tower_attention.tower_attention_reference(query.double(), key_value.double())
    assert got.shape == wanted.shape and apart(got, wanted) < 4e-3
