"""An intake as FHIR: the response validates against its Questionnaire, by a validator of the test's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aris.exchange.documents.intake import intake_bundle, questionnaire, questionnaire_response
from aris.tasks.intake import Site, answer, base, question, start
from simulated_patients import Patient, cases, talk

CASES = {case["id"]: case for case in cases()}
VALUES = {
    "choice": "valueCoding",
    "text": "valueString",
    "string": "valueString",
    "integer": "valueInteger",
    "quantity": "valueQuantity",
    "boolean": "valueBoolean",
    "decimal": "valueDecimal",
    "date": "valueDate",
    "dateTime": "valueDateTime",
}


def problems(form: dict[str, Any], response: dict[str, Any]) -> list[str]:
    """What is wrong with a response, after the rules of FHIR R4 for Questionnaire and QuestionnaireResponse."""
    found: list[str] = []
    if response.get("questionnaire") not in (form["url"], f"{form['url']}|{form.get('version')}"):
        found.append("another questionnaire")
    answers: dict[str, list[dict[str, Any]]] = {}

    def collect(items: list[dict[str, Any]]) -> None:
        for item in items:
            answers.setdefault(item["linkId"], []).extend(item.get("answer", []))
            collect(item.get("item", []))
            for each in item.get("answer", []):
                collect(each.get("item", []))

    collect(response.get("item", []))

    def enabled(item: dict[str, Any]) -> bool:
        results = []
        for when in item.get("enableWhen", []):
            given = answers.get(when["question"], [])
            if when["operator"] == "exists":
                results.append(bool(given) is when["answerBoolean"])
                continue
            wanted = next(value for key, value in when.items() if key.startswith("answer"))
            values = [next(iter(each.values())) for each in given if each]
            same = [
                v.get("code") == wanted.get("code") if isinstance(wanted, dict) and isinstance(v, dict) else v == wanted
                for v in values
            ]
            results.append(any(same) if when["operator"] == "=" else bool(values) and not any(same))
        return not results or (any(results) if item.get("enableBehavior") == "any" else all(results))

    def walk(defined: list[dict[str, Any]], given: list[dict[str, Any]], path: str, on: bool) -> None:
        order = [item["linkId"] for item in defined]
        places = []
        for item in given:
            if item["linkId"] not in order:
                found.append(f"{path}/{item['linkId']}: not in the questionnaire here")
                continue
            places.append(order.index(item["linkId"]))
        if places != sorted(places):
            found.append(f"{path}: out of order")
        if len(places) != len(set(places)):
            found.append(f"{path}: an item is there twice")
        by_link = {item["linkId"]: item for item in given}
        for item in defined:
            here, link = by_link.get(item["linkId"]), f"{path}/{item['linkId']}"
            active = on and enabled(item)
            if here is None:
                if item.get("required") and active and response["status"] == "completed":
                    found.append(f"{link}: required and not there")
                continue
            if not active:
                found.append(f"{link}: answered while it is not enabled")
            if "text" in here and here["text"] != item.get("text"):
                found.append(f"{link}: other words")
            values = here.get("answer", [])
            if item["type"] in ("group", "display"):
                if values:
                    found.append(f"{link}: a {item['type']} has an answer")
                walk(item.get("item", []), here.get("item", []), link, active)
                continue
            if len(values) > 1 and not item.get("repeats"):
                found.append(f"{link}: more than one answer")
            if here.get("item"):
                found.append(f"{link}: items under a question stand under its answer")
            for value in values:
                found.extend(f"{link}: {each}" for each in wrong(item, value))

    walk(form["item"], response.get("item", []), "", True)
    return found


def wrong(item: dict[str, Any], value: dict[str, Any]) -> list[str]:
    key = VALUES.get(item["type"])
    if key is None:
        return [f"type {item['type']} is not known here"]
    if key not in value:
        return [f"{sorted(value)} for a {item['type']}"]
    found = []
    if item["type"] == "choice":
        allowed = [(o["valueCoding"].get("system"), o["valueCoding"]["code"]) for o in item.get("answerOption", [])]
        if allowed and (value[key].get("system"), value[key].get("code")) not in allowed:
            found.append(f"{value[key].get('code')} is no option")
    if key == "valueInteger" and not isinstance(value[key], int):
        found.append("no integer")
    for extension in item.get("extension", []):
        if extension["url"].endswith("/minValue") and value[key] < extension["valueInteger"]:
            found.append("below the least value")
        if extension["url"].endswith("/maxValue") and value[key] > extension["valueInteger"]:
            found.append("above the greatest value")
    if key == "valueString" and not str(value[key]).strip():
        found.append("empty")
    return found


def test_the_validator_finds_what_is_wrong() -> None:
    state = talk(Patient(CASES["cystitis"]))
    form = questionnaire(state.complaint)
    good = questionnaire_response(state)
    assert problems(form, good) == []

    def broken(change: Any) -> list[str]:
        copy = json.loads(json.dumps(good))
        change(copy)
        return problems(form, copy)

    assert broken(lambda r: r.update(questionnaire="urn:other"))
    assert broken(lambda r: r["item"].reverse())
    assert broken(lambda r: r["item"].append({"linkId": "nonsense"}))
    assert broken(lambda r: r["item"][0]["answer"].append(r["item"][0]["answer"][0]))
    assert broken(lambda r: r["item"][0]["answer"][0]["valueCoding"].update(code="nonsense"))
    assert broken(lambda r: r["item"][0].update(answer=[{"valueString": "me"}]))

    def severe(copy: dict[str, Any]) -> None:
        next(item for item in copy["item"] if item["linkId"] == "severity")["answer"][0].update(valueInteger=11)

    assert broken(severe)


def test_the_validator_knows_enable_when() -> None:
    form = {
        "url": "u",
        "item": [
            {"linkId": "a", "type": "boolean"},
            {
                "linkId": "b",
                "type": "string",
                "enableWhen": [{"question": "a", "operator": "=", "answerBoolean": True}],
            },
        ],
    }
    told = {"linkId": "b", "answer": [{"valueString": "x"}]}

    def given(value: bool) -> dict[str, Any]:
        return {
            "questionnaire": "u",
            "status": "completed",
            "item": [{"linkId": "a", "answer": [{"valueBoolean": value}]}, told],
        }

    assert problems(form, given(True)) == [] and problems(form, given(False))


def test_every_case_validates_at_every_turn() -> None:
    for case in cases()[::3]:
        patient, state = Patient(case), start()
        while (asked := question(state)) is not None:
            state = answer(state, patient(asked))
            response = questionnaire_response(state)
            assert problems(questionnaire(state.complaint or "other"), response) == [], case["id"]
        wanted = {"finished": "completed", "emergency": "stopped"}[state.status]
        assert questionnaire_response(state)["status"] == wanted


@pytest.mark.parametrize(
    "answers",
    [
        ["yes", "who knows", "who knows", "???", "???", "x", "toenail", "dunno", "idk"],
        [
            "yes",
            "me",
            "not sure",
            "itchy skin",
            "not sure",
            "not sure",
            "prefer not to say",
            "not sure",
            "idk",
            "idk",
            "idk",
        ],
    ],
)
def test_what_is_not_known_validates_too(answers: list[str]) -> None:
    state = start()
    for said in answers + ["not sure"] * 25:
        if question(state) is None:
            break
        state = answer(state, said)
    assert state.status == "finished"
    assert problems(questionnaire(state.complaint), questionnaire_response(state)) == []


@pytest.mark.parametrize("complaint", list(base().complaints))
def test_each_questionnaire_is_fhir(complaint: str) -> None:
    from fhir.resources.R4B.questionnaire import Questionnaire

    form = questionnaire(complaint, Site(base_url="https://clinic.example/fhir"))
    Questionnaire.model_validate(form)
    links: list[str] = []

    def walk(items: list[dict[str, Any]]) -> None:
        for item in items:
            links.append(item["linkId"])
            walk(item.get("item", []))

    walk(form["item"])
    assert len(links) == len(set(links)), "link ids are unique"
    assert form["url"].startswith("https://clinic.example/fhir/Questionnaire/")


def test_the_bundle_is_fhir_and_provisional() -> None:
    from fhir.resources.R4B.bundle import Bundle

    state = talk(Patient(CASES["pneumonia"]))
    document = intake_bundle(state, subject="Patient/1", authored="2026-01-02T03:04:05+00:00")
    Bundle.model_validate(document)
    resources = [entry["resource"] for entry in document["entry"]]
    conditions = [each for each in resources if each["resourceType"] == "Condition"]
    assert {each["verificationStatus"]["coding"][0]["code"] for each in conditions} == {"provisional"}
    assert {each["code"]["text"] for each in conditions} >= {"Cough", "asthma or lung disease"}
    observations = {
        each["code"]["coding"][0]["code"]: each for each in resources if each["resourceType"] == "Observation"
    }
    assert all(each["status"] == "preliminary" for each in observations.values())
    assert observations["fever"]["valueBoolean"] is True and observations["cough_blood"]["valueBoolean"] is False
    risk = next(each for each in resources if each["resourceType"] == "RiskAssessment")
    assert risk["prediction"][0]["qualitativeRisk"]["text"] == "urgent" and risk["prediction"][0]["rationale"]
    assert len({entry["fullUrl"] for entry in document["entry"]}) == len(resources)
    assert document == intake_bundle(state, subject="Patient/1", authored="2026-01-02T03:04:05+00:00")


def test_not_known_is_said_in_fhir() -> None:
    state = start()
    for said in ("yes", "me", "30", "toenail trouble", "not sure"):
        state = answer(state, said)
    observations = [
        entry["resource"]
        for entry in intake_bundle(state)["entry"]
        if entry["resource"]["resourceType"] == "Observation"
    ]
    unknown = [each for each in observations if "dataAbsentReason" in each]
    assert len(unknown) >= 8 and not any("valueBoolean" in each for each in unknown)


@pytest.mark.data
def test_the_validator_takes_the_whos_questionnaires(data_dir: Path) -> None:
    """Real forms with nested groups and enableWhen: an empty response fits each, a foreign item none."""
    for path in sorted((data_dir / "who_emcare").glob("questionnaire-*.json")):
        form = json.loads(path.read_text(encoding="utf-8"))
        response = {"questionnaire": form["url"], "status": "in-progress", "item": []}
        assert problems(form, response) == []
        assert problems(form, response | {"item": [{"linkId": "nonsense", "answer": [{"valueBoolean": True}]}]})
