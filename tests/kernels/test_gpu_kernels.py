"""Every Triton kernel against plain PyTorch in float32: on a GPU, or in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from aris.kernels.gpu.activation import gated, gated_reference
from aris.kernels.gpu.decode_attention import decode_attention
from aris.kernels.gpu.gated_product import fits, gated_product
from aris.kernels.gpu.matmul import dequantise, matmul
from aris.kernels.gpu.matvec import matvec
from aris.kernels.gpu.prefill_attention import prefill_attention
from aris.kernels.gpu.rows import add_norm, embed, finish_heads
from aris.kernels.gpu.weights import Weight, pack_words, stack
from aris.model.norms import RMSNorm
from aris.model.rope import rope_tables, rotate
from triton_interpreter import DEVICE

EPS = 1e-6
TABLE = torch.linspace(-1, 1, 16, device=DEVICE) ** 3  # any 16 values will do as a code table


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(5)


def rand(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, device=DEVICE)


def weight_of(kind: str, rows: int, columns: int, group: int = 0) -> Weight:
    """A random matrix in one of the formats."""
    group = group or columns
    if kind == "dense":
        return Weight("dense", rand(rows, columns))
    if kind == "int8":
        data = torch.randint(-128, 128, (rows, columns), device=DEVICE).to(torch.int8)
        return Weight("int8", data, torch.rand(rows, columns // group, device=DEVICE) * 0.02 + 0.001, None, group)
    data = pack_words(torch.randint(0, 256, (rows, columns // 2), device=DEVICE).to(torch.uint8), group)
    scale = torch.rand(rows, columns // group, device=DEVICE) * 0.2 + 0.01
    if kind == "nf4":
        return Weight("nf4", data, scale, None, group)
    return Weight("int4", data, scale.bfloat16(), rand(rows, columns // group).bfloat16(), group)


def dense(weight: Weight) -> torch.Tensor:
    """The matrix that a weight stands for, by the definition of its format."""
    if weight.format == "dense":
        return weight.data.float()
    assert weight.scale is not None
    scale = weight.scale.float().repeat_interleave(weight.group_size, 1)
    if weight.format == "int8":
        return weight.data.float() * scale
    words = weight.data.view(weight.out_features, -1, 1, 16)
    codes = (
        ((words >> (4 * torch.arange(8, device=DEVICE)).view(1, 1, 8, 1)) & 15).reshape(weight.out_features, -1).long()
    )
    if weight.format == "nf4":
        return TABLE[codes] * scale
    assert weight.minimum is not None
    return codes * scale + weight.minimum.float().repeat_interleave(weight.group_size, 1)


def close(got: torch.Tensor, wanted: torch.Tensor, tolerance: float = 2e-6) -> None:
    assert got.shape == wanted.shape
    apart = (got.float() - wanted.float()).norm() / wanted.float().norm()
    assert apart < tolerance, f"apart by {float(apart):.2e}"


KINDS = [("dense", 0), ("int8", 0), ("int8", 32), ("int4", 64), ("int4", 32), ("nf4", 64)]


@pytest.mark.parametrize(("kind", "group"), KINDS)
@pytest.mark.parametrize(("is_gated", "tiles"), [(False, 1), (True, 1), (True, 2), (False, 3)])
def test_matvec_of_a_plain_row(kind: str, group: int, is_gated: bool, tiles: int) -> None:
    weight, x = weight_of(kind, 40, 384, group), rand(384)
    out = torch.full((20 if is_gated else 40,), float("nan"), device=DEVICE)
    matvec(weight, out, x, table=TABLE, gated=is_gated, block_n=8, block_k=128, tiles=tiles)
    wanted = F.linear(x, dense(weight))
    close(out, gated_reference(wanted[None])[0] if is_gated else wanted, 1e-4 if kind == "int4" else 1e-5)


@pytest.mark.parametrize(("kind", "group"), KINDS)
def test_products_in_parts_of_the_columns_add_up(kind: str, group: int) -> None:
    weight, x = weight_of(kind, 40, 768, group), rand(5, 768)
    wanted = F.linear(x, dense(weight))
    one = torch.full((3, 40), float("nan"), device=DEVICE)
    matvec(weight, one, x[0], table=TABLE, block_n=8, block_k=128, parts=3)
    close(one.sum(0), wanted[0], 1e-4 if kind == "int4" else 1e-5)
    several = torch.full((3, 5, 40), float("nan"), device=DEVICE)
    matmul(x, weight, table=TABLE, out=several, block_n=32, block_k=64, parts=3)
    close(several.sum(0), wanted, 1e-5)
    with pytest.raises(ValueError, match="parts"):
        matvec(weight, one[:2], x[0], table=TABLE, parts=5)
    with pytest.raises(ValueError, match="parts"):
        matmul(x, weight, table=TABLE, out=several[:2], parts=5)


def normed(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    norm = RMSNorm(x.shape[-1], EPS).to(DEVICE)
    norm.weight.data = weight
    with torch.no_grad():
        return norm(x)


@pytest.mark.parametrize(("kind", "group"), KINDS)
@pytest.mark.parametrize("rows", [1, 5, 33])
def test_matmul(kind: str, group: int, rows: int) -> None:
    weight, x = weight_of(kind, 48, 256, group), rand(rows, 256)
    close(matmul(x, weight, table=TABLE, block_n=32, block_k=64), F.linear(x, dense(weight)), 1e-5)
    close(
        matmul(x, weight, gate=True, table=TABLE, block_n=32, block_k=64),
        gated_reference(F.linear(x, dense(weight))),
        1e-5,
    )


@pytest.mark.parametrize(("kind", "group"), KINDS)
def test_dequantise_and_the_product_of_many_rows(kind: str, group: int) -> None:
    weight = weight_of(kind, 16, 256, group)
    close(dequantise(weight, torch.float32, TABLE), dense(weight))
    x = rand(70, 256)
    close(matmul(x, weight, table=TABLE), F.linear(x, dense(weight)), 1e-5)


def test_stacked_matrices_are_one_below_the_other() -> None:
    parts = [weight_of("int4", 8, 128, 64), weight_of("int4", 16, 128, 64)]
    close(dense(stack(parts)), torch.cat([dense(part) for part in parts]))
    with pytest.raises(ValueError, match="width and format"):
        stack([parts[0], weight_of("dense", 8, 128)])


def test_words_hold_the_codes_of_the_packed_format() -> None:
    packed = torch.randint(0, 256, (5, 128), device=DEVICE).to(torch.uint8)
    for group in (32, 64, 128):
        weight = Weight(
            "int4", pack_words(packed, group), torch.ones(5, 256 // group), torch.zeros(5, 256 // group), group
        )
        parts = packed.view(5, 256 // group, group // 2)
        codes = torch.cat((parts & 15, parts >> 4), 2).reshape(5, 256)
        close(
            dense(Weight(weight.format, weight.data, weight.scale.to(DEVICE), weight.minimum.to(DEVICE), group)), codes
        )
    with pytest.raises(ValueError, match="128"):
        pack_words(packed[:, :32], 64)


def test_gated_activation_over_a_wide_range() -> None:
    both = rand(3, 2 * 1500) * 20
    both[0, :4] = torch.tensor([-200.0, 200.0, 0.0, -1e-30])
    close(gated(both), gated_reference(both))


def test_a_product_that_ends_in_its_gate() -> None:
    x, weight = rand(37, 64), rand(64, 64) * 0.2
    got = gated_product(x, weight, block_m=16, block_n=16, block_k=32, num_warps=4)
    close(got, gated_reference(F.linear(x, weight)))
    assert not fits(4096, weight), "float32 has its own way"
    assert not fits(16, rand(256, 64).bfloat16()), "few rows do not fill the tiles"


def test_add_norm() -> None:
    residual, branch, post, pre = rand(5, 96), rand(5, 96) * 4, rand(96) * 0.1, rand(96) * 0.1
    out, onward = torch.empty_like(residual), torch.empty_like(residual)
    add_norm(residual, pre, EPS, out, branch=branch, post_weight=post, residual_out=onward)
    close(onward, residual + normed(branch, post))
    close(out, normed(onward, pre))
    add_norm(residual, pre, EPS, out)
    close(out, normed(residual, pre))
    parts = rand(3, 5, 96)
    add_norm(residual, pre, EPS, out, branch=parts, post_weight=post, residual_out=onward)
    close(out, normed(residual + normed(parts.sum(0), post), pre))


@pytest.mark.parametrize(("kind", "group"), [("dense", 0), ("int8", 0), ("int4", 64)])
def test_embedding_and_angles(kind: str, group: int) -> None:
    weight = weight_of(kind, 50, 128, group)
    ids = torch.tensor([3, 49, 0], device=DEVICE)
    positions = torch.tensor([0, 77, 131_071], device=DEVICE)
    exponents = torch.arange(0, 32, 2, device=DEVICE) / 32
    far, near = 1.0 / (1e6**exponents) / 8.0, 1.0 / (1e4**exponents)
    x, tables = torch.empty(3, 128, device=DEVICE), tuple(torch.empty(3, 16, device=DEVICE) for _ in range(4))
    embed(ids, positions, weight, far, near, 11.25, x, tables)  # type: ignore[arg-type]
    close(x, dense(weight)[ids] * 11.25)
    for (theta, factor), (cos, sin) in zip([(1e6, 8.0), (1e4, 1.0)], [tables[:2], tables[2:]], strict=True):
        wanted = rope_tables(positions[None], 32, theta, factor, torch.float32)
        close(cos, wanted[0][0, 0, :, :16], 1e-4)
        close(sin, wanted[1][0, 0, :, :16], 1e-4)


def heads_by_hand(
    qkv: torch.Tensor, q_norm: torch.Tensor, k_norm: torch.Tensor, positions: torch.Tensor, heads: int, kv_heads: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries (T, H, D), keys and values (T, K, D) as `model/decoder.py` makes them."""
    dim = len(q_norm)
    split = qkv.view(len(qkv), -1, dim)
    tables = rope_tables(positions[None], dim, 1e4, 1.0, torch.float32)
    query = rotate(normed(split[:, :heads], q_norm).transpose(0, 1)[None], tables)[0].transpose(0, 1)
    key = rotate(normed(split[:, heads : heads + kv_heads], k_norm).transpose(0, 1)[None], tables)[0].transpose(0, 1)
    return query, key, split[:, heads + kv_heads :]


def half_tables(positions: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    cos, sin = rope_tables(positions[None], dim, 1e4, 1.0, torch.float32)
    return cos[0, 0, :, : dim // 2].contiguous(), sin[0, 0, :, : dim // 2].contiguous()


def test_heads_are_normed_turned_and_written_where_they_belong() -> None:
    heads, kv_heads, dim, rows = 4, 2, 32, 6
    qkv, q_norm, k_norm = rand(rows, (heads + 2 * kv_heads) * dim), rand(dim) * 0.2, rand(dim) * 0.2
    positions = torch.tensor([0, 5, 9, 100, 3, 4], device=DEVICE)
    places = torch.tensor([7, 0, -1, 3, 12, 11], device=DEVICE)
    pool = (torch.full((13, kv_heads, dim), 9.0, device=DEVICE), torch.full((13, kv_heads, dim), 9.0, device=DEVICE))
    query, copy = torch.empty(rows, heads, dim, device=DEVICE), (torch.empty(rows, kv_heads, dim, device=DEVICE),) * 1
    copy = (copy[0], torch.empty_like(copy[0]))
    finish_heads(qkv, q_norm, k_norm, half_tables(positions, dim), EPS, heads, kv_heads, query, pool, places, copy=copy)
    wanted = heads_by_hand(qkv, q_norm, k_norm, positions, heads, kv_heads)
    close(query, wanted[0])
    close(copy[0], wanted[1])
    close(copy[1], wanted[2])
    for row, place in enumerate(places.tolist()):
        if place >= 0:
            close(pool[0][place], wanted[1][row])
            close(pool[1][place], wanted[2][row])
    assert bool((pool[0][1] == 9.0).all()), "an entry that no row owns was written"


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 2), (4, 1), (2, 2)])
@pytest.mark.parametrize("dot", [False, True])
def test_decode_attention(dot: bool, fused: bool, local: bool, heads: int, kv_heads: int) -> None:
    dim, window, ring, page, rows = 32, 40, 104, 64, 3
    positions = torch.tensor([0, 170, 63], device=DEVICE)
    slots = torch.tensor([2, 1, 3], device=DEVICE)
    tables = torch.tensor([[5, 0, 0], [1, 4, 2], [3, 0, 0]], dtype=torch.int32, device=DEVICE)
    shape = (4, ring, kv_heads, dim) if local else (6, page, kv_heads, dim)
    pool = (rand(*shape), rand(*shape))
    qkv, q_norm, k_norm = rand(rows, (heads + 2 * kv_heads) * dim), rand(dim) * 0.2, rand(dim) * 0.2
    query, key, value = heads_by_hand(qkv, q_norm, k_norm, positions, heads, kv_heads)
    after = (pool[0].clone(), pool[1].clone())

    def spot(row: int, position: int) -> tuple[int, int]:
        if local:
            return int(slots[row]), position % ring
        return int(tables[row, position // page]), position % page

    for row in range(rows):
        place = spot(row, int(positions[row]))
        after[0][place], after[1][place] = key[row], value[row]
    wanted = torch.empty(rows, heads, dim, device=DEVICE)
    for row in range(rows):
        newest = int(positions[row])
        places = [spot(row, p) for p in range(max(0, newest - window + 1) if local else 0, newest + 1)]
        keys = torch.stack([after[0][place] for place in places], 1).repeat_interleave(heads // kv_heads, 0)
        values = torch.stack([after[1][place] for place in places], 1).repeat_interleave(heads // kv_heads, 0)
        wanted[row] = F.scaled_dot_product_attention(query[row, :, None], keys, values, scale=0.2)[:, 0]

    splits = 4
    work = (
        torch.full((rows * kv_heads * splits * heads // kv_heads * dim,), float("nan"), device=DEVICE),
        torch.full((2 * rows * heads * splits,), float("nan"), device=DEVICE),
        torch.zeros(rows * kv_heads, dtype=torch.int32, device=DEVICE),
    )
    out = torch.full((rows, heads, dim), float("nan"), device=DEVICE)
    given = {"qkv": qkv, "norms": (q_norm, k_norm), "rope": half_tables(positions, dim)} if fused else {"query": query}
    decode_attention(
        out, pool if fused else after, positions, slots, scale=0.2, splits=splits, workspace=work, eps=EPS, dot=dot,
        window=window if local else None, tables=None if local else tables, block_s=16, **given,  # type: ignore[arg-type]
    )  # fmt: skip
    close(out, wanted, 1e-5)
    assert not work[2].any(), "the counters must be left at zero for the next layer"
    if fused:
        close(pool[0], after[0])
        close(pool[1], after[1])


def test_prefill_attention_over_ranges() -> None:
    heads, kv_heads, dim, tokens, earlier = 4, 2, 32, 75, 20
    query, key, value = rand(1, tokens, heads, dim), *(rand(1, earlier + tokens, kv_heads, dim) for _ in range(2))
    index = torch.arange(tokens, device=DEVICE, dtype=torch.int32) + earlier
    last = index.clone()
    last[30:46] = earlier + 45  # an image: its tokens see to its end
    for window in (None, 24):
        first = torch.zeros_like(index) if window is None else (index - window + 1).clamp(min=0)
        seen = torch.arange(earlier + tokens, device=DEVICE)
        mask = (seen >= first[:, None]) & (seen <= last[:, None])
        wanted = F.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), attn_mask=mask, scale=0.3,
            enable_gqa=True,
        )  # fmt: skip
        got = prefill_attention(
            query, key, value, scale=0.3, first=first, last=last, block_m=16, block_n=16, num_warps=4
        )
        close(got, wanted.transpose(1, 2).flatten(2), 1e-5)


@pytest.mark.parametrize("dim", [24, 40])
def test_attention_of_a_tower_whose_heads_are_no_power_of_two(dim: int) -> None:
    qkv = rand(2, 50, 3 * 2 * dim)
    query, key, value = (part.unflatten(2, (2, dim)) for part in qkv.chunk(3, 2))
    wanted = F.scaled_dot_product_attention(
        query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), scale=dim**-0.5
    )
    got = prefill_attention(query, key, value, scale=dim**-0.5, block_m=16, block_n=16, num_warps=4)
    close(got, wanted.transpose(1, 2).flatten(2), 1e-5)
