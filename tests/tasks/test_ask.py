"""Questions and conversations: state is passed in and returned."""

from __future__ import annotations

import pytest

from aris.errors import ModelError, PromptError
from aris.prompting import Image, Text, system
from aris.tasks import AnswerStream, ask
from films import child, film
from scripted_backend import ScriptedBackend, nano


def test_images_stand_before_the_question() -> None:
    model = ScriptedBackend(pieces=("An ", "answer."))
    result = ask(model, "What is it?", [film(), film(source="second.png")])
    assert result.answer == "An answer." and result.files == ("film.png", "second.png")
    assert [type(part) for part in model.prompts[0][0].content] == [Image, Image, Text]
    assert result.finish_reason == "stop" and result.usage == {"prompt_tokens": 10, "completion_tokens": 2, "images": 1}


def test_a_conversation_grows_by_question_and_answer() -> None:
    model = ScriptedBackend(pieces=("One.",))
    first = AnswerStream(model, "First?", history=[system("Be short.")])
    assert list(first) == ["One."]
    second = AnswerStream(model, "Second?", history=first.history)
    list(second)
    assert [message.role for message in model.prompts[-1]] == ["system", "user", "assistant", "user"]
    assert len(first.history) == 3  # the first conversation is as it was


def test_an_answer_cut_by_its_length_says_so() -> None:
    assert "cut at 1 tokens" in ask(ScriptedBackend(pieces=("x",), finish="length"), "Q?").warnings[0]


def test_an_image_outside_the_models_scope_is_a_warning() -> None:
    assert "modality CT" in ask(nano(pieces=("x",)), "Q?", [child(modality="CT")]).warnings[0]


def test_an_empty_question_and_a_blind_model_are_refused() -> None:
    with pytest.raises(PromptError, match="empty"):
        ask(ScriptedBackend(), "  ")
    with pytest.raises(ModelError, match="reads no images"):
        ask(ScriptedBackend(reads_images=False), "Q?", [film()])
