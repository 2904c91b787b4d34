"""Defects of the existing stacks that lie in text and tasks, each by its number; 1 to 5 and 7 are in tests/imaging too.

    pytest -k defect
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from image_ablation import image_ablation

import tiny_checkpoint
from aris.backends import GenerationOptions, NativeBackend, load
from aris.errors import ArisError, ImageError, ModelError
from aris.imaging import read_film
from aris.prompting import Image, ImageProcessor, PromptProcessor, split_thinking
from aris.prompting.builders import COLORECTAL_TISSUES, boxes, lettered
from aris.prompting.messages import Text, images_of
from aris.tasks import AnswerStream, DraftStream, classify
from aris.tasks.evidence_maps.sides import side_of
from aris.tasks.text.options import parse_option
from aris.tuning.data.collate import collate
from aris.tuning.data.examples import Example, tokenize
from films import child, film
from scripted_backend import ScriptedBackend, nano

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> NativeBackend:
    return load(str(tiny_checkpoint.save(tmp_path_factory.mktemp("m") / "tiny")), dtype="float32")


def test_defect_5_the_encoder_gets_the_film_in_full_and_not_a_thumbnail() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1800, 1500), dtype=np.uint8)
    backend = ScriptedBackend(pieces=("Clear.",))
    list(DraftStream(backend, film(pixels), force=True))
    classify(backend, film(pixels), ["yes", "no"], "Is it?", kind="chest film", force=True)
    list(AnswerStream(backend, "What is it?", [film(pixels)]))
    assert len(backend.prompts) == 3
    for prompt in backend.prompts:
        (image,) = images_of(prompt)
        assert image.pixels.shape[:2] == (1800, 1500)
    seen = ImageProcessor()(Image(pixels))[0, 0].numpy()
    wanted = np.asarray(PIL.Image.fromarray(pixels).resize((896, 896), resample=2), dtype=np.float32) / 127.5 - 1
    assert seen.shape == (896, 896) and np.abs(seen - wanted).max() < 1e-5


def test_defect_6_thinking_is_split_at_its_real_markers() -> None:
    thought, answer = split_thinking("<unused94>thought\nThe heart is large.<unused95>\nCardiomegaly.")
    assert (thought, answer) == ("The heart is large.", "Cardiomegaly.")
    assert "unused" not in answer
    # Cut within the thought: nothing of it becomes the answer.
    assert split_thinking("<unused94>thought\nThe heart") == ("The heart", "")


def test_defect_7_left_is_the_patients_left() -> None:
    # On a frontal film whose columns run to the patient's left, what lies left in the image is on the right.
    assert side_of((0, 0, 20, 20), 100, ("L", "F")) == "right"
    assert side_of((80, 0, 100, 20), 100, ("L", "F")) == "left"
    assert side_of((0, 0, 20, 20), 100, None) is None  # never guessed
    (turn,) = boxes(np.zeros((10, 10), dtype=np.uint8), "heart")
    text = "".join(part.text for part in turn.content if isinstance(part, Text))
    assert "\"left\" means the patient's left" in text


def test_defect_8_the_first_words_come_before_the_last_are_made(tiny: NativeBackend) -> None:
    stream = AnswerStream(tiny, "Describe it.", [film()], options=GenerationOptions(max_tokens=40))
    next(stream)
    made = stream.answer.usage["completion_tokens"]
    assert 1 <= made < 20
    for _ in stream:
        pass
    assert stream.answer.usage["completion_tokens"] > made


def test_defect_8_errors_reach_the_caller_before_and_inside_the_stream() -> None:
    # Before: making the stream fails, not its first piece, which may never be asked for.
    with pytest.raises(ImageError):
        DraftStream(nano(), "no such file.png")

    class Breaking(ScriptedBackend):
        def stream(self, *_: object, **__: object) -> Iterator[str]:  # type: ignore[override]
            yield "The lungs "
            raise ModelError("engine: out of memory; close other programs")

    stream = AnswerStream(Breaking(), "Describe it.", [film()])
    assert next(stream) == "The lungs "
    with pytest.raises(ArisError, match="out of memory"):
        next(stream)


def test_defect_9_the_question_carries_no_loss(tiny: NativeBackend) -> None:
    tokenizer = tiny.tokenizer
    processor = PromptProcessor(tokenizer, ImageProcessor(size=32), 4)
    question = "What is it? A: adipose B: debris"
    row = tokenize(Example("choice", question, "B: debris", image=0), processor, 500)
    assert row is not None
    targets = collate([row]).targets
    with_loss = [int(token) for token in targets.flatten() if token >= 0]
    answer = tokenizer.encode("B: debris<end_of_turn>")
    assert with_loss == answer
    assert len(row.token_ids) - len(with_loss) > len(tokenizer.encode(question))


def test_defect_9_base_and_tuned_answers_are_read_by_one_parser() -> None:
    tuned, base = "D: lymphocytes", "The image shows many small round nuclei.\n\nFinal Answer: **D: lymphocytes**"
    assert parse_option(tuned, COLORECTAL_TISSUES) == parse_option(base, COLORECTAL_TISSUES) == 3
    results = [
        classify(ScriptedBackend(pieces=(text,)), film(), COLORECTAL_TISSUES, by="answer") for text in (tuned, base)
    ]
    assert [result.choice for result in results] == ["lymphocytes", "lymphocytes"]


def test_defect_10_how_an_answer_was_scored_is_said(tiny: NativeBackend) -> None:
    asked: list[Sequence[str]] = []

    def choices(options: Sequence[str]) -> list[float]:
        asked.append(options)
        return [-1.0] * len(options)

    scored = classify(ScriptedBackend(choices=choices), film(), ["yes", "no"], "Is it?")
    assert scored.scored_by == "log-probability of the whole option"
    assert asked == [lettered(["yes", "no"])]  # whole options, never the letter alone
    written = classify(tiny, film(), ["yes", "no"], "Is it?", by="answer")
    assert written.scored_by == "generated answer"
    assert "scored_by" in written.model_dump_json()


def test_defect_11_the_answer_depends_on_the_image() -> None:
    model = load("aris-nano", device="cpu")
    (ill,) = image_ablation(model, read_film(SAMPLES / "child-pneumonia.jpg"), ["pneumonia"])
    (well,) = image_ablation(model, read_film(SAMPLES / "child-normal.jpg"), ["pneumonia"])
    assert ill.film - well.film > 2  # it looks
    assert ill.change > 0.5 or well.change > 0.5


def test_defect_11_a_blind_model_is_found_out() -> None:
    (blind,) = image_ablation(nano(pneumonia=0.7), child(), ["pneumonia"])
    assert blind.change == 0
