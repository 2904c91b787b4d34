"""Guessed tokens as further rows: whatever is guessed, the answer stays the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import engine_models as em
import pytest
import torch

from aris.engine import Engine, SamplingParams, Sequence
from aris.model import MedGemma


@pytest.fixture(scope="module")
def model() -> MedGemma:
    return em.tiny()


@pytest.fixture(scope="module")
def plain(model: MedGemma) -> Callable[..., list[int]]:
    """`em.plain`, of each question once."""
    return cache(lambda prompt, count: em.plain(model, prompt, count))


class Scripted:
    """Guesses from a known answer, spoilt as told; `rule` gets the number of the token and the token."""

    def __init__(self, answers: dict[tuple[int, ...], list[int]], rule: Callable[[int, int], int], count: int) -> None:
        self.answers, self.rule, self.count = answers, rule, count
        self.proposed = self.accepted = self.calls = 0

    def propose(self, sequence: Sequence, room: int) -> list[int]:
        answer = self.answers[tuple(sequence.request.token_ids)]
        at = sequence.generated
        guess = [self.rule(at + i, token) for i, token in enumerate(answer[at : at + self.count])]
        assert room > 0
        return guess[:room]

    def observe(self, sequence: Sequence, proposed: int, accepted: int) -> None:
        self.calls += 1
        self.proposed += proposed
        self.accepted += accepted


RULES = {
    "right": lambda at, token: token,
    "wrong": lambda at, token: (token + 1) % 300,
    "sometimes": lambda at, token: token if at % 5 else 17,
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("count", [1, 7, 60])
def test_greedy_answers_stay_the_same_beyond_the_window(
    model: MedGemma, plain: Callable[..., list[int]], rule: str, count: int
) -> None:
    prompts = [em.text(length, length) for length in (5, 64, 130)]
    answers = {tuple(prompt): plain(tuple(prompt), 150) for prompt in prompts}
    proposer = Scripted(answers, RULES[rule], count)
    engine = em.engine(model)
    engine._scheduler.proposer = proposer
    sequences = [engine.submit(em.request(prompt, params=em.greedy(150))) for prompt in prompts]
    for prompt, sequence in zip(prompts, sequences, strict=True):
        assert em.tokens(sequence) == answers[tuple(prompt)]
    stats = engine.stats()
    assert stats["draft_tokens"] == proposer.proposed > 0
    assert stats["accepted_draft_tokens"] == proposer.accepted
    if rule == "right":
        assert proposer.accepted == proposer.proposed
        assert stats["steps"] < 10 + 150 * 3 / count
    elif rule == "wrong":
        assert proposer.accepted == 0
    assert stats["free_blocks"] == 400
    # What was rejected has left nothing behind that a follower could take over.
    follower = [*prompts[2], *answers[tuple(prompts[2])], 11, 12]
    engine._scheduler.proposer = None
    again = engine.submit(em.request(follower))
    assert em.tokens(again) == plain(tuple(follower), 20)
    if count == 1:
        assert again.hit_tokens > 200


def test_draws_with_a_seed_stay_the_same(model: MedGemma) -> None:
    prompt = em.text(40, 1)
    params = em.greedy(60, temperature=1.2, top_p=0.9, seed=5, top_logprobs=2)
    expected = list(em.engine(model).submit(em.request(prompt, params=params)))
    answer = [step.token_id for step in expected]
    for rule in RULES.values():
        engine = em.engine(model)
        engine._scheduler.proposer = Scripted({tuple(prompt): answer}, rule, 5)
        got = list(engine.submit(em.request(prompt, params=params)))
        assert [step.token_id for step in got] == answer
        assert [step.logprob for step in got] == pytest.approx([step.logprob for step in expected], abs=1e-4)


class Alternating:
    """Even and odd tokens in turns."""

    def __init__(self, limit: int) -> None:
        self.taken: list[int] = []
        self.limit = limit

    def allowed(self) -> torch.Tensor:
        return torch.arange(em.VOCABULARY) % 2 == len(self.taken) % 2

    def accept(self, token: int) -> None:
        self.taken.append(token)

    @property
    def finished(self) -> bool:
        return len(self.taken) == self.limit


@pytest.mark.parametrize("params", [em.greedy(50), em.greedy(50, temperature=1.0, seed=2)])
def test_masks_hold_with_and_without_guesses(model: MedGemma, params: SamplingParams) -> None:
    prompt = em.text(30, 3)
    mask = Alternating(21)
    steps = list(em.engine(model).submit(em.request(prompt, params=params, mask=mask)))
    answer = [step.token_id for step in steps]
    assert [token % 2 for token in answer] == [at % 2 for at in range(21)]
    assert steps[-1].finish_reason == "stop" and mask.taken == answer
    for rule in RULES.values():
        engine = em.engine(model)
        engine._scheduler.proposer = Scripted({tuple(prompt): [*answer, 9, 9, 9]}, rule, 6)
        mask = Alternating(21)
        assert em.tokens(engine.submit(em.request(prompt, params=params, mask=mask))) == answer == mask.taken


def test_a_guess_ends_where_the_answer_does(model: MedGemma) -> None:
    prompt = em.text(20, 4)
    answer = em.plain(model, prompt, 40)
    stop = answer[17]
    engine = em.engine(model)
    engine._scheduler.proposer = Scripted({tuple(prompt): answer}, RULES["right"], 11)
    params = em.greedy(40, stop_token_ids=(stop,))
    assert em.tokens(engine.submit(em.request(prompt, params=params))) == answer[: answer.index(stop) + 1]
    assert em.tokens(engine.submit(em.request(prompt, params=em.greedy(3)))) == answer[:3]


def test_guesses_send_nobody_back(model: MedGemma) -> None:
    prompts = [em.text(60, seed) for seed in range(3)]
    answers = {tuple(prompt): em.plain(model, prompt, 60) for prompt in prompts}
    engine: Engine = em.engine(model, blocks=6, kept_prompts=0)
    engine._scheduler.proposer = Scripted(answers, RULES["wrong"], 60)
    sequences = [engine.submit(em.request(prompt, params=em.greedy(60))) for prompt in prompts]
    assert [em.tokens(each) for each in sequences] == list(answers.values())
    assert engine.stats()["preemptions"] == 0
