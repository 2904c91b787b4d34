"""Findings inside and outside the declared scope: numbers only where the model may give them, or marked."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from aris.errors import ModelError
from aris.tasks import findings
from aris.tasks.findings import FORCED, assess
from aris.tasks.text.prompts import FINDING_QUESTION, GATE_QUESTION
from aris.tuning.nano import corpus
from films import child, film
from scripted_backend import CALIBRATION, ScriptedBackend, nano

PNEUMONIA = FINDING_QUESTION.format(finding="pneumonia")


def test_the_questions_are_those_that_were_trained() -> None:
    assert (FINDING_QUESTION, GATE_QUESTION) == (corpus.FINDING_QUESTION, corpus.GATE_QUESTION)


def test_a_film_in_scope_gets_a_calibrated_probability_and_no_warning() -> None:
    model = nano(pneumonia=0.9)
    result = findings(model, child())
    (finding,) = result.findings
    assert finding.name == "pneumonia" and finding.assessed and finding.present and finding.note == ""
    assert finding.probability == pytest.approx(0.9)
    assert result.warnings == () and not result.forced
    assert model.asked == [GATE_QUESTION, PNEUMONIA]


@pytest.mark.parametrize(("probability", "present"), [(0.2, False), (0.6, True)])
def test_present_is_the_probability_against_the_operating_point(probability: float, present: bool) -> None:
    assert findings(nano(pneumonia=probability), child()).findings[0].present is present


def test_close_to_the_operating_point_is_noted() -> None:
    finding = findings(nano(pneumonia=0.5), child()).findings[0]
    assert finding.assessed and finding.present is None and "too close" in finding.note


def test_json_has_the_documented_keys_and_marks_force_only_where_it_was_used() -> None:
    data = json.loads(findings(nano(), child()).model_dump_json())
    assert list(data) == ["model", "file", "findings", "warnings"]
    assert data["model"] == "tiny" and data["file"] == "child.dcm"
    forced = json.loads(findings(nano(gate=0.1), child(), force=True).model_dump_json())
    assert forced["forced"] is True


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"view_position": "LATERAL"}, "view LATERAL"),
        ({"patient_age_years": 45.0}, "age is outside"),
        ({"body_part": "HAND"}, "body part HAND"),
        ({"modality": "CT"}, "modality CT"),
    ],
)
def test_facts_outside_the_scope_are_not_assessed_and_nothing_is_asked(facts: dict[str, Any], reason: str) -> None:
    model = nano()
    result = findings(model, child(**facts))
    (finding,) = result.findings
    assert finding.probability is None and not finding.assessed and finding.present is None
    assert finding.note.startswith("not assessed: ") and reason in finding.note
    assert reason in " ".join(result.warnings)
    assert model.asked == []


def test_no_message_tells_the_age() -> None:
    result = findings(nano(), child(patient_age_years=45.25))
    assert "45" not in result.model_dump_json()


def test_unknown_facts_are_assessed_with_a_warning_that_names_the_scope() -> None:
    result = findings(nano(), film())
    assert result.findings[0].assessed
    (warning,) = result.warnings
    assert warning.startswith("age and view are not known") and "0 to 6 years" in warning and "AP, PA" in warning


def test_body_part_compounds_of_the_chest_are_the_chest() -> None:
    assert findings(nano(), child(body_part="Chest PA")).findings[0].assessed


def test_the_gate_blocks_what_the_model_does_not_take_for_a_film() -> None:
    model = nano(gate=0.3)
    result = findings(model, child())
    assert result.findings[0].probability is None
    assert any(warning.startswith("not a chest film: ") for warning in result.warnings)
    assert model.asked == [GATE_QUESTION]


def test_pixels_that_are_no_film_are_not_shown_to_the_model() -> None:
    model = nano()
    result = findings(model, child(pixels=np.zeros((128, 128), np.uint8)))
    assert any("not a chest film: the image is blank" in warning for warning in result.warnings)
    assert result.findings[0].probability is None and model.asked == []


def test_force_scores_all_the_same_and_marks_it() -> None:
    result = findings(nano(gate=0.1), child(), force=True)
    assert result.forced and result.warnings[0] == FORCED
    assert result.findings[0].probability == pytest.approx(0.9)
    assert "forced" in result.findings[0].note
    assert any("not a chest film" in warning for warning in result.warnings)


def test_force_on_a_film_in_scope_overrides_nothing_and_marks_nothing() -> None:
    assert findings(nano(), child(), force=True) == findings(nano(), child())


def test_a_finding_that_the_model_does_not_declare() -> None:
    model = nano()
    result = findings(model, child(), ["effusion", "pneumonia"])
    effusion, pneumonia = result.findings
    assert effusion.probability is None and "outside the model's declared findings" in effusion.note
    assert pneumonia.assessed and not result.forced
    forced = findings(model, child(), ["effusion"], force=True)
    assert forced.forced and forced.findings[0].assessed and forced.findings[0].present is None
    assert "not calibrated" in forced.findings[0].note


def test_a_declared_finding_without_calibration_is_not_assessed() -> None:
    result = findings(nano(calibration={"gate": CALIBRATION["gate"]}), child())
    assert not result.findings[0].assessed and "no calibration" in result.findings[0].note


def test_a_model_that_declares_nothing() -> None:
    model = ScriptedBackend(name="medgemma-4b-it")
    result = findings(model, child())
    assert result.findings == () and "declares no calibrated findings" in result.warnings[-1]
    assert model.asked == []
    forced = findings(model, child(), force=True)
    assert forced.forced and len(forced.findings) == 5
    assert all(f.probability == pytest.approx(0.5) and f.present is None for f in forced.findings)
    assert "uncalibrated" in forced.warnings[-1]


def test_a_model_without_a_tower_is_refused() -> None:
    with pytest.raises(ModelError, match="reads no images"):
        findings(nano(reads_images=False), child())


def test_the_films_own_warnings_come_first_and_burned_in_text_is_one() -> None:
    result = findings(nano(), child(warnings=("no window in the file",), burned_in_annotation=True))
    assert result.warnings[0] == "no window in the file" and "burned-in" in result.warnings[1]


def test_words_for_the_draft_only_come_from_calibrated_findings() -> None:
    assert assess(nano(pneumonia=0.9), child()).words == (("pneumonia", "present"),)
    assert assess(nano(pneumonia=0.5), child()).words == (("pneumonia", "uncertain"),)
    assert assess(nano(gate=0.1), child()).words == ()
    assert assess(ScriptedBackend(), child(), force=True).words == ()
