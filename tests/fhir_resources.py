"""FHIR resources that tests make, and the files that hold them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Resource = dict[str, Any]


def patient(id: str = "p", **changes: Any) -> Resource:
    return {
        "resourceType": "Patient", "id": id, "gender": "female", "birthDate": "1950-06-15",
        "name": [{"family": "Roe", "given": ["Jane"]}], **changes,
    }  # fmt: skip


def coded(system: str, code: str, text: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": text}], "text": text}


def observation(
    id: str, value: float | None, unit: str = "mg/dL", *, code: str = "2160-0", text: str = "Creatinine",
    time: str | None = "2020-01-01T08:00:00Z", **changes: Any,
) -> Resource:  # fmt: skip
    made: Resource = {
        "resourceType": "Observation", "id": id, "status": "final", "subject": {"reference": "Patient/p"},
        "code": coded("http://loinc.org", code, text),
    }  # fmt: skip
    if time:
        made["effectiveDateTime"] = time
    if value is not None:
        made["valueQuantity"] = {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
    return {**made, **changes}


def condition(id: str, text: str, clinical: str | None = "active", **changes: Any) -> Resource:
    system = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    made: Resource = {
        "resourceType": "Condition", "id": id, "subject": {"reference": "Patient/p"},
        "code": coded("http://snomed.info/sct", f"c-{text}", text), "onsetDateTime": "2015-03-02",
    }  # fmt: skip
    if clinical:
        made["clinicalStatus"] = {"coding": [{"system": system, "code": clinical}]}
    return {**made, **changes}


def verification(code: str) -> Resource:
    return {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": code}]}


def request(id: str, drug: str, status: str = "active", **changes: Any) -> Resource:
    return {
        "resourceType": "MedicationRequest", "id": id, "status": status, "intent": "order",
        "subject": {"reference": "Patient/p"}, "authoredOn": "2019-05-06",
        "medicationCodeableConcept": coded("http://www.nlm.nih.gov/research/umls/rxnorm", f"r-{drug}", drug), **changes,
    }  # fmt: skip


def allergy(id: str, substance: str, **changes: Any) -> Resource:
    system = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
    return {
        "resourceType": "AllergyIntolerance", "id": id, "patient": {"reference": "Patient/p"}, "type": "allergy",
        "clinicalStatus": {"coding": [{"system": system, "code": "active"}]}, "criticality": "high",
        "code": {"text": substance}, **changes,
    }  # fmt: skip


def bundle(*resources: Resource, type: str = "collection", **changes: Any) -> Resource:
    return {"resourceType": "Bundle", "type": type, "entry": [{"resource": r} for r in resources], **changes}


def written(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path
