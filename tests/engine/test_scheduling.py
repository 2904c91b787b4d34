"""Limits, fairness, cancellation, failures, and that nothing stays behind."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections import Counter

import engine_models as em
import pytest
import torch

from aris.engine import Engine, EngineBusy, EngineLimits, Request, Sequence
from aris.engine.block_manager import Snapshot
from aris.errors import ModelError
from aris.model import MedGemma


@pytest.fixture(scope="module")
def model() -> MedGemma:
    return em.tiny()


def free(engine: Engine) -> tuple[float, float]:
    stats = engine.stats()
    return stats["free_blocks"], stats["free_slots"]


def test_one_request_too_many_is_refused_and_the_others_finish(model: MedGemma) -> None:
    engine = em.engine(model, max_running=2, max_waiting=4)
    sequences = [engine.submit(em.request(em.text(10, seed))) for seed in range(4)]
    with pytest.raises(EngineBusy, match="busy"):
        engine.submit(em.request(em.text(10, 9)))
    with pytest.raises(ModelError):  # it is one, for callers that make no difference
        engine.submit_all([em.request(em.text(10, 9))] * 2)
    for seed, sequence in enumerate(sequences):
        assert em.tokens(sequence) == em.plain(model, em.text(10, seed), 20)
    assert len(em.tokens(engine.submit(em.request(em.text(10, 9))))) == 20


def test_requests_that_can_never_fit_are_refused(model: MedGemma) -> None:
    small = em.engine(model, blocks=2)
    assert small.max_tokens == 128
    with pytest.raises(ModelError, match="127 at most"):
        small.submit(em.request(em.text(128, 1)))
    sequence = small.submit(em.request(em.text(120, 1), params=em.greedy(50)))
    steps = list(sequence)
    assert len(steps) == 8 and steps[-1].finish_reason == "length"
    with pytest.raises(ModelError, match="too little for one sequence"):
        Engine(model, EngineLimits(cache_bytes=1000))


def test_memory_bounds_the_pool(model: MedGemma) -> None:
    for nbytes in (10**6, 10**7):
        engine = Engine(model, EngineLimits(cache_bytes=nbytes))
        assert engine.pool.nbytes <= nbytes
        assert em.tokens(engine.submit(em.request(em.text(30, 1)))) == em.plain(model, em.text(30, 1), 20)


@pytest.mark.parametrize("when", ["waiting", "reading", "answering"])
def test_cancelling_frees_everything_at_once(model: MedGemma, when: str) -> None:
    engine = em.engine(model, max_running=2, prefill_tokens=64)
    before = free(engine)
    engine._scheduler.prefill_chunk = 64
    prompt = em.text(300, 1)
    sequences = [engine.submit(em.request(prompt, retain=False)) for _ in range(3)]
    sequence = sequences[2 if when == "waiting" else 0]
    if when == "reading":
        engine.step()
    elif when == "answering":
        next(sequence)
    for each in sequences:
        each.cancel()
        each.cancel()
    assert free(engine) == before
    stats = engine.stats()
    assert stats["running"] == stats["waiting"] == 0 and stats["cancelled"] == 3
    assert not engine.step()
    assert list(sequence) == [] and list(sequence) == []


def test_a_stream_cancelled_by_another_thread_ends_where_it_is_read(
    model: MedGemma, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other thread comes between the reader's look at what is there and its step."""
    running = em.engine(model)
    sequence = running.submit(em.request(em.text(30, 1)))
    step = running.step

    def cancelled_first() -> bool:
        other = threading.Thread(target=sequence.cancel)
        other.start()
        other.join()
        return step()

    monkeypatch.setattr(running, "step", cancelled_first)
    assert list(sequence) == []


def test_what_is_kept_of_a_cancelled_sequence_is_given_up_when_needed(model: MedGemma) -> None:
    engine = em.engine(model, slots=1, blocks=4)
    first = engine.submit(em.request(em.text(200, 1)))
    next(first)
    first.cancel()
    assert engine.stats()["kept_prompts"] == 1 and free(engine) == (4, 1)
    assert em.tokens(engine.submit(em.request(em.text(190, 2)))) == em.plain(model, em.text(190, 2), 20)


def test_a_dropped_stream_frees_its_sequence(model: MedGemma) -> None:
    engine = em.engine(model)
    stream = engine.stream(em.text(10, 1), None, em.greedy(1000))
    next(stream)
    assert engine.stats()["running"] == 1
    del stream
    gc.collect()
    assert engine.stats()["running"] == 0


def test_a_stream_dropped_at_the_end_of_the_stack_locks_nobody_out(model: MedGemma) -> None:
    """The garbage collector may close a stream while a deep document is read, where no call can be nested any more."""
    engine = em.engine(model, max_waiting=200)
    unread = [engine.submit(Request(em.text(5, seed), params=em.greedy(9))) for seed in range(120)]

    def dive() -> None:
        with contextlib.suppress(RecursionError):
            dive()
        if unread:  # first at the very end, then a call further up each time
            with contextlib.suppress(RecursionError):
                unread[-1].cancel()
                unread.pop()

    dive()
    assert not unread and not engine._state.locked()
    assert em.tokens(engine.submit(em.request(em.text(190, 2)))) == em.plain(model, em.text(190, 2), 20)
    stats = engine.stats()
    assert stats["running"] == stats["waiting"] == 0 and stats["cancelled"] == 120


def test_a_long_prompt_stalls_no_answer_and_no_short_prompt(model: MedGemma) -> None:
    engine = em.engine(model, prefill_tokens=128)
    engine._scheduler.prefill_chunk = 64
    answering = engine.submit(em.request(em.text(20, 1), params=em.greedy(100)))
    next(answering)
    long = engine.submit(em.request(em.text(1500, 2)))
    short = engine.submit(em.request(em.text(20, 3)))
    for _ in range(5):
        engine.step()
    assert answering.generated == 6  # one a step
    assert short.generated > 0 and long.generated == 0
    assert long.computed >= 5 * 64
    assert em.tokens(long) == em.plain(model, em.text(1500, 2), 20)


def test_nobody_starves_behind_those_that_keep_coming(model: MedGemma) -> None:
    engine = em.engine(model, slots=6, blocks=12, max_running=4, prefill_tokens=64, kept_prompts=2)
    engine._scheduler.prefill_chunk = 64
    large = engine.submit(em.request(em.text(500, 1), params=em.greedy(100)))
    waves = [engine.submit(em.request(em.text(30, seed), params=em.greedy(5))) for seed in range(20)]
    second = engine.submit(em.request(em.text(400, 2), params=em.greedy(30)))
    steps = 0
    while not second.finished:
        if sum(not each.finished for each in waves) < 10:
            waves.append(engine.submit(em.request(em.text(30, len(waves)), params=em.greedy(5))))
        engine.step()
        steps += 1
        assert steps < 1000
    assert large.finished
    assert em.tokens(large) == em.plain(model, em.text(500, 1), 100)
    assert em.tokens(second) == em.plain(model, em.text(400, 2), 30)


def test_a_step_that_fails_ends_its_sequences_and_not_the_engine(
    model: MedGemma, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = em.engine(model)
    before = free(engine)

    def full(*_: object) -> torch.Tensor:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(engine.runner, "prefill", full)
        sequences = [engine.submit(em.request(em.text(10, seed))) for seed in range(2)]
        for sequence in sequences:
            with pytest.raises(RuntimeError, match="out of memory"):
                list(sequence)
    assert free(engine) == before
    assert em.tokens(engine.submit(em.request(em.text(10, 1)))) == em.plain(model, em.text(10, 1), 20)


def test_a_step_that_fails_ends_those_that_only_got_copies_in_it(
    model: MedGemma, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = em.engine(model, prefill_tokens=64)
    engine.runner.prefill_chunk = engine._scheduler.prefill_chunk = 64  # type: ignore[misc]
    beginning = em.text(100, 1)
    list(engine.submit(em.request(beginning, params=em.greedy(2))))
    engine.submit(em.request(em.text(300, 2)))  # whose chunk leaves no room for the other's
    going_on = em.request([*beginning, *em.text(50, 3)[1:]], params=em.greedy(10))
    sequence = engine.submit(going_on)

    def broken(*_: int) -> None:
        raise RuntimeError("device failed")

    with monkeypatch.context() as patch:
        patch.setattr(engine.runner, "copy_slot", broken)
        assert engine.step()
    with pytest.raises(RuntimeError, match="device failed"):
        list(sequence)
    assert em.tokens(engine.submit(going_on)) == em.plain(model, going_on.token_ids, 10)


def test_a_mask_that_allows_nothing_fails_its_own_sequence(model: MedGemma) -> None:
    class Nothing:
        finished = False

        def allowed(self) -> torch.Tensor:
            return torch.zeros(em.VOCABULARY, dtype=torch.bool)

        def accept(self, token: int) -> None: ...

    engine = em.engine(model)
    good = engine.submit(em.request(em.text(10, 1)))
    next(good)
    bad = engine.submit(em.request(em.text(12, 2), mask=Nothing()))
    with pytest.raises(ModelError, match="allows no token"):
        list(bad)
    assert len(em.tokens(good)) == 19


def test_an_image_of_the_wrong_shape_fails_its_own_sequence(model: MedGemma) -> None:
    engine = em.engine(model)
    prompt = [2, *em.IMAGE, 5, 6]
    good = engine.submit(em.request(prompt, em.pixels(1, 1)))
    bad = engine.submit(em.request(prompt, torch.rand(1, 3, 8, 8)))
    assert em.tokens(good) == em.plain(model, prompt, 20, em.pixels(1, 1))
    with pytest.raises(ModelError, match="images have shape"):
        list(bad)


def test_many_requests_leave_memory_as_it_was(model: MedGemma) -> None:
    engine = em.engine(model, slots=12, blocks=60, max_running=8)

    def run(first: int, count: int) -> None:
        waiting = []
        for seed in range(first, first + count):
            prompt = [*em.text(70, seed % 5), *em.IMAGE, *em.text(10 + seed % 40, seed)[1:]]
            waiting.append(engine.submit(em.request(prompt, em.pixels(1, seed % 7), em.greedy(3))))
            if seed % 3 == 0:
                waiting[-1].cancel()
            if len(waiting) == 20:
                for each in waiting:
                    each.wait()
                waiting.clear()
        for each in waiting:
            each.wait()
        engine.forget()
        gc.collect()

    def alive() -> Counter[str]:
        """Objects by type, of what a request is made of."""
        gc.collect()
        kinds = (torch.Tensor, Sequence, Request, Snapshot, list, dict, tuple)
        return Counter(type(each).__name__ for each in gc.get_objects() if type(each) in kinds)

    run(0, 60)
    before = alive()
    run(60, 240)
    grown = alive() - before
    assert all(count < 20 for count in grown.values()), grown
    stats = engine.stats()
    assert stats["running"] == stats["waiting"] == stats["kept_prompts"] == stats["image_cache_bytes"] == 0
    assert free(engine) == (60, 12)


def test_threads_each_read_their_own_stream(model: MedGemma) -> None:
    engine = em.engine(model, max_running=8)
    got: dict[int, list[int]] = {}

    def read(seed: int) -> None:
        stream = engine.stream(em.text(10 + seed, seed), None, em.greedy(15))
        if seed % 4 == 3:
            next(stream)
            stream.close()  # type: ignore[attr-defined]
        else:
            got[seed] = [step.token_id for step in stream]

    for started in (False, True):
        got.clear()
        if started:
            engine.start()
        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 18
        for seed, answer in got.items():
            assert answer == em.plain(model, em.text(10 + seed, seed), 15)
        stats = engine.stats()
        assert stats["running"] == stats["waiting"] == 0
    endless = engine.submit(em.request(em.text(10, 1), params=em.greedy(1900)))
    next(endless)
    engine.stop()
    with pytest.raises(ModelError, match="stopped"):
        list(endless)
    assert len(em.tokens(engine.submit(em.request(em.text(10, 1))))) == 20  # by itself again


def test_time_to_the_first_token_is_counted(model: MedGemma) -> None:
    engine = em.engine(model)
    sequence = engine.submit(em.request(em.text(30, 1)))
    em.tokens(sequence)
    stats = engine.stats()
    assert stats["time_to_first_token_seconds_count"] == 1
    assert stats["time_to_first_token_seconds_sum"] >= sequence.prefill_s > 0
    assert stats["generated_tokens"] == 20 and stats["prompt_tokens"] == 30
