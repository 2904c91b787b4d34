"""Drafts: the prompt carries the scores, the text is held to them, and nothing is written outside the scope."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from aris.backends import GenerationOptions
from aris.checkpoints.registry import Scope, find
from aris.errors import ModelError
from aris.prompting import Image, Text
from aris.tasks import DraftStream, draft
from aris.tasks.draft import NO_TEXT
from aris.tasks.text.prompts import DRAFT_PROMPT
from aris.tuning.nano import corpus
from films import child
from scripted_backend import ScriptedBackend, nano, spec

GOOD = ("FINDINGS: Opacity on the right.", "\nIMPRESSION: ", "Pneumonia is likely.")


def prompt_text(model: ScriptedBackend) -> str:
    return " ".join(part.text for part in model.prompts[-1][-1].content if isinstance(part, Text))


def test_the_prompt_is_the_one_that_was_trained() -> None:
    trained = corpus.DRAFT_PROMPT.format(scored="present")
    assert DRAFT_PROMPT.format(scored="pneumonia present") == trained
    model = nano(pieces=GOOD)
    draft(model, child())
    assert prompt_text(model) == trained
    assert isinstance(model.prompts[-1][-1].content[0], Image)


@pytest.mark.parametrize(("pneumonia", "word"), [(0.1, "not seen"), (0.5, "uncertain"), (0.9, "present")])
def test_the_prompt_says_what_the_score_says(pneumonia: float, word: str) -> None:
    model = nano(pneumonia=pneumonia, pieces=GOOD)
    draft(model, child())
    assert prompt_text(model) == f"Describe this X-ray.\nScored findings: pneumonia {word}."


def test_a_draft_as_json_has_the_documented_keys() -> None:
    data = json.loads(draft(nano(pieces=GOOD), child()).model_dump_json())
    assert list(data) == [
        "model", "file", "sections", "findings", "warnings", "draft", "kind", "priority", "checks", "confidence",
        "timings",
    ]  # fmt: skip
    assert data["sections"]["findings"] == "Opacity on the right."
    assert data["sections"]["impression"] == "Pneumonia is likely."
    assert data["findings"] == [
        {"name": "pneumonia", "probability": pytest.approx(0.9), "present": True, "note": ""}
    ]  # fmt: skip
    assert data["draft"] is True and data["warnings"] == []
    assert set(data["timings"]) == {
        "read_s", "findings_s", "image_s", "prefill_s", "first_token_s", "decode_tokens_per_s", "confidence_s",
        "total_s",
    }  # fmt: skip


def test_the_text_comes_in_the_pieces_that_the_model_makes() -> None:
    stream = DraftStream(nano(pieces=GOOD), child())
    assert stream.assessment.findings[0].assessed  # before any text
    assert next(stream) == GOOD[0]
    assert "stopped and is not complete" in " ".join(stream.draft.warnings) and not stream.draft.complete
    assert list(stream) == list(GOOD[1:])
    assert stream.draft.warnings == () and stream.draft.complete


def test_a_text_against_its_score_is_a_warning() -> None:
    (warning,) = draft(nano(pneumonia=0.1, pieces=GOOD), child()).warnings
    assert warning == "the draft states pneumonia, its score says not seen"
    text = ("FINDINGS: Clear.\nIMPRESSION: No pneumonia.",)
    assert "denies pneumonia" in draft(nano(pneumonia=0.9, pieces=text), child()).warnings[0]


def test_a_draft_cut_by_its_length_is_a_warning() -> None:
    result = draft(nano(pieces=GOOD, finish="length"), child(), max_tokens=3)
    assert result.warnings == ("the draft was cut at 3 tokens and is not complete",) and not result.complete


def test_repetition_and_a_missing_impression_are_warnings() -> None:
    text = ("The lungs show opacity. The lungs show opacity.",)
    warnings = draft(nano(pieces=text), child()).warnings
    assert "the draft has no impression" in warnings and any("repeats itself" in warning for warning in warnings)


def test_outside_the_scope_no_text_is_written() -> None:
    for model, film in [(nano(gate=0.1, pieces=GOOD), child()), (nano(pieces=GOOD), child(patient_age_years=40.0))]:
        result = draft(model, film)
        assert (result.sections.findings, result.sections.impression, result.text) == ("", "", "")
        assert result.warnings[-1] == NO_TEXT and result.findings[0].probability is None
        assert model.prompts == []


def test_force_writes_and_marks() -> None:
    result = draft(nano(gate=0.1, pieces=GOOD), child(), force=True)
    assert result.forced and result.sections.impression and json.loads(result.model_dump_json())["forced"] is True
    assert "forced" in result.warnings[0] and any("not a chest film" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("name", "system"),
    [
        ("medgemma-4b-it", "You are an expert radiologist."),
        ("medgemma-4b-it-bnb-4bit", "You are an expert radiologist."),
        ("medgemma-1.5-4b-it", None),
    ],
)
def test_medgemma_gets_its_official_prompt(name: str, system: str | None) -> None:
    scope = Scope(tasks=("draft",))
    known = find(name)
    assert known is not None
    model = ScriptedBackend(name=name, spec=replace(known, scope=scope), pieces=GOOD)
    result = draft(model, child())
    assert prompt_text(model) == "Describe this X-ray" and result.findings == () and result.warnings == ()
    first = model.prompts[-1][0]
    assert (first.role == "system") is (system is not None)
    assert model.options[-1] == GenerationOptions(max_tokens=2000, top_logprobs=0)


def test_a_model_that_is_not_for_drafts_writes_none() -> None:
    model = ScriptedBackend(spec=spec(scope=Scope(tasks=("ask",))), pieces=GOOD)
    result = draft(model, child())
    assert "draft is outside the model's scope (ask)" in result.warnings and model.prompts == []
    assert draft(model, child(), force=True).forced


def test_options_reach_the_model() -> None:
    model = nano(pieces=GOOD)
    draft(model, child(), options=GenerationOptions(temperature=0.5, seed=4), max_tokens=77)
    assert model.options[-1] == GenerationOptions(max_tokens=77, temperature=0.5, seed=4, top_logprobs=0)


def test_a_model_without_a_tower_is_refused() -> None:
    with pytest.raises(ModelError, match="reads no images"):
        draft(nano(reads_images=False), child())
