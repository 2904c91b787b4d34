"""Truncation rules against the definitions written out plainly, and the frequencies of draws."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aris.engine.sampling import Draws, SamplingParams, candidates, choose, unpacked
from aris.errors import ModelError


def plain_kept(logits: list[float], top_k: int, top_p: float, min_p: float) -> set[int]:
    order = sorted(range(len(logits)), key=lambda i: -logits[i])
    order = order[:top_k] if top_k else order
    weights = {i: math.exp(logits[i] - logits[order[0]]) for i in order}
    total = sum(weights.values())
    kept, mass = set(), 0.0
    for index in order:
        share = weights[index] / total
        if (top_p == 1.0 or mass < top_p - 1e-6) and share >= min_p * weights[order[0]] / total:
            kept.add(index)
        mass += share
    return kept | {order[0]}


@settings(max_examples=80, deadline=None)
@given(
    logits=st.lists(st.integers(-40, 40), min_size=1, max_size=30, unique=True),
    top_k=st.integers(0, 31),
    top_p=st.sampled_from([0.05, 0.33, 0.71, 0.95, 1.0]),
    min_p=st.sampled_from([0.0, 0.013, 0.21, 1.0]),
)
def test_truncation_keeps_what_the_definitions_keep(logits: list[int], top_k: int, top_p: float, min_p: float) -> None:
    scores = [value / 7 for value in logits]
    params = SamplingParams(temperature=1.0, top_k=top_k, top_p=top_p, min_p=min_p)
    ordered, ids = candidates(torch.tensor(scores), params)
    assert ordered.tolist() == sorted(ordered.tolist(), reverse=True)
    assert ordered.tolist() == torch.tensor(scores)[ids].tolist()
    assert set(ids.tolist()) == plain_kept(scores, top_k, top_p, min_p)


@pytest.mark.parametrize(("top_p", "min_p"), [(0.3, 0.0), (0.99, 0.0), (1.0, 0.01), (1.0, 1e-7), (0.97, 0.2)])
def test_truncation_of_a_large_vocabulary_needs_no_sort_but_keeps_the_same(top_p: float, min_p: float) -> None:
    for spread in (0.01, 3.0):  # all much alike, so that few do not settle it; and some far likelier
        scores = torch.randn(5000, generator=torch.Generator().manual_seed(1)) * spread
        _, ids = candidates(scores, SamplingParams(temperature=1.0, top_p=top_p, min_p=min_p))
        kept = plain_kept(scores.tolist(), 0, top_p, min_p)
        assert len(set(ids.tolist()) ^ kept) <= 1  # float32 sums end a token sooner or later


@pytest.mark.parametrize("truncation", [{}, {"top_k": 4}])
def test_draws_follow_the_probabilities(truncation: dict[str, int]) -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))
    params, draws = SamplingParams(temperature=1.0, **truncation), Draws(4)
    counts = Counter(choose(logits, [params], [draws])[0].token for _ in range(4000))
    for token, probability in enumerate([0.5, 0.3, 0.15, 0.05]):
        assert counts[token] / 4000 == pytest.approx(probability, abs=0.03)


def test_reported_log_probabilities_are_the_models_own() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0, 9.0]])
    params = SamplingParams(temperature=0.1, top_k=1, banned_token_ids=(3, 77), top_logprobs=2)
    (chosen,) = choose(logits, [params], [Draws(0)])
    expected = torch.tensor([1.0, 3.0, 2.0]).log_softmax(0)
    assert chosen.token == 1
    assert chosen.logprob == pytest.approx(float(expected[1]))
    assert [i for i, _ in chosen.top] == [1, 2]


def test_a_row_is_chosen_alike_alone_and_in_company() -> None:
    logits = torch.randn(40, 3000, generator=torch.Generator().manual_seed(2)) * 3
    kinds = [
        SamplingParams(),
        SamplingParams(temperature=1.0),
        SamplingParams(temperature=0.7, top_p=0.9, logprobs=True),
        SamplingParams(temperature=1.3, top_k=50, min_p=0.02, banned_token_ids=(5, 9), top_logprobs=3),
    ]
    params = [kinds[row % 4] for row in range(40)]
    together = choose(logits, params, [Draws(row) for row in range(40)])
    for row in range(40):
        assert choose(logits[row : row + 1], [params[row]], [Draws(row)]) == [together[row]]


@pytest.mark.parametrize("temperature", [5e-324, 1e-45, 1e-39, 1e-30, 1e-6, 1e39, 1e300])
@pytest.mark.parametrize("truncation", [{}, {"top_k": 5}, {"top_p": 0.9}, {"min_p": 0.1}])
def test_a_temperature_beyond_float32_still_gives_a_token(temperature: float, truncation: dict[str, float]) -> None:
    logits = torch.randn(3, 2000, generator=torch.Generator().manual_seed(5)) * 4 + torch.tensor([[-60.0], [0.0], [60]])
    params = [SamplingParams(temperature=temperature, banned_token_ids=(7,), **truncation)] * 3  # type: ignore[arg-type]
    chosen = [each.token for each in choose(logits, params, [Draws(row) for row in range(3)])]
    assert all(0 <= token < 2000 and token != 7 for token in chosen)
    if temperature < 1:
        logits[:, 7] = float("-inf")
        assert chosen == logits.argmax(dim=1).tolist()


def test_masks_as_booleans_and_as_words_of_bits_leave_the_same() -> None:
    wanted = torch.rand(100, generator=torch.Generator().manual_seed(3)) < 0.3
    words = torch.zeros(4, dtype=torch.int64)
    for token in wanted.nonzero().flatten().tolist():
        words[token // 32] |= 1 << (token % 32)
    packed = torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)
    assert unpacked(packed, 100).tolist() == wanted.tolist() == unpacked(wanted, 100).tolist()
    assert unpacked(packed, 140).tolist() == wanted.tolist() + [False] * 40
    logits = torch.randn(2, 100, generator=torch.Generator().manual_seed(4))
    params, draws = [SamplingParams(), SamplingParams(temperature=9.0)], [Draws(0), Draws(1)]
    for _ in range(50):
        greedy, drawn = choose(logits, params, draws, [packed, wanted])
        assert wanted[drawn.token]
        assert greedy.token == int(logits[0].masked_fill(~wanted, float("-inf")).argmax())
    free, blocked = choose(logits, params, draws, [None, torch.zeros(100, dtype=torch.bool)])
    assert blocked.token == -1 and free.token == int(logits[0].argmax())


@pytest.mark.parametrize(
    "bad",
    [
        {"max_tokens": 0},
        {"temperature": -1.0},
        {"top_p": 0.0},
        {"top_p": 1.2},
        {"min_p": -0.1},
        {"top_k": -1},
        {"seed": 2**64},
    ],
)
def test_impossible_settings_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(bad))):
        SamplingParams(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [0, 1, 40, 5000])
def test_packed_masks_of_few_and_of_many_words_are_applied_alike(count: int) -> None:
    random = torch.Generator().manual_seed(count)
    vocabulary = 20_000 - 7
    allowed = torch.zeros(20_032, dtype=torch.bool)
    allowed[torch.randperm(20_032, generator=random)[:count]] = True
    words = (allowed.view(-1, 32).long() << torch.arange(32)).sum(dim=1).to(torch.int32)
    scores = torch.randn(3, vocabulary, generator=random)
    params = [SamplingParams(), SamplingParams(temperature=1.0), SamplingParams(temperature=1.0, top_k=3)]
    masks = (words, allowed, allowed[:vocabulary])
    chosen = [choose(scores, params, [Draws(7) for _ in params], [mask] * 3) for mask in masks]
    assert chosen[0] == chosen[1] == chosen[2]
    assert all((each.token < 0) == (count == 0) and (each.token < 0 or allowed[each.token]) for each in chosen[0])
