"""Penalties, biases, bad words, least lengths: by their definitions, in a batch, with guesses as without."""

from __future__ import annotations

from typing import Any

import engine_models
import pytest
import torch

from aris.engine import Engine, EngineLimits, Request, SamplingParams
from aris.engine.logits import Adjuster
from aris.engine.sampling import Draws, choose
from aris.engine.speculation import PromptLookup
from aris.errors import ModelError
from aris.model import MedGemma

SCORES = torch.tensor([2.0, -1.0, 0.5, 3.0, -4.0, 1.0])


def adjusted(prompt: list[int], written: list[int], made: tuple[int, ...] = (), **changes: Any) -> list[float]:
    params = SamplingParams(max_tokens=100, stop_token_ids=(5,), **changes)
    before = SCORES.clone()
    out = Adjuster(params, prompt).apply(SCORES, [*prompt, *written], list(made)).tolist()
    assert torch.equal(SCORES, before)  # a change of its own copy
    return [round(value, 6) for value in out]


def test_the_definitions() -> None:
    """vLLM's and OpenAI's formulas, worked out by hand."""
    # Positive scores are divided, others multiplied; prompt and answer count, and how often does not.
    assert adjusted([0, 1], [3, 3], repetition_penalty=2.0) == [1.0, -2.0, 0.5, 1.5, -4.0, 1.0]
    # c * frequency + (c > 0) * presence, for the answer alone.
    assert adjusted([0, 1], [3, 3, 4], frequency_penalty=0.5) == [2.0, -1.0, 0.5, 2.0, -4.5, 1.0]
    assert adjusted([0, 1], [3, 3, 4], presence_penalty=0.5) == [2.0, -1.0, 0.5, 2.5, -4.5, 1.0]
    assert adjusted([0], [3], (3, 4), frequency_penalty=0.5, presence_penalty=-1.0) == [2.0, -1.0, 0.5, 3.0, -3.5, 1.0]
    # The bias comes before the penalties.
    assert adjusted([1], [], logit_bias=((1, 5.0),), repetition_penalty=2.0)[1] == 2.0
    assert adjusted([1], [], logit_bias=((1, -100.0), (2, 1.5)))[1:3] == [-101.0, 2.0]


@pytest.mark.parametrize("penalty", [5e-324, 1e-45, 1e-38, 1e-10])
@pytest.mark.parametrize("temperature", [0.0, 1e-40, 1.0])
def test_the_least_penalties_leave_scores_that_a_token_can_be_chosen_from(penalty: float, temperature: float) -> None:
    """5e-324 is 0 as a float32: 0 / 0 and -inf * 0 are no numbers, and no token is the argmax of those."""
    params = SamplingParams(temperature=temperature, repetition_penalty=penalty, banned_token_ids=(1,))
    scores = torch.tensor([[2.0, 5.0, 0.0, 3.0, -4.0]])
    for prompt in ([0, 1, 2, 4], [4, 2], [0, 3], [1]):
        adjust = Adjuster(params, prompt)
        (chosen,) = choose(scores, [params], [Draws(1)], adjust=[lambda row, a=adjust, p=prompt: a.apply(row, p)])
        assert chosen.token in (0, 2, 3, 4)
        assert not adjust.apply(torch.tensor([2.0, float("-inf"), 0.0, 3.0, -4.0]), prompt).isnan().any()


def test_an_end_and_words_that_may_not_come() -> None:
    never = float("-inf")
    assert adjusted([0], [1], min_tokens=3)[5] == never
    assert adjusted([0], [1], (2,), min_tokens=3)[5] == never
    assert adjusted([0], [1, 2], (2,), min_tokens=3)[5] == 1.0
    words = {"bad_words": ((3,), (1, 2))}
    assert adjusted([1], [], **words) == [2.0, -1.0, 0.5, never, -4.0, 1.0]  # the prompt is no part of the answer
    assert adjusted([0], [1], **words)[2:4] == [never, never]
    assert adjusted([0], [2], (1,), **words)[2] == never
    # Where only the end is left, it comes.
    scores = torch.full((6,), never)
    scores[5] = 1.0
    params = SamplingParams(max_tokens=9, min_tokens=5, stop_token_ids=(5,))
    assert Adjuster(params, [0]).apply(scores, [0]).tolist() == scores.tolist()


def test_what_is_banned_stays_so_and_reported_log_probabilities_are_the_models_own() -> None:
    params = SamplingParams(banned_token_ids=(3,), logit_bias=((3, 100.0), (4, 100.0)), top_logprobs=1)
    adjuster = Adjuster(params, [0])
    (chosen,) = choose(SCORES[None], [params], [Draws(0)], None, [lambda row: adjuster.apply(row, [0])])
    expected = SCORES.index_fill(0, torch.tensor([3]), float("-inf")).log_softmax(0)
    assert chosen.token == 4 and chosen.logprob == pytest.approx(float(expected[4]))
    assert chosen.top[0][0] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"repetition_penalty": 0.0}, {"repetition_penalty": float("inf")}, {"presence_penalty": 2.1},
        {"frequency_penalty": float("nan")}, {"min_tokens": 9, "max_tokens": 8}, {"logit_bias": ((1, 101.0),)},
        {"logit_bias": ((1, 1.0), (1, 2.0))}, {"bad_words": ((),)},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="sampling: "):
        SamplingParams(**wrong)


ALL = {
    "repetition_penalty": 1.3, "presence_penalty": 0.4, "frequency_penalty": 0.7, "min_tokens": 6,
    "logit_bias": ((40, 6.0), (41, -30.0)), "bad_words": ((40, 40), (7,)),
}  # fmt: skip


@torch.inference_mode()
def plain(model: MedGemma, prompt: list[int], params: SamplingParams) -> list[int]:
    """The greedy answer with adjustments, without the engine."""
    cache = model.new_cache()
    logits = model(torch.tensor([prompt]), None, cache)[0, -1].float()
    adjuster, out = Adjuster(params, prompt), []
    banned = torch.tensor([engine_models.BOI, engine_models.EOI, engine_models.SOFT])
    while len(out) < params.max_tokens:
        scores = adjuster.apply(logits.index_fill(0, banned, float("-inf")), [*prompt, *out])
        out.append(int(scores.argmax()))
        if out[-1] in params.stop_token_ids:
            break
        logits = model(torch.tensor([[out[-1]]]), None, cache)[0, -1].float()
    return out


@pytest.mark.parametrize("guesses", [False, True])
def test_the_engine_does_it_for_each_of_a_batch_with_guesses_as_without(guesses: bool) -> None:
    """Guesses are looked at one by one, each after penalties on those before it."""
    model = engine_models.tiny()
    proposer = PromptLookup(engine_models.VOCABULARY, ngram=1) if guesses else None
    engine = Engine(model, EngineLimits(cache_bytes=1 << 24), proposer=proposer)
    period = engine_models.text(9, 1)[1:]
    prompts = [[2, *period, *period, *period], engine_models.text(12, 2), [2, *period]]
    kinds = [ALL, {"frequency_penalty": 1.5}, {"logit_bias": ((40, 6.0),), "repetition_penalty": 0.7}]
    params = [SamplingParams(max_tokens=25, stop_token_ids=(40,), **kind) for kind in kinds]
    made = engine.submit_all([Request(prompt, params=each) for prompt, each in zip(prompts, params, strict=True)])
    for sequence, prompt, each in zip(made, prompts, params, strict=True):
        assert [step.token_id for step in sequence] == plain(model, prompt, each)
    if guesses:
        assert engine.stats()["draft_tokens"] > 0


def test_sampled_answers_are_the_same_with_guesses() -> None:
    model = engine_models.tiny()
    period = engine_models.text(9, 1)[1:]
    params = SamplingParams(max_tokens=30, temperature=0.8, seed=4, stop_token_ids=(), **ALL | {"bad_words": ()})
    request = Request([2, *period, *period], params=params)
    found = [
        [step.token_id for step in Engine(model, EngineLimits(cache_bytes=1 << 24), proposer=proposer).submit(request)]
        for proposer in (None, PromptLookup(engine_models.VOCABULARY, ngram=1))
    ]
    assert found[0] == found[1]


def test_a_bias_beyond_the_vocabulary_is_refused() -> None:
    engine = Engine(engine_models.tiny(), EngineLimits(cache_bytes=1 << 24))
    with pytest.raises(ModelError, match="vocabulary"):
        engine.submit(Request([2, 5], params=SamplingParams(logit_bias=((320, 1.0),))))
