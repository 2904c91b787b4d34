"""Prompt lookup, its gate and the draft model: what is guessed, what that may cost, and that no answer changes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import engine_models as em
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aris.engine import Engine, ImageInput, Request, Sequence
from aris.engine.draft_model import DraftModel
from aris.engine.scheduler import Proposer
from aris.engine.speculation import Gate, PromptLookup, StepTimes
from aris.model import MedGemma

QUICK = settings(max_examples=50, deadline=None)


@pytest.fixture(scope="module")
def model() -> MedGemma:
    return em.tiny()


def sequence_of(tokens: list[int], **params: Any) -> Sequence:
    nothing: Callable[[Sequence], bool] = lambda sequence: False  # noqa: E731
    return Sequence(
        Request(tokens, params=em.greedy(100, **params)),
        tokens_limit=10_000,
        image_token=em.SOFT,
        tokens_per_image=4,
        advance=nothing,
        cancel=lambda sequence: None,
    )


def plainly(tokens: list[int], room: int, ngram: int, places: int) -> list[int]:
    """What a lookup without any index finds."""
    ends = [end for end in range(ngram, len(tokens)) if tokens[end - ngram : end] == tokens[-ngram:]][-places:]
    if not ends or len(tokens) < ngram:
        return []

    def agreement(end: int) -> int:
        back = 0
        while back < min(end, 32) and tokens[end - 1 - back] == tokens[-1 - back]:
            back += 1
        return back

    source = max(ends, key=lambda end: (agreement(end), end))
    written = list(tokens)
    while len(written) < len(tokens) + room:
        written.append(written[source + len(written) - len(tokens)])
    return written[len(tokens) :]


@QUICK
@given(
    tokens=st.lists(st.integers(0, 3), min_size=1, max_size=60),
    more=st.lists(st.integers(0, 3), max_size=30),
    room=st.integers(1, 20),
    ngram=st.integers(1, 4),
)
def test_a_lookup_finds_what_stood_before(tokens: list[int], more: list[int], room: int, ngram: int) -> None:
    lookup = PromptLookup(10, ngram=ngram)
    sequence = sequence_of(tokens)
    for token in [None, *more]:  # the index grows with the answer
        if token is not None:
            sequence.append(token)
        assert lookup.propose(sequence, room) == plainly(sequence.tokens, room, ngram, 4)


def test_a_guess_ends_before_what_cannot_be_chosen_and_with_what_ends() -> None:
    again = [5, 6, 7, 8, 9, 50, 60, 5, 6, 7]
    assert PromptLookup(100).propose(sequence_of(again), 6) == [8, 9, 50, 60, 5, 6]
    assert PromptLookup(60).propose(sequence_of(again), 6) == [8, 9, 50]
    assert PromptLookup(100).propose(sequence_of(again, banned_token_ids=(50,)), 6) == [8, 9]
    assert PromptLookup(100).propose(sequence_of(again, stop_token_ids=(9,)), 6) == [8, 9]
    assert PromptLookup(100).propose(sequence_of([1, 2, 3, 4]), 6) == []
    assert PromptLookup(100).propose(sequence_of([1, 2]), 6) == []


def test_step_times_are_lines_between_what_was_seen() -> None:
    times = StepTimes()
    for rows, seconds in ((1, 1.0), (1, 1.0), (1, 9.0), (5, 1.4), (17, 1.1)):
        times.add(rows, seconds)
    assert times.known(1) and not times.known(5)
    assert times.relative(1, 0) == 1.0
    assert times.relative(1, 4) == pytest.approx(1.4)
    assert times.relative(1, 2) == pytest.approx(1.2)
    assert times.relative(1, 16) == pytest.approx(1.32)  # seen to be 1.1, but no row is taken to be free
    assert times.relative(1, 32) == pytest.approx(1.64)
    assert times.relative(17, 10) == pytest.approx(2.0)


def test_a_machine_that_slows_down_does_not_make_guesses_look_cheap_or_dear() -> None:
    times = StepTimes()
    for pace in (1.0, 3.0, 1.0):
        for _ in range(10):
            times.add(1, pace, plain=True)
        for _ in range(3):
            times.add(9, 1.8 * pace)
        assert times.relative(1, 8) == pytest.approx(1.8)


def simulate(gate: Gate, cost: Callable[[int], float], right: Callable[[int, int], int], tokens: int) -> float:
    """Time of so many tokens of one answer, in plain steps, where `right` of the guesses at a token are right."""
    sequence = sequence_of([1])
    made, spent = 0, 0.0
    while made < tokens:
        gate.plan(1, 1)
        count = gate.admit(sequence, 20)
        accepted = min(right(made, count), count)
        if count:
            gate.observe(sequence, count, accepted)
        spent += cost(1 + count)
        gate.done(1 + count, cost(1 + count))
        made += 1 + accepted
    return spent


COSTS: dict[str, Callable[[int], float]] = {
    "free": lambda rows: 1.0,
    "cheap": lambda rows: 1 + 0.02 * (rows - 1),
    "a jump": lambda rows: 1.0 if rows == 1 else 1.9 + 0.05 * rows,
    "dear": lambda rows: float(rows),
    "ruinous": lambda rows: 1.0 if rows == 1 else 20.0,
}


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("tokens", [200, 2000])
def test_wrong_guesses_never_cost_more_than_their_share(cost: str, tokens: int) -> None:
    gate = Gate()
    simulate(gate, COSTS[cost], lambda at, count: 0, 300)  # what it takes to find out what rows cost is once
    assert tokens / simulate(gate, COSTS[cost], lambda at, count: 0, tokens) >= 0.98


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("seed", range(4))
def test_the_floor_holds_on_a_machine_that_does_other_work(cost: str, seed: int) -> None:
    """Steps whose times jitter, that are cut off now and then, on a machine whose pace changes: all guesses wrong."""
    noise, gate, sequence = random.Random(seed), Gate(), sequence_of([1])
    pace, spent, tokens, warm = 1.0, 0.0, 2000, 300
    for step in range(warm + tokens):
        if noise.random() < 0.02:
            pace = noise.choice((1.0, 1.0, 2.0, 4.0))
        gate.plan(1, 1)
        count = gate.admit(sequence, 20)
        if count:
            gate.observe(sequence, count, 0)
        true = COSTS[cost](1 + count)
        spent += true if step >= warm else 0.0
        gate.done(1 + count, true * pace * noise.lognormvariate(0, 0.25) * (8 if noise.random() < 0.02 else 1))
    assert tokens / spent >= 0.97


@QUICK
@given(pattern=st.lists(st.integers(0, 4), min_size=1, max_size=30), slope=st.floats(0.0, 1.5))
def test_whatever_is_right_nothing_is_lost(pattern: list[int], slope: float) -> None:
    gate = Gate()
    spent = simulate(gate, lambda rows: 1 + slope * (rows - 1), lambda at, count: pattern[at % len(pattern)], 600)
    assert spent <= 600 * 1.01 + 1 + slope * 8


@pytest.mark.parametrize(("cost", "gain"), [("free", 8.0), ("cheap", 6.0), ("a jump", 3.0)])
def test_right_guesses_pay(cost: str, gain: float) -> None:
    assert 400 / simulate(Gate(), COSTS[cost], lambda at, count: count, 400) > gain


def test_text_that_begins_to_repeat_is_noticed() -> None:
    gate = Gate()
    simulate(gate, COSTS["a jump"], lambda at, count: 0, 400)
    assert 400 / simulate(gate, COSTS["a jump"], lambda at, count: count, 400) > 1.8


def forced(model: MedGemma, proposer: Proposer, **limits: int) -> Engine:
    made = em.engine(model, **limits)
    made._scheduler.proposer = proposer
    return made


LOOPING = [2, *[20, 21, 22, 23, 24, 25] * 12]


@pytest.mark.parametrize("gated", [False, True])
def test_answers_stay_the_same_with_lookup(model: MedGemma, gated: bool) -> None:
    prompts = [LOOPING, em.text(40, 1), [2, *em.text(50, 2) * 3]]
    plain = em.engine(model)
    engine = em.engine(model)
    engine._scheduler.proposer = PromptLookup(em.VOCABULARY, ngram=1)
    engine._scheduler.gate = Gate() if gated else None
    for params in (em.greedy(150), em.greedy(60, temperature=0.8, seed=4), em.greedy(60, top_logprobs=1)):
        expected = [plain.submit(em.request(prompt, params=params)) for prompt in prompts]
        got = [engine.submit(em.request(prompt, params=params)) for prompt in prompts]
        assert [em.tokens(each) for each in got] == [em.tokens(each) for each in expected]
    if not gated:
        stats = engine.stats()
        assert 0 < stats["accepted_draft_tokens"] < stats["draft_tokens"]
        assert stats["steps"] < plain.stats()["steps"]


def test_prompts_with_images_are_looked_up_too(model: MedGemma) -> None:
    prompt = [2, 11, 12, *em.IMAGE, 13, 14, 11, 12, *em.IMAGE, 13, 14, 11, 12]
    pixels = em.pixels(2, 5)
    engine = forced(model, PromptLookup(em.VOCABULARY, ngram=1))
    got = engine.submit(Request(prompt, ImageInput.from_pixels(pixels), em.greedy(60)))
    assert em.tokens(got) == em.plain(model, prompt, 60, pixels)


@pytest.mark.parametrize("seed", [3, 8])
def test_answers_stay_the_same_with_a_draft_model(model: MedGemma, seed: int) -> None:
    """Seed 3 is the large model itself: then every guess is right."""
    small = em.engine(em.tiny(seed=seed))
    engine = forced(model, DraftModel(small, em.VOCABULARY, image_tokens=(em.BOI, em.EOI, em.SOFT), count=5))
    prompts = [em.text(30, 1), em.text(90, 2)]
    for params in (em.greedy(60), em.greedy(30, temperature=0.9, seed=6)):
        plain = [em.tokens(em.engine(model).submit(em.request(prompt, params=params))) for prompt in prompts]
        got = [engine.submit(em.request(prompt, params=params)) for prompt in prompts]
        assert [em.tokens(each) for each in got] == plain
        if seed == 3 and params.greedy:
            stats = engine.stats()
            assert stats["accepted_draft_tokens"] == stats["draft_tokens"] > 60
    prompt, pixels = [*em.text(20, 5), *em.IMAGE, 40, 41], em.pixels(1, 6)
    got = engine.submit(Request(prompt, ImageInput.from_pixels(pixels), em.greedy(30)))
    assert em.tokens(got) == em.plain(model, prompt, 30, pixels)
    assert small.stats()["running"] == small.stats()["waiting"] == 0


def test_limits_switch_it_on(model: MedGemma) -> None:
    engine = em.engine(model, speculation=True)
    assert isinstance(engine._scheduler.proposer, PromptLookup) and engine._scheduler.gate is not None
    off = em.engine(model, speculation=False)
    assert off._scheduler.proposer is None
    sequences = [engine.submit(em.request(LOOPING, params=em.greedy(200))) for _ in range(2)]
    expected = em.plain(model, LOOPING, 200)
    assert all(em.tokens(each) == expected for each in sequences)


class Counting:
    """Allows three tokens in turns."""

    def __init__(self) -> None:
        self.taken: list[int] = []

    def allowed(self) -> torch.Tensor:
        mask = torch.zeros(em.VOCABULARY, dtype=torch.bool)
        mask[50 + len(self.taken) % 3] = True
        return mask

    def accept(self, token: int) -> None:
        self.taken.append(token)

    @property
    def finished(self) -> bool:
        return len(self.taken) == 40


def test_masks_and_lookup_go_together(model: MedGemma) -> None:
    engine = forced(model, PromptLookup(em.VOCABULARY))
    mask = Counting()
    answer = em.tokens(engine.submit(em.request(em.text(20, 1), params=em.greedy(100), mask=mask)))
    assert answer == mask.taken == [50 + at % 3 for at in range(40)]
    assert engine.stats()["accepted_draft_tokens"] > 25
