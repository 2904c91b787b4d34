"""`aris summarize` and `aris ask --record`, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fhir_resources import allergy, bundle, condition, observation, patient, request, written
from scripted_backend import ScriptedBackend


@pytest.fixture
def record(tmp_path: Path) -> Path:
    made = bundle(
        patient(), condition("1", "Hypertension"), request("1", "Metformin"), allergy("1", "Penicillin"),
        observation("1", 1.1, time="2019-06-01"), observation("2", 1.8, time="2020-01-01"),
    )  # fmt: skip
    return written(tmp_path / "record.json", made)


def test_without_a_model(aris: Any, record: Path) -> None:
    done = aris("summarize", record, "--model", "none")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith("DRAFT")
    assert "- Hypertension: active since 2015-03-02 [Condition/1]" in lines
    assert "- Creatinine: 1.8 mg/dL on 2020-01-01, rose from 1.1 on 2019-06-01 [Observation/2, Observation/1]" in lines


def test_nano_is_named_first_and_not_loaded(aris: Any, record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aris.backends.load", lambda *_, **__: pytest.fail("loaded"))
    done = aris("summarize", record)
    assert done.exit_code == 0
    assert done.stdout.startswith("aris-nano is for trying and testing only, never for patient care.\nDRAFT")
    assert "! aris-nano is not made to read records" in done.stdout
    data = json.loads(aris("summarize", record, "--json").stdout)
    assert data["model"] == "aris-nano" and "never for patient care" in data["caution"]


@pytest.mark.parametrize("form", ["summary", "ipass", "discharge", "referral"])
def test_json_of_each_form(aris: Any, record: Path, form: str) -> None:
    data = json.loads(aris("summarize", record, "--model", "none", "--form", form, "--json").stdout)
    assert data["form"] == form and data["status"] == "draft" and data["model"] == "none"
    cites = {c for s in data["sections"] for each in s["statements"] for c in each["cites"]}
    assert {"Condition/1", "MedicationRequest/1", "AllergyIntolerance/1", "Observation/2"} <= cites


def test_a_model_that_lies_is_struck(aris: Any, record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ScriptedBackend(name="liar", pieces=("The patient has cancer [1]. Creatinine is 9.9 mg/dL [1].",))
    monkeypatch.setattr("aris.backends.load", lambda *_, **__: model)
    done = aris("summarize", record, "--model", "liar")
    assert done.exit_code == 0 and model.prompts
    said, _, struck = done.stdout.partition("STRUCK")
    assert "cancer" not in said and "9.9" not in said and "cancer" in struck
    assert "(the model's text did not hold against the record" in said or "nothing of the model's text held" in said


def test_questions(aris: Any, record: Path) -> None:
    for done in (aris("ask", "--record", record, "What is the creatinine?", "--model", "none"),
                 aris("summarize", record, "--question", "What is the creatinine?", "--model", "none")):  # fmt: skip
        assert done.exit_code == 0, done.output
        assert "- Creatinine: 1.8 mg/dL on 2020-01-01 [Observation/2]" in done.stdout
    assert "Not in the record." in aris("ask", "--record", record, "Any stroke?").stdout
    data = json.loads(aris("ask", "--record", record, "Any stroke?", "--json").stdout)
    assert data["found"] is False and data["statements"] == []
    asked = aris("summarize", record, "--form", "referral", "--question", "Which dose?", "--model", "none")
    assert "- Asked: Which dose?" in asked.stdout


def test_the_record_as_it_was_known(aris: Any, record: Path) -> None:
    done = aris("summarize", record, "--model", "none", "--at", "2019-07-01")
    assert "1.1 mg/dL on 2019-06-01" in done.stdout and "1.8" not in done.stdout
    assert aris("summarize", record, "--at", "soon").exit_code == 2


@pytest.mark.parametrize("text", ["", "{", "<x/>", '{"resourceType":"Patient","id":"p"}', "\x00", "[]"])
def test_what_is_no_record_is_one_line(aris: Any, tmp_path: Path, text: str) -> None:
    done = aris("summarize", written(tmp_path / "x.json", text))
    assert done.exit_code == 1 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_misuse(aris: Any, record: Path, tmp_path: Path) -> None:
    assert aris("summarize", record, "--form", "poem").exit_code == 2
    assert aris("summarize", tmp_path / "none.json").exit_code == 1
    assert aris("ask", "--record", record, "-i", "x.png", "What?").exit_code == 2
    two = written(tmp_path / "two.json", bundle(patient(), patient("q"), observation("1", 1.0)))
    assert "2 patients" in aris("summarize", two).stderr
    assert aris("summarize", two, "--patient", "p", "--model", "none").exit_code == 0
    assert aris("ask", "--record", record, "?!").exit_code == 1
    assert "2 patients" in aris("ask", "--record", two, "Creatinine?", "--model", "none").stderr
    asked = aris("ask", "--record", two, "--patient", "p", "Creatinine?", "--model", "none")
    assert asked.exit_code == 0 and "Observation/1" in asked.stdout
    assert aris("ask", "--record", record, "--at", "soon", "Creatinine?").exit_code == 2
    for option in (("--regex", "a"), ("--choice", "a", "--choice", "b"), ("--json-schema", str(two))):
        assert aris("ask", "--record", record, *option, "Creatinine?").exit_code == 2, option
    assert aris("ask", "--patient", "p", "What is a cough?").exit_code == 2


def test_nothing_in_a_record_reaches_the_terminal_raw(aris: Any, tmp_path: Path) -> None:
    problem = condition("1", "a\x1b]0;x\x07\u202eb\nDRAFT: signed")
    hostile = bundle(patient(name=[{"text": "\x1b[31mEve\u202e"}]), problem)
    done = aris("summarize", written(tmp_path / "h.json", hostile), "--model", "none")
    assert done.exit_code == 0
    assert not set("\x1b\x07\u202e") & set(done.stdout)
    assert not any(line.startswith("DRAFT: signed") for line in done.stdout.splitlines())
