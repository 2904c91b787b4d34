"""The 100 patients of mimic3_demo as FHIR resources: results with the time of their sample and of their entry."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

VITALS = {
    "hr": ("8867-4", "/min"), "rr": ("9279-1", "/min"), "spo2": ("59408-5", "%"), "sbp": ("8480-6", "mm[Hg]"),
    "dbp": ("8462-4", "mm[Hg]"), "map": ("8478-0", "mm[Hg]"), "temp_c": ("8310-5", "Cel"), "temp_f": ("8310-5", "[degF]"),
    "fio2": ("3150-6", "%"), "o2_flow": ("3151-8", "L/min"), "gcs_total": ("9269-2", "{score}"), "gcs_eye": ("9267-6", "{score}"),
    "gcs_verbal": ("9270-0", "{score}"), "gcs_motor": ("9268-4", "{score}"), "weight_kg": ("29463-7", "kg"),
}
GCS = {
    "gcs_eye": {"no response": 1, "none": 1, "to pain": 2, "to speech": 3, "spontaneously": 4},
    "gcs_verbal": {"no response": 1, "no response-ett": 1, "incomp": 2, "inapprop": 3, "confused": 4, "oriented": 5},
    "gcs_motor": {"no response": 1, "abnorm": 3, "flex-withdraws": 4, "localizes": 5, "obeys": 6, "abnormal extension": 2},
}
URINE = {"40055", "226559", "40473", "226560", "40069", "40715", "40057", "40061", "40065", "40096", "226561", "226584", "226563", "226564", "226565", "226567", "226557", "226558", "40094", "40085", "40056"}
DIALYSIS = {"225802", "225803", "225805", "224270", "225809", "225955", "225441", "225436"}
WORDS = {"o2_device": "Oxygen delivery device", "loc": "Level of consciousness"}


@dataclass
class Stay:
    """An admission."""

    start: datetime
    end: datetime


@dataclass
class Subject:
    """A patient: the resources, and the admissions."""

    id: str
    resources: list[dict[str, Any]] = field(default_factory=list)
    stays: list[Stay] = field(default_factory=list)


def rows(folder: Path, name: str) -> Iterator[dict[str, str]]:
    with gzip.open(folder / f"{name}.csv.gz", "rt") as file:
        yield from csv.DictReader(file)


def subjects(folder: Path, most: int | None = None) -> Iterator[Subject]:
    """The patients; each alone, so that memory stays small."""
    chosen: dict[str, Subject] = {}
    for row in rows(folder, "patients"):
        if most is None or len(chosen) < most:
            subject = chosen[row["subject_id"]] = Subject(row["subject_id"])
            gender = {"F": "female", "M": "male"}.get(row["gender"], "unknown")
            subject.resources.append({"resourceType": "Patient", "id": row["subject_id"], "gender": gender, "birthDate": birth(row["dob"])})
    for row in rows(folder, "admissions"):
        if row["subject_id"] in chosen:
            chosen[row["subject_id"]].stays.append(Stay(moment(row["admittime"]), moment(row["dischtime"])))
    for kind in (_labs, _vitals, _urine, _dialysis, _drugs):
        for id, resource in kind(folder):
            if id in chosen:
                chosen[id].resources.append(resource)
    yield from chosen.values()


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text + "+00:00")


def birth(text: str) -> str:
    """Ages above 89 are hidden as 300 years there; 90 is told of them."""
    return text[:10] if int(text[:4]) > 1900 else f"{int(text[:4]) + 210}{text[4:10]}"


def _stamp(text: str) -> str:
    return text.replace(" ", "T") + "Z"


def _observation(number: str, row: dict[str, str], code: str, display: str, at: str, issued: str, **value: Any) -> tuple[str, dict]:
    return row["subject_id"], {
        "resourceType": "Observation", "id": number, "status": "final",
        "code": {"text": display, **({"coding": [{"system": "http://loinc.org", "code": code, "display": display}]} if code else {})},
        "subject": {"reference": f"Patient/{row['subject_id']}"}, "effectiveDateTime": _stamp(at), "issued": _stamp(issued), **value,
    }


def _number(value: str, unit: str) -> dict[str, Any]:
    quantity: dict[str, Any] = {"value": float(value)}
    if unit:
        quantity |= {"unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
    return {"valueQuantity": quantity}


_UNITS = {"mEq/L": "meq/L", "K/uL": "10*3/uL", "mm Hg": "mm[Hg]", "MM HG": "mm[Hg]", "units": "1", "UNITS": "1", "IU/L": "[IU]/L", "ng/ml": "ng/mL"}


def _labs(folder: Path) -> Iterator[tuple[str, dict]]:
    for row in rows(folder, "labs"):
        if row["loinc_code"] and row["valuenum"] and row["charttime"]:
            unit = _UNITS.get(row["valueuom"], row["valueuom"])
            code = "2019-8" if row["loinc_code"] == "11557-6" else row["loinc_code"]
            yield _observation(f"lab-{row['row_id']}", row, code, row["label"], row["charttime"], row["charttime"],
                               category=[{"coding": [{"code": "laboratory"}]}], **_number(row["valuenum"], unit))


def _vitals(folder: Path) -> Iterator[tuple[str, dict]]:
    for number, row in enumerate(rows(folder, "vitals")):
        if row["error"] not in ("", "0", "0.0") or not row["value"] or not row["charttime"]:
            continue
        issued = row["storetime"] or row["charttime"]
        signal, value = row["signal"], row["valuenum"]
        common = {"category": [{"coding": [{"code": "vital-signs"}]}]}
        if signal in WORDS:
            yield _observation(f"vital-{number}", row, "", WORDS[signal], row["charttime"], issued, valueString=row["value"], **common)
            continue
        code, unit = VITALS[signal]
        if signal in GCS:
            text = row["value"].lower().lstrip("0123456789 ")
            value = next((str(points) for words, points in GCS[signal].items() if text.startswith(words)), value)
        if not value:
            continue
        if signal == "fio2" and float(value) <= 1:
            value = str(float(value) * 100)
        yield _observation(f"vital-{number}", row, code, signal, row["charttime"], issued, **_number(value, unit), **common)


def _urine(folder: Path) -> Iterator[tuple[str, dict]]:
    for number, row in enumerate(rows(folder, "outputs")):
        if row["itemid"] in URINE and row["value"]:
            yield _observation(f"urine-{number}", row, "9187-6", "Urine output", row["charttime"], row["charttime"], **_number(row["value"], "mL"))


def _dialysis(folder: Path) -> Iterator[tuple[str, dict]]:
    for row in rows(folder, "procedureevents_mv"):
        if row["itemid"] in DIALYSIS:
            yield row["subject_id"], {
                "resourceType": "Procedure", "id": f"procedure-{row['row_id']}", "status": "completed", "code": {"text": "Dialysis"},
                "subject": {"reference": f"Patient/{row['subject_id']}"},
                "performedPeriod": {"start": _stamp(row["starttime"]), "end": _stamp(row["endtime"])},
            }


def _drugs(folder: Path) -> Iterator[tuple[str, dict]]:
    for row in rows(folder, "prescriptions"):
        if not row["startdate"]:
            continue
        period = {"start": row["startdate"][:10], **({"end": row["enddate"][:10]} if row["enddate"] else {})}
        yield row["subject_id"], {
            "resourceType": "MedicationRequest", "id": f"drug-{row['row_id']}", "status": "active", "intent": "order",
            "medicationCodeableConcept": {"text": row["drug"]}, "subject": {"reference": f"Patient/{row['subject_id']}"},
            "authoredOn": row["startdate"][:10], "dispenseRequest": {"validityPeriod": period},
        }


