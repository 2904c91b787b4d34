"""The C++ products and head against plain sums of the same codes."""

from __future__ import annotations

import ctypes
import hashlib
import time
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from aris.kernels.cpu import library as lib
from aris.kernels.cpu.packing import (
    GROUP,
    PackedHead,
    alternate,
    pack_head,
    pack_matrix,
    quantize_groups,
    unpack_matrix,
)

SAME_EVERYWHERE = "c84c490d4d97bd247b5c0d00a04e00f8"

pytestmark = pytest.mark.skipif(lib.library() is None, reason=f"no compiled kernels here: {lib.why_not()}")


@pytest.fixture(autouse=True, params=lib.variants() or ("",))
def variant(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Every instruction set that this processor has."""
    monkeypatch.setenv("ARIS_CPU_KERNELS", request.param)
    lib._opened.cache_clear()
    yield request.param
    monkeypatch.undo()
    lib._opened.cache_clear()


@pytest.fixture(params=[1, 3])
def state(request: pytest.FixtureRequest, variant: str) -> Iterator[int]:
    """Of one thread, and of more than there are cores to spare."""
    found = lib.library()
    assert found is not None, lib.why_not()
    opened = found.aris_open(request.param)
    yield opened
    found.aris_close(opened)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(7)


def rounded(x: Tensor) -> Tensor:
    """Activations as the kernels see them, float64."""
    groups = x.view(len(x), -1, GROUP)
    largest = groups.abs().amax(2, keepdim=True)
    inverse = torch.where(largest > 0, 127.0 / largest, torch.zeros_like(largest))
    return (torch.round(groups * inverse).double() * (largest / 127.0).double()).view(x.shape)


def product(state: int, codes: Tensor, scales: Tensor, x: Tensor) -> Tensor:
    packed = pack_matrix(codes, scales)
    out = torch.empty(len(x), packed.outputs)
    matrix = lib.Matrix(packed.codes.data_ptr(), packed.scales.data_ptr(), packed.outputs, packed.columns)
    lib.library().aris_product(state, ctypes.byref(matrix), x.data_ptr(), len(x), out.data_ptr())
    return out


@pytest.mark.parametrize("rows", [1, 2, 3, 8, 21])
@pytest.mark.parametrize("shape", [(16, 32), (40, 96), (200, 640)])
def test_products_are_those_of_the_codes(state: int, rows: int, shape: tuple[int, int]) -> None:
    codes, scales = quantize_groups(torch.randn(shape))
    x = torch.randn(rows, shape[1]) * torch.logspace(-3, 3, shape[1])  # groups of very unlike sizes
    x[0, :GROUP] = 0
    dense = (codes.view(shape[0], -1, GROUP).double() * scales.double()[:, :, None]).view(shape)
    wanted = rounded(x) @ dense.T
    found = product(state, codes, scales, x)[:, : shape[0]]
    sizes = rounded(x).abs() @ dense.abs().T
    assert ((found - wanted).abs() <= 2e-6 * sizes + 1e-12).all()


def test_a_row_has_the_same_bits_alone_and_in_company(state: int) -> None:
    codes, scales = quantize_groups(torch.randn(112, 320))
    x = torch.randn(29, 320)
    together = product(state, codes, scales, x)
    for row in range(29):
        assert torch.equal(product(state, codes, scales, x[row : row + 1].clone())[0], together[row])


def test_packing_goes_there_and_back() -> None:
    codes, scales = quantize_groups(torch.randn(50, 96))
    packed = pack_matrix(codes, scales)
    dense = (codes.view(50, -1, GROUP).float() * scales.float()[:, :, None]).view(50, 96)
    back = unpack_matrix(packed)
    assert torch.equal(back[:50], dense) and not back[50:].any()
    gate, up = (quantize_groups(torch.randn(32, 64)) for _ in range(2))
    both = alternate(gate, up)
    assert torch.equal(both[0][16:32], up[0][:16]) and torch.equal(both[0][32:48], gate[0][16:])
    assert ((quantize_groups(dense)[0].int() - codes.int()).abs() <= 1).all()


class Scorer:
    """The head alone."""

    def __init__(self, state: int, head: PackedHead) -> None:
        self.state, self.head = state, head
        self.model = lib.Model(
            head=lib.Head(
                head.upper.data_ptr(), head.lower.data_ptr(), head.scales.data_ptr(), head.bounds.data_ptr(),
                head.parts.data_ptr(), head.units.data_ptr(), head.words, len(head.bounds), head.columns,
            ),
            embedding_scale=1.0,
        )  # fmt: skip

    def scores(self, x: Tensor) -> Tensor:
        out = torch.empty(len(x), self.head.words)
        lib.library().aris_scores(self.state, self.model, x.data_ptr(), len(x), out.data_ptr())
        return out

    def greedy(self, x: Tensor, banned: Tensor) -> tuple[Tensor, int]:
        words = torch.empty(len(x), dtype=torch.int64)
        scored = lib.library().aris_greedy(
            self.state, self.model, x.data_ptr(), len(x), banned.data_ptr(), len(banned), words.data_ptr()
        )
        return words, scored


def same_choice(scorer: Scorer, x: Tensor, banned: tuple[int, ...] = ()) -> int:
    """Greedy by bounds is the argmax of all scores, alone and by several rows; blocks that were scored for one row."""
    no = torch.tensor(banned, dtype=torch.int64)
    scores = scorer.scores(x)
    wanted = scores.index_fill(1, no, float("-inf")).argmax(1)
    assert torch.equal(scorer.greedy(x, no)[0], wanted)
    scored = 0
    for row in range(len(x)):
        alone = x[row : row + 1].clone()
        assert torch.equal(scorer.scores(alone)[0], scores[row])
        words, count = scorer.greedy(alone, no)
        assert words[0] == wanted[row]
        scored = max(scored, count)
    return scored


def test_scores_and_rows_of_the_head(state: int) -> None:
    codes, scales = quantize_groups(torch.randn(1003, 96))
    scorer = Scorer(state, pack_head(codes, scales))
    x = torch.randn(7, 96)
    dense = (codes.view(1003, -1, GROUP).double() * scales.double()[:, :, None]).view(1003, 96)
    torch.testing.assert_close(scorer.scores(x).double(), rounded(x) @ dense.T, rtol=1e-4, atol=1e-4)
    out, ids = torch.empty(4, 96), torch.tensor([0, 15, 16, 1002])
    lib.library().aris_embed(scorer.model, ids.data_ptr(), 4, out.data_ptr())
    torch.testing.assert_close(out.double(), dense[ids], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("words", [5, 64, 1003])
def test_greedy_is_exact_on_random_words(state: int, words: int) -> None:
    scorer = Scorer(state, pack_head(*quantize_groups(torch.randn(words, 64))))
    x = torch.randn(6, 64)
    same_choice(scorer, x)
    same_choice(scorer, x, tuple(range(0, words, 2)))


@pytest.mark.parametrize("bits", [4, 5, 8])
def test_greedy_is_exact_with_scales_below_zero(state: int, bits: int) -> None:
    """As ggml's Q4_0 and Q5_0 have them."""
    torch.manual_seed(bits)
    codes = torch.randint(-(2 ** (bits - 1)), 2 ** (bits - 1), (4000, 64)).to(torch.int8)
    scales = -(torch.rand(4000, 2) * 0.1 + 0.02).half()
    same_choice(Scorer(state, pack_head(codes, scales)), torch.randn(40, 64))
    signs = torch.where(torch.rand(scales.shape) < 0.5, -1, 1).half()
    same_choice(Scorer(state, pack_head(codes, scales * signs)), torch.randn(10, 64))


def test_clear_winners_are_found_without_scoring_the_rest(state: int) -> None:
    weight = torch.randn(20_000, 64)
    scorer = Scorer(state, pack_head(*quantize_groups(weight)))
    assert same_choice(scorer, weight[[123, 7777, 19_999]].clone()) < 20_000 // 16 // 2


def test_greedy_is_exact_where_sketches_mislead(state: int) -> None:
    # Upper halves all alike, so that only the lower halves tell words apart; then ties, zeros and one-sided codes.
    codes = (16 * torch.randint(-8, 8, (1, 64)) + torch.randint(0, 16, (640, 64))).clamp(-128, 127).to(torch.int8)
    scales = torch.full((640, 2), 0.01, dtype=torch.float16)
    x = torch.randn(5, 64)
    same_choice(Scorer(state, pack_head(codes, scales)), x)
    codes[100] = codes[500] = codes[3]
    codes[:, 32:] = 0
    same_choice(Scorer(state, pack_head(codes, scales)), x)
    assert same_choice(Scorer(state, pack_head(torch.zeros_like(codes), scales)), x) >= 0
    first = Scorer(state, pack_head(torch.full_like(codes, 15), scales))
    assert first.greedy(x[:1].abs(), torch.tensor([0, 1], dtype=torch.int64))[0][0] == 2  # the first of equals
    wild = torch.randint(-128, 128, (640, 64)).to(torch.int8)
    same_choice(Scorer(state, pack_head(wild, torch.rand(640, 2).mul(100).half())), x * 1e3)


def numbers(*shape: int, step: int) -> Tensor:
    """Numbers of either sign that no library's rounding has a part in."""
    count = torch.arange(torch.Size(shape).numel(), dtype=torch.int64)
    return ((count * step % 2003 - 1001).float() / 997).view(shape)


def test_every_variant_gives_the_bits_that_all_do(state: int) -> None:
    """Those of AVX2 on a Zen 3 processor: another instruction set, or another compiler, must give them too."""
    x = numbers(11, 192, step=7919)
    parts = [product(state, *quantize_groups(numbers(80, 192, step=613)), x)]
    scorer = Scorer(state, pack_head(*quantize_groups(numbers(333, 192, step=389))))
    parts += [scorer.scores(x), scorer.greedy(x, torch.tensor([3], dtype=torch.int64))[0].float()]
    weight = numbers(77, 192, step=1481)
    parts += [dense(state, weight, x), dense(state, weight.bfloat16(), x)]
    digest = hashlib.sha256(b"".join(part.contiguous().numpy().tobytes() for part in parts)).hexdigest()
    assert digest[:32] == SAME_EVERYWHERE


def dense(state: int, weight: Tensor, x: Tensor) -> Tensor:
    matrix = lib.Dense(weight.data_ptr(), *weight.shape, int(weight.dtype == torch.bfloat16))
    out = torch.empty(len(x), len(weight))
    lib.library().aris_dense(state, ctypes.byref(matrix), x.data_ptr(), len(x), out.data_ptr())
    return out


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("rows", "outputs", "columns"), [(1, 1, 16), (5, 7, 48), (70, 130, 2064)])
def test_dense_products(state: int, dtype: torch.dtype, rows: int, outputs: int, columns: int) -> None:
    weight, x = torch.randn(outputs, columns).to(dtype), torch.randn(rows, columns)
    found = dense(state, weight, x)
    wanted = x.double() @ weight.double().T
    assert ((found - wanted).abs() <= 2e-6 * (x.double().abs() @ weight.double().abs().T)).all()
    for row in {0, rows // 2, rows - 1}:
        assert torch.equal(dense(state, weight, x[row : row + 1].clone())[0], found[row])


def test_a_thread_that_waits_sleeps() -> None:
    """Threads that have nothing to do take no processor time, between calls and while another works."""
    found = lib.library()
    opened = found.aris_open(4)
    try:
        product(opened, *quantize_groups(torch.randn(640, 640)), torch.randn(64, 640))
        began = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - began < 0.25  # four threads awake would have taken what the machine has
    finally:
        found.aris_close(opened)
