"""The engine on a tiny random model: streaming, stops, scoring, prefixes, and how it refuses."""

from __future__ import annotations

import pytest
import torch

from aris.engine import Engine, EngineLimits, Request, SamplingParams
from aris.errors import ModelError
from aris.model import MedGemma, MedGemmaConfig, TextConfig, VisionConfig

SOFT, BOI, EOI = 310, 308, 309


def tiny(vision: bool = True) -> MedGemma:
    torch.manual_seed(3)
    text = TextConfig(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=6,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=8,
        layer_types=("sliding_attention",) * 5 + ("full_attention",),
        max_position_embeddings=200,
    )
    tower = VisionConfig(16, 32, 1, 2, image_size=16, patch_size=4) if vision else None
    config = MedGemmaConfig(
        text, tower, mm_tokens_per_image=4, boi_token_index=BOI, eoi_token_index=EOI, image_token_index=SOFT
    )
    model = MedGemma(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(tiny())


PROMPT = [2, 11, 12, BOI, SOFT, SOFT, SOFT, SOFT, EOI, 13, 14]


@pytest.fixture(scope="module")
def soft(engine: Engine) -> torch.Tensor:
    return engine.encode_images(torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)))


def test_greedy_is_the_argmax_of_a_full_pass_each_step(engine: Engine, soft: torch.Tensor) -> None:
    steps = list(engine.stream(PROMPT, soft, SamplingParams(max_tokens=30, stop_token_ids=(), logprobs=True)))
    ids = list(PROMPT)
    for step in steps:
        with torch.no_grad():
            logits = engine.model(torch.tensor([ids]), soft)[0, -1]
        logits[[SOFT, BOI, EOI]] = float("-inf")
        assert step.token_id == int(logits.argmax())
        assert step.logprob == pytest.approx(float(logits.log_softmax(-1).max()), abs=1e-4)
        ids.append(step.token_id)
    assert [s.finish_reason for s in steps] == [None] * 29 + ["length"]


def test_the_first_token_comes_before_the_second_is_computed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    for name in ("prefill", "decode"):
        own = getattr(engine.runner, name)
        monkeypatch.setattr(engine.runner, name, lambda work, own=own: passes.append(1) or own(work))
    stream = engine.stream([2, 5, 6], None, SamplingParams(max_tokens=10, stop_token_ids=()))
    seen = []
    for _ in range(4):
        next(stream)
        seen.append(len(passes))
    assert seen == [1, 2, 3, 4]


def test_a_stop_token_ends_the_stream_and_is_named(engine: Engine) -> None:
    free = [s.token_id for s in engine.stream([2, 5, 6], None, SamplingParams(max_tokens=12, stop_token_ids=()))]
    stop = free[4]
    steps = list(engine.stream([2, 5, 6], None, SamplingParams(max_tokens=12, stop_token_ids=(stop,))))
    assert [s.token_id for s in steps] == free[: free.index(stop) + 1]
    assert steps[-1].finish_reason == "stop"


def test_a_seed_repeats_and_another_differs(engine: Engine) -> None:
    def draw(seed: int) -> list[int]:
        params = SamplingParams(max_tokens=20, temperature=1.5, seed=seed, stop_token_ids=())
        return [s.token_id for s in engine.stream([2, 5], None, params)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_image_markers_are_never_sampled(engine: Engine) -> None:
    banned = tuple(range(300))
    params = SamplingParams(max_tokens=150, temperature=50.0, seed=0, stop_token_ids=(), banned_token_ids=banned)
    tokens = {s.token_id for s in engine.stream([2], None, params)}
    assert tokens and tokens <= set(range(300, 320)) - {SOFT, BOI, EOI}


def test_scores_are_summed_log_probabilities(engine: Engine, soft: torch.Tensor) -> None:
    choices = [[20], [20, 21], [22, 23, 24, 25]]
    with torch.no_grad():
        for choice, score in zip(choices, engine.score(PROMPT, soft, choices), strict=True):
            logprobs = engine.model(torch.tensor([PROMPT + choice]), soft)[0].log_softmax(-1)
            wanted = sum(float(logprobs[len(PROMPT) - 1 + i, token]) for i, token in enumerate(choice))
            assert score == pytest.approx(wanted, abs=1e-3)


def test_a_prefix_answers_many_questions_and_stays_as_it_was(engine: Engine, soft: torch.Tensor) -> None:
    prefix = engine.prefill(PROMPT, soft)
    for question in ([30, 31], [40], [30, 31]):
        shared = engine.score(question, None, [[50], [51, 52]], prefix=prefix)
        alone = engine.score(PROMPT + question, soft, [[50], [51, 52]])
        assert shared == pytest.approx(alone, abs=1e-3)
        params = SamplingParams(max_tokens=6, stop_token_ids=())
        assert [s.token_id for s in engine.stream(question, None, params, prefix=prefix)] == [
            s.token_id for s in engine.stream(PROMPT + question, soft, params)
        ]


def test_chunked_prefill_never_splits_an_image(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    image = [BOI, SOFT, SOFT, SOFT, SOFT, EOI]
    ids = [2, 7, *image, 8, *image, 9, 10, *image, 11]
    soft = engine.encode_images(torch.rand(3, 3, 16, 16))
    params = SamplingParams(max_tokens=5, stop_token_ids=())
    whole = [s.token_id for s in engine.stream(ids, soft, params)]
    for chunk in (1, 4, 5, 9):
        cut = Engine(engine.model, EngineLimits(max_running=1))
        monkeypatch.setattr(cut._scheduler, "prefill_chunk", chunk)
        assert [s.token_id for s in cut.stream(ids, soft, params)] == whole


def test_logprobs_of_a_text(engine: Engine) -> None:
    ids = [2, *range(20, 170)]
    with torch.no_grad():
        reference = engine.model(torch.tensor([ids]))[0].log_softmax(-1)
    wanted = reference[torch.arange(150), torch.tensor(ids[1:])]
    assert torch.allclose(engine.logprobs(ids), wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("ids", "images", "says"),
    [
        ([], 0, "empty"),
        ([2, 320], 0, "outside this model's vocabulary"),
        ([2] * 200, 0, "199 at most"),
        ([2, SOFT, SOFT, SOFT, SOFT], 0, "do not match 0 images"),
        ([2, SOFT, SOFT], 1, "do not match 1 images"),
        ([2, 5], 1, "0 soft image tokens do not match 1"),
    ],
)
def test_bad_prompts_are_refused(engine: Engine, ids: list[int], images: int, says: str) -> None:
    soft = engine.encode_images(torch.rand(images, 3, 16, 16)) if images else None
    with pytest.raises(ModelError, match=says):
        next(engine.stream(ids, soft))


def test_an_answer_beyond_the_vocabulary_is_refused(engine: Engine) -> None:
    """As of a fine-tune whose tokenizer got tokens that its embedding has no rows for."""
    for choice in ([320], [5, 320], [-1]):
        with pytest.raises(ModelError, match="outside this model's vocabulary"):
            engine.score([2, 5], None, [[7], choice])
    assert len(engine.score([2, 5], None, [[7], [319]])) == 2


def test_generation_ends_where_the_context_ends(engine: Engine) -> None:
    steps = list(engine.stream([2] * 195, None, SamplingParams(max_tokens=50, stop_token_ids=())))
    assert len(steps) == 5
    assert steps[-1].finish_reason == "length"


def test_float16_and_a_missing_tower_are_refused() -> None:
    model = tiny(vision=False)
    with pytest.raises(ModelError, match="no vision tower"):
        model.encode_images(torch.rand(1, 3, 16, 16))
    with pytest.raises(ModelError, match="overflows"):
        next(Engine(model.half()).stream([2, 5]))


def test_the_likeliest_tokens_at_each_place_of_a_text(engine: Engine) -> None:
    ids = [2, *range(20, 150)]
    with torch.no_grad():
        reference = engine.model(torch.tensor([ids]))[0].log_softmax(-1)
    steps = engine.prompt_logprobs(ids, top=3)
    assert [step.token_id for step in steps] == ids[1:]
    for at, step in enumerate(steps):
        values, likeliest = reference[at].topk(3)
        assert [token for token, _ in step.top_logprobs] == likeliest.tolist()
        assert [value for _, value in step.top_logprobs] == pytest.approx(values.tolist(), abs=1e-3)


def test_an_interrupt_leaves_nothing_half_done(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    other = engine.submit(Request([2, 5, 6], params=SamplingParams(max_tokens=9, stop_token_ids=())))
    next(other)

    def interrupted(*_: object) -> torch.Tensor:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(engine.runner, "decode", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(engine.stream([2, 7]))
    stats = engine.stats()
    assert stats["running"] == stats["waiting"] == 0
    with pytest.raises(ModelError, match="interrupted"):
        list(other)
    assert len(list(engine.stream([2, 7], None, SamplingParams(max_tokens=4, stop_token_ids=())))) == 4


def test_a_defect_ends_those_who_wait_and_not_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(tiny())
    engine.start()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(engine, "_apply", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                list(engine.stream([2, 5]))
        assert len(list(engine.stream([2, 7], None, SamplingParams(max_tokens=4, stop_token_ids=())))) == 4
    finally:
        engine.stop()
