"""Tests of `aris.tasks.support`: true statements pass, each way of being false is named."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from aris.records import timeline_of
from aris.tasks.support import Evidence, check, check_all
from aris.tasks.support.passages import evidence_of_text
from aris.tasks.support.records import evidence_of

P = {"reference": "Patient/p"}


def lab(id: str, code: str, name: str, value: float, unit: str, date: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": id, "status": "final", "subject": P, "effectiveDateTime": date,
        "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": name}], "text": name},
        "valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}, **more,
    }  # fmt: skip


def drug(id: str, status: str, name: str, date: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest", "id": id, "status": status, "intent": "order", "subject": P,
        "medicationCodeableConcept": {"text": name}, "authoredOn": date, **more,
    }  # fmt: skip


def problem(id: str, status: str, name: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Condition", "id": id, "clinicalStatus": {"coding": [{"code": status}]}, "subject": P,
        "code": {"text": name}, **more,
    }  # fmt: skip


RANGE = [{"low": {"value": 3.5}, "high": {"value": 5.1}}]
RESOURCES = [
    {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1950-04-02",
     "name": [{"family": "Miller", "given": ["Ann"]}]},
    lab("k1", "2823-3", "Potassium", 4.13, "mmol/L", "2020-01-01", referenceRange=RANGE),
    lab("k2", "2823-3", "Potassium", 6.1, "mmol/L", "2020-02-03", referenceRange=RANGE),
    lab("cr", "2160-0", "Creatinine", 1.4, "mg/dL", "2020-02-03"),
    lab("na", "2951-2", "Sodium", 140, "mmol/L", "2020-02-03"),
    drug("simva", "stopped", "Simvastatin 20 MG Oral Tablet", "2015-05-05"),
    drug("lisi", "active", "Lisinopril 10 MG Oral Tablet", "2019-05-05",
         dosageInstruction=[{"text": "1 tablet daily"}]),
    problem("htn", "active", "Hypertension", onsetDateTime="2010-03"),
    problem("sinus", "resolved", "Viral sinusitis (disorder)", onsetDateTime="2012-03-01",
            abatementDateTime="2012-03-14"),
    problem("wrong", "active", "Epilepsy", verificationStatus={"coding": [{"code": "entered-in-error"}]}),
    {"resourceType": "AllergyIntolerance", "id": "pen", "clinicalStatus": {"coding": [{"code": "active"}]},
     "code": {"text": "Penicillin"}, "patient": P, "reaction": [{"manifestation": [{"text": "Hives"}]}]},
    {"resourceType": "FamilyMemberHistory", "id": "fam", "status": "completed", "patient": P,
     "relationship": {"text": "mother"}, "condition": [{"code": {"text": "Breast cancer"}}]},
    {"resourceType": "Procedure", "id": "colo", "status": "completed", "subject": P, "code": {"text": "Colonoscopy"},
     "performedDateTime": "2018-06-07"},
    {"resourceType": "DiagnosticReport", "id": "cxr", "status": "final", "subject": P, "code": {"text": "Chest X-ray"},
     "effectiveDateTime": "2020-02-03",
     "conclusion": "No pneumothorax. Possible pneumonia in the left lower lobe. 8 mm nodule."},
]  # fmt: skip
IDS = {
    "k1": "Observation/k1", "k2": "Observation/k2", "cr": "Observation/cr", "na": "Observation/na",
    "simva": "MedicationRequest/simva", "lisi": "MedicationRequest/lisi", "htn": "Condition/htn",
    "sinus": "Condition/sinus", "wrong": "Condition/wrong", "pen": "AllergyIntolerance/pen",
    "fam": "FamilyMemberHistory/fam", "colo": "Procedure/colo", "cxr": "DiagnosticReport/cxr", "p": "Patient/p",
}  # fmt: skip


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return evidence_of(timeline_of(RESOURCES))


TRUE = [
    ("Potassium 6.1 mmol/L on 3 February 2020.", "k2"),
    ("Potassium was 4.1 mmol/L in January 2020.", "k1"),
    ("Potassium rose from 4.1 to 6.1 mmol/L.", "k1 k2"),
    ("Potassium 4.13 mmol/L (2020-01-01), then 6.1 (2020-02-03).", "k1 k2"),
    ("Potassium rose by 1.97 mmol/L.", "k1 k2"),
    ("Potassium was high at 6.1.", "k2"),
    ("Potassium above 6 on 02/03/2020.", "k2"),
    ("Creatinine 124 umol/L in February 2020.", "cr"),
    ("Sodium 140, potassium 6.1 mmol/L.", "na k2"),
    ("Takes lisinopril 10 mg daily.", "lisi"),
    ("Medication: lisinopril 10 MG, active.", "lisi"),
    ("Lisinopril since 5 May 2019.", "lisi"),
    ("Simvastatin was stopped.", "simva"),
    ("Previously on simvastatin 20 mg.", "simva"),
    ("She no longer takes simvastatin.", "simva"),
    ("Hypertension since March 2010.", "htn"),
    ("She has high blood pressure and takes lisinopril.", "htn lisi"),
    ("Viral sinusitis (2012-03-01 to 2012-03-14).", "sinus"),
    ("Viral sinusitis in 2012, resolved.", "sinus"),
    ("Viral sinusitis lasted 13 days.", "sinus"),
    ("Allergic to penicillin (hives).", "pen"),
    ("Penicillin allergy.", "pen"),
    ("Her mother had breast cancer.", "fam"),
    ("Family history of breast cancer.", "fam"),
    ("Colonoscopy was done on June 7, 2018.", "colo"),
    ("Ann Miller is a 69-year-old woman with hypertension.", "htn p"),
    ("No pneumothorax on the chest x-ray.", "cxr"),
    ("Possible pneumonia in the left lower lobe.", "cxr"),
    ("8 mm nodule on the chest x-ray of 2020-02-03.", "cxr"),
    ("Epilepsy: not documented.", ""),
    ("She was born on 2 April 1950 and has hypertension.", "p htn"),
    ("Potassium is 6.1 mmol/L.", "k2"),
    ("Potassium 6.1 mmol/L [Observation/k2].", "k2"),
    ("Potassium: 6.1 mmol/L on 2020-02-03 (high; reference 3.5 to 5.1).", "k2"),
    ("Latest potassium 6.1 mmol/L.", "k2"),
    ("Takes lisinopril 10 mg once daily.", "lisi"),
]
FALSE = [
    ("Potassium 5.1 mmol/L on 3 February 2020.", "k2", "contradicted", "number"),
    ("Potassium 61 mmol/L.", "k2", "contradicted", "number"),
    ("Potassium 6.1 mmol/L on 3 March 2020.", "k2", "contradicted", "date"),
    ("Potassium 6.1 mmol/L on 1 January 2020, 4.13 on 2020-02-03.", "k1 k2", "contradicted", "date"),
    ("Sodium 6.1, potassium 140 mmol/L.", "na k2", "contradicted", "number"),
    ("Potassium fell from 6.1 to 4.1.", "k1 k2", "contradicted", "direction"),
    ("Potassium fell.", "k1 k2", "contradicted", "direction"),
    ("Potassium is stable.", "k1 k2", "contradicted", "direction"),
    ("Potassium rose.", "k2", "unsupported", "direction"),
    ("Potassium was normal at 6.1.", "k2", "contradicted", "range"),
    ("Creatinine was high.", "cr", "not checkable", "range"),
    ("Creatinine 1.4 mmol/L.", "cr", "contradicted", "unit"),
    ("Takes lisinopril 20 mg daily.", "lisi", "contradicted", "number"),
    ("Takes simvastatin.", "simva", "contradicted", "status"),
    ("Simvastatin 20 mg.", "simva", "contradicted", "status"),
    ("Lisinopril was stopped.", "lisi", "contradicted", "status"),
    ("Lisinopril since 2012.", "lisi", "contradicted", "date"),
    ("Hypertension since 4 March 2010.", "htn", "unsupported", "date"),
    ("Active viral sinusitis.", "sinus", "contradicted", "status"),
    ("She has viral sinusitis.", "sinus", "contradicted", "status"),
    ("Viral sinusitis lasted 3 months.", "sinus", "unsupported", "duration"),
    ("Hypertension has resolved.", "htn", "contradicted", "status"),
    ("No hypertension.", "htn", "contradicted", "negation"),
    ("Denies hypertension.", "htn", "contradicted", "negation"),
    ("Not allergic to penicillin.", "pen", "contradicted", "negation"),
    ("Takes penicillin.", "pen", "contradicted", "allergy"),
    ("She is allergic to lisinopril.", "lisi", "contradicted", "allergy"),
    ("No asthma.", "htn", "unsupported", "problem"),
    ("She has epilepsy.", "wrong", "contradicted", "source"),
    ("She has breast cancer.", "fam", "contradicted", "person"),
    ("Her mother has hypertension.", "htn", "contradicted", "person"),
    ("He has hypertension.", "htn", "contradicted", "person"),
    ("Patient Ms. Smith has hypertension.", "htn", "contradicted", "person"),
    ("A 45-year-old woman with hypertension.", "htn", "contradicted", "number"),
    ("Takes warfarin.", "lisi", "unsupported", "drug"),
    ("Takes zorblax 10 mg daily.", "lisi", "unsupported", "name"),
    ("Takes lisinopril.", "k1", "unsupported", "drug"),
    ("Potassium 6.1.", "", "unsupported", "source"),
    ("Hypertension: not documented.", "", "contradicted", "source"),
    ("Colonoscopy is planned.", "colo", "contradicted", "status"),
    ("Colonoscopy was not done.", "colo", "contradicted", "negation"),
    ("Pneumothorax on the chest x-ray.", "cxr", "contradicted", "negation"),
    ("Pneumonia in the left lower lobe.", "cxr", "unsupported", "uncertain"),
    ("18 mm nodule on the chest x-ray.", "cxr", "unsupported", "number"),
    ("Latest potassium 4.1 mmol/L.", "k1", "contradicted", "date"),
    ("Potassium 6.1 mg/dL.", "k2", "contradicted", "unit"),
    ("Takes lisinopril 10 mg twice daily.", "lisi", "contradicted", "number"),
    ("Takes lisinopril 10 mg every 6 hours.", "lisi", "contradicted", "number"),
    ("Takes intravenous lisinopril.", "lisi", "unsupported", "name"),
    ("Severe hypertension.", "htn", "not checkable", "word"),
    ("Potassium 6.1 mmol/L due to lisinopril.", "k2 lisi", "not checkable", "word"),
    ("Takes lisinopril for hypertension.", "lisi htn", "not checkable", "word"),
    ("Potassium 6.1 mmol/L on 2020-02-03 08:15.", "k2", "unsupported", "date"),
    ("She is happy at home with her hypertension.", "htn", "not checkable", "word"),
    ("She died on 2020-02-03.", "k2", "unsupported", "person"),
    ("The patient was born on 2020-02-03.", "k2", "contradicted", "date"),
    ("Her father had breast cancer.", "fam", "contradicted", "person"),
    ("Start simvastatin.", "simva", "not checkable", "word"),
    ("Continue lisinopril 10 mg.", "lisi", "not checkable", "word"),
    ("Colonoscopy was normal.", "colo", "not checkable", "range"),
    ("Potassium is 4.1 mmol/L.", "k1", "contradicted", "date"),
]


@pytest.mark.parametrize(("text", "cited"), TRUE)
def test_true_statements_are_supported(evidence: Evidence, text: str, cited: str) -> None:
    verdict = check(text, [IDS[each] for each in cited.split()], evidence)
    assert verdict.ok, verdict.message
    assert verdict.checked


@pytest.mark.parametrize(("text", "cited", "outcome", "kind"), FALSE)
def test_false_statements_are_told_why(evidence: Evidence, text: str, cited: str, outcome: str, kind: str) -> None:
    verdict = check(text, [IDS[each] for each in cited.split()], evidence)
    assert verdict.outcome == outcome, verdict.message
    assert kind in {reason.kind for reason in verdict.reasons}, verdict.message
    assert "\n" not in verdict.message
    for reason in verdict.reasons:
        assert text[reason.start : reason.end] == reason.text


@pytest.mark.parametrize(
    "text",
    ["Epilepsy is not documented, and she was given adrenaline.", "Gout since childhood; epilepsy is not documented.",
     "Aspirin allergy is not documented, the weight was 50 kg.", "She has gout and epilepsy is not documented.",
     "She takes warfarin, allergies to latex are not documented.", "Epilepsy is not documented but gout is severe."],
)  # fmt: skip
def test_nothing_passes_beside_what_is_not_documented(evidence: Evidence, text: str) -> None:
    assert not check(text, [IDS["htn"]], evidence).ok


def test_what_is_not_documented_can_be_said(evidence: Evidence) -> None:
    for text in (
        "Epilepsy is not documented in this record.", "No record of gout.", "The record has no record of gout.",
        "Current immunizations are not documented.", "Gout and epilepsy are not documented.",
    ):  # fmt: skip
        verdict = check(text, [IDS["htn"]], evidence)
        assert verdict.ok, (text, verdict.message)


def test_sources_that_are_not_there(evidence: Evidence) -> None:
    verdict = check("Potassium 6.1 mmol/L.", ["Observation/elsewhere", IDS["k2"]], evidence)
    assert verdict.outcome == "unsupported"
    assert [reason.kind for reason in verdict.reasons] == ["source"]
    assert "Observation/elsewhere" not in verdict.message  # it may be another patient's


def test_nothing_that_could_be_checked_is_not_passed(evidence: Evidence) -> None:
    for text in ("", "The patient.", "See below.", "x" * 5000, "potassium 6.1 " * 280, "9" * 400):
        assert check(text, [IDS["htn"]], evidence).outcome == "not checkable"


def test_now_counts_for_lengths_of_time(evidence: Evidence) -> None:
    now = datetime(2020, 3, 10, tzinfo=UTC)
    assert check("Hypertension for 10 years.", [IDS["htn"]], evidence, now=now).ok
    assert not check("Hypertension for 12 years.", [IDS["htn"]], evidence, now=now).ok
    assert not check("Hypertension for 10 years.", [IDS["htn"]], evidence).ok


def test_many_at_once(evidence: Evidence) -> None:
    found = check_all([("Takes lisinopril.", [IDS["lisi"]]), ("Takes warfarin.", [IDS["lisi"]])], evidence)
    assert [verdict.outcome for verdict in found] == ["supported", "unsupported"]


PASSAGE = (
    "Metformin reduced mortality by 12% in 340 patients (2019). Aspirin did not reduce the risk of stroke. "
    "Systolic blood pressure increased from 120 to 131 mmHg."
)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Metformin reduced mortality by 12% in 340 patients.", "supported"),
        ("Metformin increased mortality by 12%.", "contradicted"),
        ("Metformin reduced mortality by 21%.", "unsupported"),
        ("Warfarin reduced mortality.", "unsupported"),
        ("Aspirin reduced the risk of stroke.", "contradicted"),
        ("Systolic blood pressure fell from 120 to 131 mmHg.", "contradicted"),
        ("Systolic blood pressure increased to 131 mmHg.", "supported"),
        ("Metformin cures cancer.", "unsupported"),
    ],
)
def test_passages_of_papers(text: str, outcome: str) -> None:
    verdict = check(text, ["p1"], evidence_of_text({"p1": PASSAGE}))
    assert verdict.outcome == outcome, verdict.message
