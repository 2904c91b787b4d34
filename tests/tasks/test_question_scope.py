"""Questions against a model's scope: the gate and the facts of findings, and no answer that rests on words alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from aris.backends import GenerationOptions, Grammar
from aris.checkpoints.registry import find
from aris.tasks import AnswerStream, ask
from aris.tasks.film_facts import Facts, with_facts
from films import child, film
from scripted_backend import ScriptedBackend, nano, spec


def words_only(**changes: Any) -> ScriptedBackend:
    """As aris-nano: its own words would rest on the question."""
    declared = spec(patient_care=False)
    scope = replace(declared.scope, free_answers=False)
    return nano(**({"spec": replace(declared, scope=scope), "pieces": ("Yes",)} | changes))


def tile() -> np.ndarray[Any, Any]:
    """Pixels in the colours of haematoxylin and eosin."""
    shade = np.random.default_rng(2).integers(0, 60, (128, 128, 1), dtype=np.uint8)
    return np.array([170, 90, 160], dtype=np.uint8) + shade


def test_the_registry_says_so_of_aris_nano() -> None:
    found = find("aris-nano")
    assert found is not None and not found.scope.free_answers and not found.patient_care


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (film(tile()), "coloured"),
        (child(patient_age_years=45.0), "age is outside"),
        (child(view_position="LL"), "view LL is outside"),
        (child(body_part="HAND"), "outside the model's scope"),
        (child(modality="MG"), "modality MG"),
    ],
)
def test_an_image_that_findings_refuse_is_not_answered(shown: Any, why: str) -> None:
    for model in (words_only(), nano(pieces=("Yes",))):
        result = ask(model, "Is there pneumonia?", [shown])
        assert not result.answered and result.answer.startswith("tiny cannot answer this: ") and why in result.answer
        assert any(why in each for each in result.warnings)
        assert not model.prompts  # nothing was generated


def test_the_gate_refuses() -> None:
    result = ask(words_only(gate=0.1), "Is there pneumonia?", [child()])
    assert not result.answered and "frontal chest X-ray" in result.answer


def test_an_image_of_an_earlier_turn_is_judged_again() -> None:
    model = words_only()
    first = AnswerStream(model, "What is it?", [child(patient_age_years=45.0)])
    list(first)
    for earlier in (first.shown, ()):  # known by its file, or by its pixels alone
        second = AnswerStream(model, "Is there pneumonia?", history=first.history, earlier=earlier)
        list(second)
        assert second.answer.answered is (earlier == ())
    other = AnswerStream(model, "Hello", [film(tile())])
    list(other)
    again = ask(model, "Is there pneumonia?", history=other.history)
    assert not again.answered and "coloured" in again.answer


@pytest.mark.parametrize(
    "question",
    [
        "Is there pneumonia?", "is there any sign of pneumonia in this chest X-ray?", "Do you see pneumonia?",
        "Is there pneumonia in this chest X-ray? Answer yes or no.", "Does this film show evidence of pneumonia?",
        "Does the child have pneumonia?", "Pneumonia?", "Is pneumonia present?",
    ],
)  # fmt: skip
@pytest.mark.parametrize(("probability", "word"), [(0.9, "Yes"), (0.1, "No"), (0.5, "Uncertain")])
def test_a_declared_finding_is_answered_by_its_score(question: str, probability: float, word: str) -> None:
    model = words_only(pneumonia=probability)
    result = ask(model, question, [child()])
    assert result.answered and result.answer.startswith(f"{word}. pneumonia: ") and not model.prompts
    assert f"probability {probability:.2f}" in result.answer and "never for patient care" in result.answer


@pytest.mark.parametrize(
    "question",
    [
        "Is the heart enlarged?", "Is there no pneumonia?", "Which lobe has the pneumonia?", "Is pneumonia absent?",
        "Is the pneumonia viral?", "Is there a fracture?", "Wo ist das Herz?", "Yes or no?", "Pneumonia or edema?",
    ],
)  # fmt: skip
def test_what_scores_cannot_answer_is_not_answered(question: str) -> None:
    model = words_only()
    result = ask(model, question, [child()])
    assert not result.answered and "cannot answer this" in result.answer and not model.prompts
    assert "pneumonia: present, probability 0.90" in result.answer  # what it can say


@pytest.mark.parametrize("question", ["Describe this film.", "What do you see?", "Is anything abnormal?", "Report"])
def test_a_description_is_what_the_scores_say(question: str) -> None:
    result = ask(words_only(pneumonia=0.1), question, [child()])
    assert result.answered and result.answer.startswith("pneumonia: not seen, probability 0.10.")


def test_several_films_are_not_answered() -> None:
    result = ask(words_only(), "Is there pneumonia?", [child(), child()])
    assert not result.answered and "one film at a time, and 2 images" in result.answer


@pytest.mark.parametrize(
    "question", ["Is there pneumonia?", "Describe this film.", "Is the heart enlarged?", "What do you see?"]
)
def test_a_question_about_an_image_without_one(question: str) -> None:
    model = words_only()
    result = ask(model, question)
    assert not result.answered and "no image was given" in result.answer and not model.prompts


def test_a_question_without_an_image_is_answered_and_marked() -> None:
    result = ask(words_only(pieces=("An infection.",)), "What is pneumonia?")
    assert result.answered and result.answer == "An infection." and "no advice" in result.warnings[0]
    assert result.caution == "tiny is for trying and testing only, never for patient care."


def test_force_answers_and_marks() -> None:
    for shown in (film(tile()), child(), child(patient_age_years=45.0)):
        result = ask(words_only(), "Is the heart enlarged?", [shown], force=True)
        assert result.answer == "Yes" and result.answered and result.forced and result.warnings[0].startswith("forced")


def test_a_form_is_kept_or_not_answered() -> None:
    def formed(model: ScriptedBackend, question: str, grammar: Grammar) -> Any:
        return ask(model, question, [child()], options=GenerationOptions(grammar=grammar))

    yes_no = Grammar.choice(["yes", "no"])
    assert formed(words_only(), "Is there pneumonia?", yes_no).answer == "yes"
    assert formed(words_only(pneumonia=0.1), "Is there pneumonia?", Grammar.regex("Yes|No")).answer == "No"
    assert not formed(words_only(pneumonia=0.5), "Is there pneumonia?", yes_no).answered
    assert not formed(words_only(), "Is there an effusion?", yes_no).answered


def test_an_adapter_is_another_model() -> None:
    result = ask(words_only(changes="adapter 0123"), "Which tissue?", [film(tile())])
    assert result.answer == "Yes" and any("adapter changes tiny" in each for each in result.warnings)


def test_an_adapter_does_not_hide_what_the_pixels_are() -> None:
    result = ask(words_only(changes="adapter 12ab"), "Is there pneumonia?", [film(tile())])
    assert result.answered and "not a chest film: the image is coloured" in result.warnings


def test_what_is_told_of_a_picture_counts() -> None:
    unknown = film()
    told = with_facts(unknown, Facts(4.0, "AP"))
    assert told.patient_age_years == 4 and told.view_position == "AP"
    assert told.warnings == ("age and view: as told, not from the file",)
    assert not ask(words_only(), "Is there pneumonia?", [with_facts(unknown, Facts(40.0))]).answered
    kept = with_facts(child(patient_age_years=4.0), Facts(40.0))
    assert kept.patient_age_years == 4 and "the file's holds" in kept.warnings[-1]
