"""Whatever runs beside it and wherever its beginning came from, a sequence gets the tokens of the plain path."""

from __future__ import annotations

import engine_models as em
import pytest
import torch

from aris.engine import Engine
from aris.model import MedGemma


@pytest.fixture(scope="module")
def model() -> MedGemma:
    return em.tiny()


def test_unequal_prompts_side_by_side_beyond_two_windows(model: MedGemma) -> None:
    engine = em.engine(model, prefill_tokens=96)
    prompts = [em.text(length, seed=length) for length in (1, 7, 63, 64, 65, 150, 300)]
    sequences = [engine.submit(em.request(prompt, params=em.greedy(70))) for prompt in prompts]
    for prompt, sequence in zip(prompts, sequences, strict=True):
        assert em.tokens(sequence) == em.plain(model, prompt, 70)


def test_a_head_of_its_own_scores_the_words() -> None:
    model = em.tiny(tied=False)
    engine = em.engine(model)
    answers = []
    for length in (7, 65):
        prompt = [2, *em.IMAGE, *em.text(length, seed=length)]
        answers.append(em.tokens(engine.submit(em.request(prompt, em.pixels(1, 2), em.greedy(30)))))
        assert answers[-1] == em.plain(model, prompt, 30, em.pixels(1, 2))
    model.language_model.lm_head = None  # tied, it is another model
    assert em.plain(model, [2, *em.IMAGE, *em.text(7, seed=7)], 30, em.pixels(1, 2)) != answers[0]


def test_images_among_texts(model: MedGemma) -> None:
    engine = em.engine(model, prefill_tokens=8)
    engine._scheduler.prefill_chunk = 8  # cuts fall into images, unless they are moved
    cases = []
    for seed in range(6):
        gap = em.text(3 + 5 * seed, seed)[1:]
        prompt = [2, *em.IMAGE, *gap, *em.IMAGE, *em.IMAGE, *em.text(40, seed)[1:]]
        cases.append((prompt, em.pixels(3, seed)))
    cases.insert(2, (em.text(90, 9), None))
    sequences = [engine.submit(em.request(prompt, images)) for prompt, images in cases]
    for (prompt, images), sequence in zip(cases, sequences, strict=True):
        assert em.tokens(sequence) == em.plain(model, prompt, 20, images)
    assert engine.stats()["images_encoded"] == 18


def test_a_conversation_goes_on_from_what_was_computed_after_the_window_wrapped(model: MedGemma) -> None:
    engine = em.engine(model)
    prompt = em.text(200, 1)
    read = 0
    for turn in range(4):
        sequence = engine.submit(em.request(prompt, params=em.greedy(30)))
        answer = em.tokens(sequence)
        assert answer == em.plain(model, prompt, 30)
        # All but the last token of the answer, which was never computed, is there for the next turn.
        assert sequence.hit_tokens == read
        read = len(prompt) + 29
        prompt = [*prompt, *answer, *em.text(20, 50 + turn)[1:]]


def test_a_kept_beginning_serves_after_answers_went_far_beyond_it(model: MedGemma) -> None:
    engine = em.engine(model)
    head, pictures = [2, *em.text(120, 4)[1:], *em.IMAGE], em.pixels(1, 4)
    for seed in range(3):
        prompt = [*head, *em.text(9 + seed, seed)[1:]]
        sequence = engine.submit(em.request(prompt, pictures, em.greedy(150), keep=(len(head),)))
        assert em.tokens(sequence) == em.plain(model, prompt, 150, pictures)
        assert sequence.hit_tokens == (len(head) if seed else 0)
    assert engine.stats()["images_encoded"] == 1


def test_a_beginning_is_not_taken_from_where_its_ring_has_gone_on(model: MedGemma) -> None:
    engine = em.engine(model)
    head = em.text(100, 5)
    em.tokens(engine.submit(em.request(head, params=em.greedy(150))))
    prompt = [*head, *em.text(10, 6)[1:]]
    sequence = engine.submit(em.request(prompt))
    assert em.tokens(sequence) == em.plain(model, prompt, 20)
    assert sequence.hit_tokens == 0


def test_the_same_tokens_with_another_image_share_nothing_of_it(model: MedGemma) -> None:
    engine = em.engine(model)
    prompt = [2, *em.text(70, 7)[1:], *em.IMAGE, *em.text(30, 8)[1:]]
    one, two = em.pixels(1, 1), em.pixels(1, 2)
    for images, hit in ((one, 0), (two, 71), (one, len(prompt) - 1)):
        sequence = engine.submit(em.request(prompt, images, em.greedy(10)))
        assert em.tokens(sequence) == em.plain(model, prompt, 10, images)
        assert sequence.hit_tokens == hit
    # The image begins at 71 with its marker, so that belongs to the common beginning; nothing behind it does.
    assert prompt[70:72] == [em.BOI, em.SOFT]


def test_a_beginning_is_taken_from_a_sequence_that_still_runs(model: MedGemma) -> None:
    engine = em.engine(model)
    prompt = em.text(130, 10)
    first = engine.submit(em.request(prompt, params=em.greedy(40)))
    began = [next(first).token_id for _ in range(5)]
    second = engine.submit(em.request(prompt, params=em.greedy(40)))
    assert em.tokens(second) == [*began, *em.tokens(first)] == em.plain(model, prompt, 40)
    assert second.hit_tokens == 129


def test_requests_that_begin_alike_wait_for_the_first_to_read_that(model: MedGemma) -> None:
    engine = em.engine(model, prefill_tokens=64)
    engine._scheduler.prefill_chunk = 64
    head, pictures = [2, *em.text(200, 4)[1:], *em.IMAGE], em.pixels(1, 4)
    prompts = [[*head, *em.text(9 + seed, seed)[1:]] for seed in range(4)]
    alike = [engine.submit(em.request(prompt, pictures, keep=(len(head),))) for prompt in prompts]
    other = engine.submit(em.request(em.text(30, 9)))
    engine.step()
    engine.step()
    assert engine.stats()["waiting"] == 3 and other.slot  # who has nothing to wait for goes first
    for prompt, sequence in zip(prompts, alike, strict=True):
        assert em.tokens(sequence) == em.plain(model, prompt, 20, pictures)
    assert em.tokens(other) == em.plain(model, em.text(30, 9), 20)
    assert [each.hit_tokens for each in alike] == [0, 192, 192, 192]  # nobody waits for less than a block


def test_forks_share_the_reading_of_their_prompt(model: MedGemma) -> None:
    engine = em.engine(model)
    prompt = em.text(150, 11)
    params = [em.greedy(30, temperature=2.0, seed=seed) for seed in range(5)]
    forks = engine.submit_all([em.request(prompt, params=each) for each in params])
    together = [em.tokens(fork) for fork in forks]
    assert engine.stats()["prompt_tokens"] == 150
    assert len({tuple(each) for each in together}) == 5
    for each, expected in zip(params, together, strict=True):
        assert em.tokens(em.engine(model).submit(em.request(prompt, params=each))) == expected


def test_forks_outlive_the_one_that_reads_for_them(model: MedGemma) -> None:
    engine = em.engine(model)
    prompt = em.text(80, 12)
    first, *others = engine.submit_all([em.request(prompt) for _ in range(3)])
    first.cancel()
    assert [em.tokens(each) for each in others] == [em.plain(model, prompt, 20)] * 2


def test_sequences_that_are_sent_back_get_the_same_tokens(model: MedGemma) -> None:
    engine = em.engine(model, blocks=9, kept_prompts=0)
    prompts = [em.text(100, seed) for seed in range(6)]
    sequences = [engine.submit(em.request(prompt, params=em.greedy(120))) for prompt in prompts]
    for prompt, sequence in zip(prompts, sequences, strict=True):
        assert em.tokens(sequence) == em.plain(model, prompt, 120)
    stats = engine.stats()
    assert stats["preemptions"] > 0
    assert stats["free_blocks"] == 9


def test_with_snapshots_too_when_room_is_short(model: MedGemma) -> None:
    engine = em.engine(model, slots=3, blocks=10, kept_prompts=4)
    head = em.text(70, 1)
    prompts = [[*head, *em.text(20 + 11 * seed, seed)[1:]] for seed in range(8)]
    sequences = [engine.submit(em.request(prompt, params=em.greedy(100), keep=(64,))) for prompt in prompts]
    for prompt, sequence in zip(prompts, sequences, strict=True):
        assert em.tokens(sequence) == em.plain(model, prompt, 100)
    assert engine.stats()["prefix_cache_hits"] > 0


def test_sixty_four_streams_each_as_alone(model: MedGemma) -> None:
    engine = em.engine(model, max_running=64)
    prompts = [em.text(5 + 3 * seed, seed) for seed in range(64)]
    sequences = [engine.submit(em.request(prompt, params=em.greedy(25))) for prompt in prompts]
    most = 0
    while engine.step():
        most = max(most, int(engine.stats()["running"]))
    assert most == 64
    for prompt, sequence in zip(prompts, sequences, strict=True):
        assert em.tokens(sequence) == em.plain(model, prompt, 25)


def test_many_questions_score_as_each_in_full(model: MedGemma) -> None:
    engine = em.engine(model)
    head, pictures = [2, *em.text(60, 1)[1:], *em.IMAGE], em.pixels(1, 1)
    questions = [(em.text(3 + seed, seed)[1:], [[20], [21, 22], [23, 24, 25]]) for seed in range(14)]
    steps = engine.stats()["steps"]
    prefix = engine.prefill(head, em.ImageInput.from_pixels(pictures))
    scores = engine.score_many(prefix, questions)
    assert engine.stats()["steps"] - steps <= 4  # the beginning, and all the rest side by side
    soft = model.encode_images(pictures)
    for (question, choices), got in zip(questions, scores, strict=True):
        for choice, score in zip(choices, got, strict=True):
            ids = [*head, *question, *choice]
            with torch.no_grad():
                logprobs = model(torch.tensor([ids]), soft)[0].log_softmax(-1)
            start = len(head) + len(question) - 1
            wanted = sum(float(logprobs[start + at, token]) for at, token in enumerate(choice))
            assert score == pytest.approx(wanted, abs=1e-3)


def test_a_prompt_that_only_differs_late_is_read_only_there(model: MedGemma) -> None:
    engine = Engine(model)
    one, two = em.text(90, 1), em.text(90, 2)
    engine.prefill(one)
    sequence = engine.submit(em.request([*one[:77], *two[77:]]))
    assert em.tokens(sequence) == em.plain(model, [*one[:77], *two[77:]], 20)
    assert sequence.hit_tokens == 77
