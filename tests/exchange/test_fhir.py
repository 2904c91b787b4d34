"""FHIR bundles: valid R4, references resolve, states are true, and they read back as the same report."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from hypothesis import HealthCheck, given, settings
from pydantic import BaseModel
from reports import full, plain, reports, states

from aris.errors import ExchangeError
from aris.exchange.documents.fhir import bundle
from aris.exchange.documents.fhir_reading import read_bundle
from aris.exchange.documents.report import Patient, Report, Study

STATES = states() | {"nothing known": plain(patient=Patient(), study=Study(), images=(), warnings=())}
STATUS = {
    "draft": "preliminary",
    "cut draft": "partial",
    "forced draft": "preliminary",
    "plain draft": "preliminary",
    "nothing known": "preliminary",
    "signed": "final",
    "plain signed": "final",
    "addended": "appended",
    "corrected": "corrected",
}


def as_sent(report: Report) -> dict[str, Any]:
    sent: dict[str, Any] = json.loads(json.dumps(bundle(report)))
    return sent


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "reference" in value:
            yield value["reference"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def of_kind(sent: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in sent["entry"] if entry["resource"]["resourceType"] == kind]


@pytest.mark.parametrize("name", STATES)
def test_bundles_are_valid_and_their_references_resolve(name: str) -> None:
    sent = as_sent(STATES[name])
    parsed = Bundle.model_validate(sent)  # R4B's own model of every resource in it
    assert len(parsed.entry) == len(sent["entry"])
    urls = [entry["fullUrl"] for entry in sent["entry"]]
    assert len(set(urls)) == len(urls)
    assert set(references(sent)) <= set(urls) and list(references(sent))
    assert all(entry["fullUrl"] == f"urn:uuid:{entry['resource']['id']}" for entry in sent["entry"])


def test_the_validator_finds_what_is_wrong() -> None:
    sent = as_sent(full())
    of_kind(sent, "DiagnosticReport")[0]["issued"] = "yesterday"
    with pytest.raises(ValueError, match="issued"):
        Bundle.model_validate(sent)


def misplaced(value: Any, kinds: dict[str, str], path: str = "") -> Iterator[str]:
    """References to a resource of a kind that R4B does not allow there, which its own models do not check."""
    if isinstance(value, list):
        for each in value:
            yield from misplaced(each, kinds, path)
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            below = getattr(value, name)
            allowed = (field.json_schema_extra or {}).get("enum_reference_types", ["Resource"])
            for each in below if isinstance(below, list) else [below]:
                kind = kinds.get(getattr(each, "reference", None) or "")
                if kind is not None and not {kind, "Resource"} & set(allowed):
                    yield f"{path}.{name}: {kind}"
            yield from misplaced(below, kinds, f"{path}.{name}")


@pytest.mark.parametrize("name", STATES)
def test_references_are_to_kinds_that_may_stand_there(name: str) -> None:
    sent = as_sent(STATES[name])
    kinds = {entry["fullUrl"]: entry["resource"]["resourceType"] for entry in sent["entry"]}
    assert list(misplaced(Bundle.model_validate(sent), kinds)) == []
    (main,) = of_kind(sent, "DiagnosticReport")
    main["resultsInterpreter"] = [{"reference": next(url for url, kind in kinds.items() if kind == "Device")}]
    assert len(list(misplaced(Bundle.model_validate(sent), kinds))) == 1


@pytest.mark.parametrize("name", STATES)
def test_a_bundle_reads_back_as_its_report(name: str) -> None:
    assert read_bundle(as_sent(STATES[name])) == STATES[name]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(reports)
def test_any_bundle_is_valid_and_reads_back(report: Report) -> None:
    sent = as_sent(report)
    Bundle.model_validate(sent)
    assert read_bundle(sent) == report


@pytest.mark.parametrize("name", STATES)
def test_states_and_marks(name: str) -> None:
    report, sent = STATES[name], as_sent(STATES[name])
    (main,) = of_kind(sent, "DiagnosticReport")
    assert main["status"] == STATUS[name]
    shown = base64.b64decode(main["presentedForm"][0]["data"]).decode()
    drafted = report.status == "draft"
    for text in (shown, main["text"]["div"], main["presentedForm"][0]["title"]):
        assert ("DRAFT — not signed" in text) == drafted
    assert ("resultsInterpreter" in main) != drafted
    preliminary = {each["status"] for each in of_kind(sent, "Observation")}
    assert preliminary <= ({"preliminary"} if drafted else {"final", "corrected"})
    (provenance,) = of_kind(sent, "Provenance")
    (device,) = of_kind(sent, "Device")
    assert {each["value"] for each in device["version"]} == {"a1b2c3", "p7", "Aris 0.1.0"}
    assert "aris-nano" in provenance["agent"][0]["who"]["display"] and "p7" in provenance["agent"][0]["who"]["display"]
    roles = [each["role"] for each in provenance.get("entity", [])]
    assert ("revision" in roles) == (report.status in ("addended", "corrected"))


def test_the_same_report_makes_the_same_bundle() -> None:
    assert json.dumps(bundle(full())) == json.dumps(bundle(full()))
    assert bundle(full())["id"] != bundle(full(warnings=()))["id"]


def test_markup_in_a_report_stays_text() -> None:
    report = full(warnings=("<script>alert(1)</script> & more",))
    (main,) = of_kind(as_sent(report), "DiagnosticReport")
    assert "<script" not in main["text"]["div"] and "&lt;script&gt;" in main["text"]["div"]


@pytest.mark.parametrize("wrong", [{}, {"entry": []}, {"entry": [{"fullUrl": "x", "resource": {}}]}])
def test_other_bundles_are_refused_in_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(ExchangeError, match="bundle"):
        read_bundle(wrong)
