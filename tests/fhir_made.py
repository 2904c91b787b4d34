"""FHIR resources for tests, made from a few words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
CODES = {
    "potassium": ("2823-3", "mmol/L"), "sodium": ("2951-2", "mmol/L"), "creatinine": ("2160-0", "mg/dL"),
    "lactate": ("2524-7", "mmol/L"), "haemoglobin": ("718-7", "g/dL"), "pulse": ("8867-4", "/min"),
    "systolic": ("8480-6", "mm[Hg]"), "respiratory_rate": ("9279-1", "/min"), "spo2": ("59408-5", "%"),
    "temperature": ("8310-5", "Cel"), "egfr": ("98979-8", "mL/min/{1.73_m2}"), "inr": ("6301-6", "{INR}"),
    "troponin": ("67151-1", "ng/L"), "glucose": ("2345-7", "mg/dL"),
}  # fmt: skip


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def before(**span: float) -> datetime:
    return NOW - timedelta(**span)


def patient(id: str = "p1", age: int = 60, gender: str = "female") -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id, "gender": gender, "birthDate": f"{NOW.year - age}-01-01"}


def observation(
    name: str, value: float, at: datetime, *, id: str | None = None, issued: datetime | None = None, of: str = "p1",
    unit: str | None = None, status: str = "final", version: str = "", updated: datetime | None = None, **more: Any,
) -> dict[str, Any]:  # fmt: skip
    code, own = CODES[name]
    made: dict[str, Any] = {
        "resourceType": "Observation", "id": id or f"{name}-{at:%m%d%H%M%S}", "status": status,
        "category": [{"coding": [{"code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": name}]},
        "subject": {"reference": f"Patient/{of}"}, "effectiveDateTime": iso(at), "issued": iso(issued or at),
        "valueQuantity": {
            "value": value, "unit": unit or own, "system": "http://unitsofmeasure.org", "code": unit or own
        },
    }  # fmt: skip
    if version or updated:
        made["meta"] = {"versionId": version, "lastUpdated": iso(updated or issued or at)}
    return made | more


def drug(
    text: str, *, id: str = "drug-1", of: str = "p1", status: str = "active", authored: datetime | None = None
) -> dict:  # fmt: skip
    return {
        "resourceType": "MedicationRequest", "id": id, "status": status, "intent": "order",
        "medicationCodeableConcept": {"text": text}, "subject": {"reference": f"Patient/{of}"},
        "authoredOn": iso(authored or before(days=60)),
    }  # fmt: skip


def allergy(text: str, *, id: str = "allergy-1", of: str = "p1") -> dict:
    return {
        "resourceType": "AllergyIntolerance", "id": id, "code": {"text": text},
        "patient": {"reference": f"Patient/{of}"},
        "clinicalStatus": {"coding": [{"code": "active"}]}, "recordedDate": "2020-01-01",
    }  # fmt: skip


def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": each} for each in resources]}
