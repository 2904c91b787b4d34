"""Truncation rules against the definitions written out plainly, and the frequencies of draws."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aris.engine.sampling import Sampler, SamplingParams, truncated
from aris.errors import ModelError


def plain_kept(logits: list[float], top_k: int, top_p: float, min_p: float) -> set[int]:
    order = sorted(range(len(logits)), key=lambda i: -logits[i])
    order = order[:top_k] if top_k else order
    weights = {i: math.exp(logits[i] - logits[order[0]]) for i in order}
    total = sum(weights.values())
    kept, mass = set(), 0.0
    for index in order:
        share = weights[index] / total
        if mass < top_p - 1e-6 and share >= min_p * weights[order[0]] / total:
            kept.add(index)
        mass += share
    return kept | {order[0]}


@settings(max_examples=200, deadline=None)
@given(
    logits=st.lists(st.integers(-40, 40), min_size=1, max_size=30, unique=True),
    top_k=st.integers(0, 31),
    top_p=st.sampled_from([0.05, 0.33, 0.71, 0.95, 1.0]),
    min_p=st.sampled_from([0.0, 0.013, 0.21, 1.0]),
)
def test_truncation_keeps_what_the_definitions_keep(logits: list[int], top_k: int, top_p: float, min_p: float) -> None:
    scores = [value / 7 for value in logits]
    params = SamplingParams(temperature=1.0, top_k=top_k, top_p=top_p, min_p=min_p)
    left = truncated(torch.tensor(scores), params)
    kept = {i for i, value in enumerate(left.tolist()) if value != float("-inf")}
    assert kept == plain_kept(scores, top_k, top_p, min_p)


def test_draws_follow_the_probabilities() -> None:
    logits = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05]))
    sampler = Sampler(SamplingParams(temperature=1.0, seed=4))
    counts = Counter(sampler(logits)[0] for _ in range(4000))
    for token, probability in enumerate([0.5, 0.3, 0.15, 0.05]):
        assert counts[token] / 4000 == pytest.approx(probability, abs=0.03)


def test_reported_log_probabilities_are_the_models_own() -> None:
    logits = torch.tensor([1.0, 3.0, 2.0, 9.0])
    sampler = Sampler(SamplingParams(temperature=0.1, seed=0, top_k=1, banned_token_ids=(3, 77), top_logprobs=2))
    token, logprob, top = sampler(logits)
    expected = torch.tensor([1.0, 3.0, 2.0]).log_softmax(0)
    assert token == 1
    assert logprob == pytest.approx(float(expected[1]))
    assert [i for i, _ in top] == [1, 2]


@pytest.mark.parametrize(
    "bad", [{"max_tokens": 0}, {"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.2}, {"min_p": -0.1}, {"top_k": -1}]
)
def test_impossible_settings_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(bad))):
        SamplingParams(**bad)  # type: ignore[arg-type]
