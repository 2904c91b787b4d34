"""The native backend on a tiny random model: streams, stops, scores, shared images."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import tiny_checkpoint
from aris.backends import Backend, GenerationOptions, NativeBackend, ReplyStream, WhiteBox
from aris.backends.streaming import StopStrings
from aris.checkpoints.registry import ModelSpec
from aris.engine import ContextLengthError, EngineBusy, EngineLimits, Step
from aris.errors import ModelError, PromptError
from aris.prompting import Image, ImageProcessor, Tokenizer, assistant, system, user
from aris.tasks.evidence_maps.relevance_map import peak, source_map

R = np.random.default_rng(0)
ONE, TWO = (Image(R.integers(0, 256, (40, 40), dtype=np.uint8)) for _ in range(2))


def backend(vision: bool = True, **changes: Any) -> NativeBackend:
    processor = ImageProcessor(size=tiny_checkpoint.IMAGE_SIZE) if vision else None
    model = tiny_checkpoint.network(vision)
    return NativeBackend("tiny", model, Tokenizer(tiny_checkpoint.tokenizer()), processor, **changes)


@pytest.fixture(scope="module")
def tiny() -> NativeBackend:
    return backend()


def long_options(**changes: Any) -> GenerationOptions:
    return GenerationOptions(**({"max_tokens": 40, "temperature": 1.0, "seed": 11} | changes))


def test_it_is_a_backend() -> None:
    made: Backend = backend()
    stream: ReplyStream = made.stream([user("Hello")])
    assert iter(stream) is stream


def test_streamed_pieces_are_the_reply_and_the_reply_is_the_decoded_tokens(tiny: NativeBackend) -> None:
    stream = tiny.stream([user(ONE, "Describe.")], long_options())
    pieces = list(stream)
    assert len(pieces) > 5  # it comes in pieces
    reply = stream.reply
    assert "".join(pieces) == reply.text == tiny.generate([user(ONE, "Describe.")], long_options()).text
    assert reply.finish_reason in ("stop", "length") and reply.thinking is None
    assert reply.usage.images == 1 and reply.usage.completion_tokens <= 40


def test_pieces_come_before_the_reply_is_done(tiny: NativeBackend) -> None:
    stream = tiny.stream([user("Hello")], long_options(max_tokens=2000))
    first = list(itertools.islice(stream, 3))
    reply = stream.reply
    assert reply.finish_reason == "aborted" and "".join(first) == reply.text
    assert reply.usage.completion_tokens < 50
    stream.close()
    assert list(stream) == []


def test_the_same_seed_writes_the_same_and_another_does_not(tiny: NativeBackend) -> None:
    texts = [tiny.generate([user("Hello")], long_options(seed=seed)).text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_errors_come_with_the_call_and_not_with_the_first_piece(tiny: NativeBackend) -> None:
    with pytest.raises(PromptError, match="end with a user"):
        tiny.stream([user("Hello"), assistant("Hi")])
    with pytest.raises(PromptError):
        tiny.stream([system("alone")])
    with pytest.raises(ModelError, match="temperature"):
        tiny.stream([user("Hello")], GenerationOptions(temperature=-1.0))
    with pytest.raises(ModelError, match="not trained to think"):
        tiny.stream([user("Hello")], GenerationOptions(thinking=True))
    with pytest.raises(ModelError, match="stop"):
        GenerationOptions(stop=("",))


def test_a_model_without_a_tower_refuses_images() -> None:
    blind = backend(vision=False)
    assert not blind.reads_images
    with pytest.raises(PromptError, match="text only"):
        blind.stream([user(ONE, "Describe.")])


def test_a_prompt_that_is_too_long_is_one_line(tiny: NativeBackend) -> None:
    with pytest.raises(ModelError, match="tokens"):
        list(tiny.stream([user("x" * 5000)]))


def scripted(tiny: NativeBackend, monkeypatch: pytest.MonkeyPatch, text: str, finish: str = "stop") -> None:
    """Let the engine write a text, a character at a time."""
    ids = [*tiny.tokenizer.encode(text), 106]

    class Scripted:
        image_s = prefill_s = 0.0

        def __iter__(self) -> Iterator[Step]:
            for token in ids[:-1]:
                yield Step(token, -0.5, ((token, -0.5),))
            yield Step(ids[-1], -0.1, (), finish)  # type: ignore[arg-type]

        def cancel(self) -> None:
            pass

    monkeypatch.setattr(tiny.engine, "submit_all", lambda requests: [Scripted() for _ in requests])


THOUGHT = "<unused94>thought\nIt is a film.<unused95>The lungs are clear."


def test_thoughts_are_no_part_of_the_answer(tiny: NativeBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(tiny, monkeypatch, THOUGHT)
    stream = tiny.stream([user("Q")])
    assert "".join(stream) == "The lungs are clear."
    assert stream.reply.text == "The lungs are clear." and stream.reply.thinking == "It is a film."


def test_thoughts_come_where_they_are_asked_for(tiny: NativeBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(tiny, monkeypatch, THOUGHT)
    assert "".join(tiny.stream([user("Q")], reasoning=True)) == "It is a film.The lungs are clear."
    kinds = {segment.kind for segment in tiny.stream([user("Q")]).segments()}
    assert kinds == {"reasoning", "answer"}


def test_thinking_asks_with_the_models_own_instruction() -> None:
    made = backend(spec=ModelSpec("t", "", None, "1M", False, "none", True, thinking=True))
    stream = made.stream([user("Q")], GenerationOptions(thinking=True, max_tokens=1))
    assert "think silently if needed" in stream.prompt.text


@pytest.mark.parametrize(
    ("stop", "expected"),
    [(("clear",), "The lungs are "), (("lungs", "The"), ""), (("clear.", "zzz"), "The lungs are "), (("zzz",), None)],
)
def test_the_answer_ends_before_a_stop_string(
    tiny: NativeBackend, monkeypatch: pytest.MonkeyPatch, stop: tuple[str, ...], expected: str | None
) -> None:
    scripted(tiny, monkeypatch, "The lungs are clear.")
    stream = tiny.stream([user("Q")], GenerationOptions(stop=stop))
    text = "".join(stream)
    assert text == ("The lungs are clear." if expected is None else expected) == stream.reply.text
    assert stream.reply.finish_reason == "stop"


def test_stop_strings_are_not_looked_for_in_thoughts(tiny: NativeBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(tiny, monkeypatch, THOUGHT)
    assert tiny.generate([user("Q")], GenerationOptions(stop=("film",))).text == "The lungs are clear."


def test_stop_strings_however_the_pieces_fall() -> None:
    for size in (1, 2, 3, 7):
        stops = StopStrings(("STOP", "OP!"))
        text, out, found = "a STO b STOP c", "", False
        for start in range(0, len(text), size):
            piece, found = stops.push(text[start : start + size])
            out += piece
            if found:
                break
        assert found and out == "a STO b "


def test_characters_are_whole_however_they_are_spelt(tiny: NativeBackend) -> None:
    ids = tiny.tokenizer.encode("naïve 肺")  # bytes, in the tiny vocabulary
    assert len(ids) > 8


def test_a_cut_reply_says_length(tiny: NativeBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(tiny, monkeypatch, "abc", finish="length")
    assert tiny.generate([user("Q")]).finish_reason == "length"


def test_logprobs_where_asked(tiny: NativeBackend) -> None:
    assert tiny.generate([user("Q")], long_options(max_tokens=3)).logprobs is None
    reply = tiny.generate([user("Q")], long_options(max_tokens=3, top_logprobs=2))
    assert reply.logprobs is not None and len(reply.logprobs) == reply.usage.completion_tokens
    assert all(len(each.top) == 2 and each.logprob <= 0 for each in reply.logprobs)


def test_timings_are_measured(tiny: NativeBackend) -> None:
    tiny.forget_images()
    timings = tiny.generate([user(ONE, "Q")], long_options()).timings
    assert 0 < timings.image_s < timings.first_token_s < timings.total_s
    assert timings.decode_tokens_per_s is not None and timings.decode_tokens_per_s > 0


def full_pass(made: NativeBackend, messages: list[Any], choice: str) -> float:
    """The choice's log-probability from one pass over prompt and choice, without a cache."""
    prompt = made.prompts(messages)
    answer = made.tokenizer.encode(choice)
    ids = prompt.token_ids + answer
    with torch.no_grad():
        soft = None if prompt.pixel_values is None else made.model.encode_images(prompt.pixel_values)
        logprobs = made.model(torch.tensor([ids]), soft)[0].log_softmax(-1)
    start = len(prompt.token_ids)
    return sum(float(logprobs[start + index - 1, token]) for index, token in enumerate(answer))


def test_scores_are_those_of_a_full_pass(tiny: NativeBackend) -> None:
    choices = ("Yes", "No", "pneumonia?", "x y")
    for messages in ([user("Is it?")], [user(ONE, "Is it?")], [user(ONE, TWO, "Is it?")]):
        scores = tiny.score(messages, choices)
        assert scores == pytest.approx([full_pass(tiny, messages, choice) for choice in choices], abs=1e-3)


def test_many_questions_on_one_image_read_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = backend()
    images = []
    encode = made.engine.encode_images
    monkeypatch.setattr(made.engine, "encode_images", lambda pixels: images.append(1) or encode(pixels))
    questions = [(f"Is there finding {n}?", ("Yes", "No")) for n in range(5)]
    shared = made.score_many([user(ONE)], questions)
    assert len(images) == 1
    # Of all the prompts' tokens, the ones that they share were read once.
    stats = made.engine.stats()
    assert stats["prompt_tokens"] <= len(made.prompts([user(ONE, "Is there finding ")]).token_ids)
    text = made.generate([user(ONE, "Describe.")], long_options()).text
    assert len(images) == 1  # the draft shares the film too
    alone = backend()
    for (question, choices), scores in zip(questions, shared, strict=True):
        alone.forget_images()
        assert alone.score([user(ONE, question)], choices) == pytest.approx(scores, abs=1e-4)
    assert backend().generate([user(ONE, "Describe.")], long_options()).text == text


def test_another_image_is_not_taken_for_the_last_one(tiny: NativeBackend) -> None:
    first = tiny.score([user(ONE, "Q")], ["Yes", "No"])
    second = tiny.score([user(TWO, "Q")], ["Yes", "No"])
    assert first != second
    assert tiny.score([user(ONE, "Q")], ["Yes", "No"]) == first


def test_the_same_image_after_another_beginning_is_read_anew_but_not_encoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = backend()
    images: list[int] = []
    encode = made.engine.encode_images
    monkeypatch.setattr(made.engine, "encode_images", lambda pixels: images.append(1) or encode(pixels))
    made.score([user(ONE, "Q")], ["Yes"])
    with_system = made.score([system("Be brief."), user(ONE, "Q")], ["Yes"])
    assert len(images) == 1
    expected = full_pass(made, [system("Be brief."), user(ONE, "Q")], "Yes")
    assert with_system == pytest.approx([expected], abs=1e-3)


def test_a_stream_that_was_stopped_leaves_the_shared_image_whole(tiny: NativeBackend) -> None:
    before = tiny.score([user(ONE, "Q")], ["Yes", "No"])
    list(itertools.islice(tiny.stream([user(ONE, "Describe.")], long_options(max_tokens=500)), 4))
    assert tiny.score([user(ONE, "Q")], ["Yes", "No"]) == before


@pytest.mark.parametrize("choices", [(), ("",), (" Yes",), ("\n",)])
def test_choices_that_cannot_be_scored(tiny: NativeBackend, choices: tuple[str, ...]) -> None:
    with pytest.raises(PromptError, match="score"):
        tiny.score([user("Q")], choices)


def test_a_choice_cannot_be_a_control_token(tiny: NativeBackend) -> None:
    messages = [user("Q")]
    assert tiny.score(messages, ["<end_of_turn>"])[0] < tiny.score(messages, ["Yes"])[0]


def test_score_many_needs_a_users_turn(tiny: NativeBackend) -> None:
    with pytest.raises(PromptError, match="user"):
        tiny.score_many([user("Q"), assistant("A")], [("Q", ("Yes",))])


def test_memory_that_runs_out_is_one_line(tiny: NativeBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    monkeypatch.setattr(tiny.engine.runner, "prefill", full)
    tiny.forget_images()
    with pytest.raises(ModelError, match="out of memory"):
        tiny.score([user(ONE, "Q")], ["Yes"])
    with pytest.raises(ModelError, match="out of memory"):
        list(tiny.stream([user(ONE, "Q")]))


def test_streams_side_by_side_write_what_each_writes_alone(tiny: NativeBackend) -> None:
    asked = [([user(ONE, "Describe.")], 1), ([user("Hello")], 2), ([user(TWO, "And this?")], 3)]
    alone = [tiny.generate(messages, long_options(seed=seed)).text for messages, seed in asked]
    streams = [tiny.stream(messages, long_options(seed=seed)) for messages, seed in asked]
    texts = ["", "", ""]
    for pieces in itertools.zip_longest(*streams, fillvalue=""):
        texts = [text + piece for text, piece in zip(texts, pieces, strict=True)]
    assert texts == alone


def test_several_replies_read_their_prompt_once() -> None:
    made = backend()
    streams = made.streams([user(ONE, "Describe.")], long_options(), 3)
    texts = ["".join(stream) for stream in streams]
    assert len(set(texts)) == 3
    assert made.engine.stats()["prompt_tokens"] == streams[0].reply.usage.prompt_tokens
    assert texts == [backend().generate([user(ONE, "Describe.")], long_options(seed=11 + n)).text for n in range(3)]


@pytest.mark.parametrize("how", ["closed", "dropped", "never read"])
def test_a_stream_that_is_not_wanted_any_more_frees_its_sequence(how: str) -> None:
    made = backend()
    stream = made.stream([user(ONE, "Describe.")], long_options(max_tokens=2000))
    if how != "never read":
        next(stream)
    assert made.engine.stats()["running"] + made.engine.stats()["waiting"] == 1
    if how == "closed":
        stream.close()
        assert list(stream) == [] and stream.reply.finish_reason == "aborted"
    else:
        del stream
    assert made.engine.stats()["running"] + made.engine.stats()["waiting"] == 0


def test_segments_outlive_their_stream(tiny: NativeBackend) -> None:
    expected = tiny.generate([user("Hello")], long_options()).text
    assert "".join(segment.text for segment in tiny.stream([user("Hello")], long_options()).segments()) == expected


def test_limits_are_the_engines() -> None:
    made = backend(limits=EngineLimits(max_running=1, max_waiting=1, max_tokens=60))
    first = made.stream([user("Q")], long_options(max_tokens=5))
    with pytest.raises(EngineBusy):
        made.stream([user("Q")], long_options())
    assert "".join(first) == first.reply.text
    with pytest.raises(ContextLengthError, match="59 at most"):
        made.stream([user("x" * 80)])


# What a model in this process gives besides


def test_log_probabilities_after_the_end_are_those_of_the_stream(tiny: NativeBackend) -> None:
    assert isinstance(tiny, WhiteBox)
    turn = [user(ONE, "Describe.")]
    text = "No lungs. Yes pneumonia"
    given = tiny.token_logprobs(turn, text)
    assert "".join(each.token.replace("\u2581", " ") for each in given) == text
    assert sum(each.logprob for each in given) == pytest.approx(tiny.score(turn, [text])[0], abs=1e-3)
    assert tiny.token_logprobs(turn, "") == ()


class Only(torch.nn.Module):
    """A layer that lets one patch through."""

    def __init__(self, patches: int, kept: int) -> None:
        super().__init__()
        self.mask = torch.zeros(patches, 1).index_fill(0, torch.tensor([kept]), 1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.mask


@pytest.mark.parametrize(("fit", "size"), [("pad", (300, 180)), ("stretch", (300, 180)), ("pad", (90, 90))])
@pytest.mark.parametrize("kept", [5, 10])
def test_the_patch_that_matters_is_found_in_the_file(fit: Any, size: tuple[int, int], kept: int) -> None:
    """Through resizing and padding: all of the map lies where the one patch that matters was taken from."""
    model = tiny_checkpoint.network()
    assert model.vision_tower is not None
    model.vision_tower.encoder.layers[0] = Only(16, kept)
    made = NativeBackend(
        "tiny", model, Tokenizer(tiny_checkpoint.tokenizer()), ImageProcessor(size=tiny_checkpoint.IMAGE_SIZE, fit=fit)
    )
    height, width = size
    pixels = R.integers(0, 256, (height, width), dtype=np.uint8)
    wanted = "Yes"
    found = made.relevance([user(pixels, "Is there?")], wanted, against="No")
    if found.grids[0].sum() < 0:
        found = made.relevance([user(pixels, "Is there?")], "No", against="Yes")
    relevance, padding = source_map(found, 0, height, width)
    row, column = divmod(kept, 4)
    left, top, right, bottom = found.frames[0].box
    down, across = (bottom - top) / 4, (right - left) / 4
    x, y = peak(relevance) or (-1.0, -1.0)
    assert left + column * across <= x <= left + (column + 1) * across
    assert top + row * down <= y <= top + (row + 1) * down
    near = np.zeros_like(relevance)
    near[
        max(0, int(top + (row - 1) * down)) : int(top + (row + 2) * down),
        max(0, int(left + (column - 1) * across)) : int(left + (column + 2) * across),
    ] = 1
    assert float((relevance * near).sum()) == pytest.approx(1, abs=1e-3) and padding < 0.6


def test_words_after_words_are_explained(tiny: NativeBackend) -> None:
    turn = [user(ONE, TWO, "Describe.")]
    found = tiny.relevance(turn, " pneumonia", before="Yes")
    both = tiny.score(turn, ["Yes pneumonia"])[0] - tiny.score(turn, ["Yes"])[0]
    assert found.score == pytest.approx(both, abs=1e-2)
    assert found.images == (0, 1) and [grid.shape for grid in found.grids] == [(4, 4), (4, 4)]
    with pytest.raises(PromptError, match="empty"):
        tiny.relevance(turn, " ")
    with pytest.raises(PromptError, match="no image"):
        tiny.relevance([user("Hello")], "Yes")
    with pytest.raises(ModelError, match="reads no images"):
        backend(vision=False).relevance([user("Hello")], "Yes")
