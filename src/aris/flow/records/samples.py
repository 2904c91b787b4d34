"""Records of two of the sample patients, made up here in every word, so that the patient's page is seen alive.

Their times count back from the moment at which they are added, so that the watch has something to tell.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

_LOINC, _UCUM, _SNOMED = "http://loinc.org", "http://unitsofmeasure.org", "http://snomed.info/sct"
_RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
LABEL = "Sample record of {name} (no patient).json"
Resource = dict[str, Any]


class _Record:
    """A bundle that grows: each resource gets the next number of its type."""

    def __init__(self, key: str, name: str, family: str, given: str, born: str, gender: str, issuer: str, number: str,
                 now: datetime) -> None:  # fmt: skip
        self.key, self.name, self.now = key, name, now
        self.resources: list[Resource] = [{
            "resourceType": "Patient", "id": key, "gender": gender, "birthDate": born,
            "identifier": [{"system": issuer, "value": number}],
            "name": [{"use": "official", "family": family, "given": [given]}],
        }]  # fmt: skip
        self._count: dict[str, int] = {}

    def when(self, **ago: float) -> str:
        return (self.now - timedelta(**ago)).replace(microsecond=0).isoformat()

    def day(self, **ago: float) -> str:
        return (self.now - timedelta(**ago)).date().isoformat()

    def add(self, kind: str, **content: Any) -> str:
        number = self._count[kind] = self._count.get(kind, 0) + 1
        id = f"{self.key}-{kind.lower()[:6]}-{number}"
        who = "patient" if kind in ("AllergyIntolerance", "Immunization") else "subject"
        self.resources.append({"resourceType": kind, "id": id, who: {"reference": f"Patient/{self.key}"}, **content})
        return f"{kind}/{id}"

    def result(self, code: str, name: str, value: float, unit: str, low: float | None = None, high: float | None = None,
               *, category: str = "laboratory", status: str = "final", flag: str = "",
               **ago: float) -> str:  # fmt: skip
        at = self.when(**ago)
        given: Resource = {}
        if low is not None or high is not None:
            bounds = {"low": low, "high": high}
            given["referenceRange"] = [
                {side: {"value": bound, "unit": unit} for side, bound in bounds.items() if bound is not None}
            ]
        if flag:
            given["interpretation"] = [{"coding": [{"code": flag}]}]
        return self.add(
            "Observation", status=status, category=[{"coding": [{"code": category}]}],
            code={"coding": [{"system": _LOINC, "code": code, "display": name}], "text": name}, effectiveDateTime=at,
            issued=at, valueQuantity={"value": value, "unit": unit, "system": _UCUM, "code": unit}, **given,
        )  # fmt: skip

    def vitals(self, pulse: float, breaths: float, systolic: float, diastolic: float, temperature: float, spo2: float,
               **ago: float) -> None:  # fmt: skip
        of: dict[str, Any] = {"category": "vital-signs", **ago}
        self.result("8867-4", "Heart rate", pulse, "/min", **of)
        self.result("9279-1", "Respiratory rate", breaths, "/min", **of)
        self.result("8310-5", "Body temperature", temperature, "Cel", **of)
        self.result("2708-6", "Oxygen saturation", spo2, "%", **of)
        at = self.when(**ago)
        self.add(
            "Observation", status="final", category=[{"coding": [{"code": "vital-signs"}]}],
            code={"coding": [{"system": _LOINC, "code": "85354-9"}], "text": "Blood pressure"}, effectiveDateTime=at,
            issued=at, component=[
                {"code": {"coding": [{"system": _LOINC, "code": code, "display": name}]},
                 "valueQuantity": {"value": value, "unit": "mm[Hg]", "system": _UCUM, "code": "mm[Hg]"}}
                for code, name, value in (("8480-6", "Systolic blood pressure", systolic),
                                          ("8462-4", "Diastolic blood pressure", diastolic))
            ],
        )  # fmt: skip

    def condition(self, text: str, code: str, *, status: str = "active", onset: str, end: str = "") -> str:
        ended = {"abatementDateTime": end} if end else {}
        return self.add(
            "Condition", clinicalStatus={"coding": [{"code": status}]},
            verificationStatus={"coding": [{"code": "confirmed"}]},
            code={"coding": [{"system": _SNOMED, "code": code}], "text": text}, onsetDateTime=onset,
            recordedDate=onset, **ended,
        )  # fmt: skip

    def drug(self, text: str, code: str, dosage: str, *, status: str = "active", since: str, why: str = "") -> str:
        reason = {"statusReason": {"text": why}} if why else {}
        return self.add(
            "MedicationRequest", status=status, intent="order", authoredOn=since, dosageInstruction=[{"text": dosage}],
            medicationCodeableConcept={"coding": [{"system": _RXNORM, "code": code}], "text": text}, **reason,
        )  # fmt: skip

    def note(self, title: str, text: str, **ago: float) -> str:
        import base64

        at = self.when(**ago)
        data = base64.b64encode(text.encode()).decode()
        return self.add(
            "DocumentReference", status="current", type={"text": title}, date=at,
            content=[{"attachment": {"contentType": "text/plain", "data": data}}],
        )  # fmt: skip

    def encounter(self, title: str, code: str, *, start: str, end: str = "", status: str, why: str) -> str:
        span = {"start": start} | ({"end": end} if end else {})
        return self.add(
            "Encounter", status=status, **{"class": {"code": code}}, type=[{"text": title}], period=span,
            reasonCode=[{"text": why}],
        )  # fmt: skip

    def bundle(self) -> bytes:
        made = {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"resource": each} for each in self.resources],
        }
        return json.dumps(made).encode()


def sample_records(issuer: str, now: datetime | None = None) -> Iterator[tuple[str, bytes]]:
    """Give the sample records: a label, and a FHIR R4 bundle.

    Args:
        issuer: of the sample patients' numbers.
        now: the moment from which their times count back.
    """
    now = now or datetime.now(UTC)
    for made in (_dora(issuer, now), _ada(issuer, now)):
        yield LABEL.format(name=made.name), made.bundle()


def _dora(issuer: str, now: datetime) -> _Record:
    """A woman of 65 with diabetes and chronic kidney disease, whose kidneys fail on the ward."""
    r = _Record("sample-dora", "Dora Sample", "Sample", "Dora", "1961-02-27", "female", issuer, "SAMPLE-4", now)
    r.condition("Type 2 diabetes mellitus", "44054006", onset="2012-05")
    r.condition("Essential hypertension", "59621000", onset="2009")
    r.condition("Chronic kidney disease stage 3", "433144002", onset=r.day(days=1400))
    r.condition("Community acquired pneumonia", "385093006", onset=r.day(days=4))
    r.condition("Acute bronchitis", "10509002", status="resolved", onset=r.day(days=900), end=r.day(days=880))
    r.add(
        "AllergyIntolerance", clinicalStatus={"coding": [{"code": "active"}]},
        verificationStatus={"coding": [{"code": "confirmed"}]}, type="allergy", criticality="high",
        code={"coding": [{"system": _RXNORM, "code": "10831"}], "text": "Sulfamethoxazole and trimethoprim"},
        reaction=[{"manifestation": [{"text": "Generalised rash"}], "severity": "moderate"}],
        recordedDate=r.day(days=3000),
    )  # fmt: skip
    r.drug("Metformin 1000 mg oral tablet", "861004", "1000 mg twice a day", since=r.day(days=1500))
    r.drug("Lisinopril 20 mg oral tablet", "314077", "20 mg once a day", since=r.day(days=1200))
    r.drug("Ibuprofen 400 mg oral tablet", "197805", "400 mg three times a day as needed", since=r.day(days=5))
    r.drug("Amoxicillin and clavulanate", "617296", "1.2 g intravenously every 8 hours", since=r.when(days=3, hours=20))
    r.drug("Atorvastatin 20 mg oral tablet", "617310", "20 mg at night", status="stopped", since=r.day(days=1100),
           why="muscle pain")  # fmt: skip
    r.drug("Amlodipine 5 mg oral tablet", "197361", "5 mg once a day", status="on-hold", since=r.day(days=700),
           why="low blood pressure on admission")  # fmt: skip
    r.encounter("Diabetes clinic", "AMB", start=r.when(days=210), end=r.when(days=209, hours=23), status="finished",
                why="Yearly review of diabetes")  # fmt: skip
    r.encounter("Admission to the medical ward", "IMP", start=r.when(days=4), status="in-progress",
                why="Cough, fever and shortness of breath")  # fmt: skip
    for ago, creatinine in ((1400, 1.3), (1000, 1.3), (620, 1.4), (380, 1.4), (210, 1.5)):
        r.result("2160-0", "Creatinine", creatinine, "mg/dL", 0.5, 1.1, flag="H", days=ago)
        a1c = round(7.1 + (1400 - ago) / 2000, 1)
        r.result("4548-4", "Haemoglobin A1c", a1c, "%", 4.0, 6.0, flag="H", days=ago, minutes=5)
        r.result("2823-3", "Potassium", round(4.3 + (1400 - ago) / 4000, 1), "mmol/L", 3.5, 5.1, days=ago, minutes=10)
    # One laboratory sends SI units: the same quantity, on the same axis.
    for ago, value in ((96, 142), (72, 168)):
        r.result("14682-9", "Creatinine", value, "umol/L", 44, 97, flag="H", hours=ago)
    for ago, creatinine in ((47, 2.3), (23, 2.9), (3, 3.4)):
        r.result("2160-0", "Creatinine", creatinine, "mg/dL", 0.5, 1.1, flag="H", hours=ago)
    for ago, potassium in ((96, 4.9), (72, 5.1), (47, 5.4), (23, 5.8), (3, 6.6)):
        r.result("2823-3", "Potassium", potassium, "mmol/L", 3.5, 5.1, flag="" if potassium < 5.2 else "H", hours=ago)
    for ago, crp, white in ((96, 212, 17.2), (72, 188, 15.9), (47, 121, 12.8), (23, 74, 10.9), (3, 51, 9.8)):
        r.result("1988-5", "C-reactive protein", crp, "mg/L", None, 5, flag="H", hours=ago, minutes=2)
        r.result(
            "6690-2", "Leukocytes", white, "10*3/uL", 4, 10.5, flag="H" if white > 10.5 else "", hours=ago, minutes=3
        )
    r.result("718-7", "Haemoglobin", 11.8, "g/dL", 12, 15.5, flag="L", hours=23)
    r.result("2524-7", "Lactate", 1.6, "mmol/L", 0.5, 2.2, hours=23)
    # What cannot stand on an axis: words, a value that is missing, a unit that nobody knows.
    at = r.when(hours=22)
    r.add("Observation", status="final", category=[{"coding": [{"code": "laboratory"}]}], effectiveDateTime=at,
          issued=at,
          code={"coding": [{"system": _LOINC, "code": "2160-0", "display": "Creatinine"}], "text": "Creatinine"},
          dataAbsentReason={"coding": [{"code": "error"}], "text": "sample clotted"})  # fmt: skip
    r.result("2823-3", "Potassium", 5.6, "units", hours=30)
    for hours, *vitals in ((94, 112, 26, 104, 61, 39.1, 90), (70, 104, 22, 112, 66, 38.3, 92), (46, 92, 20, 118, 70,
    37.6, 94),
                         (22, 88, 18, 124, 72, 37.1, 95), (2, 86, 18, 122, 70, 36.9, 95)):  # fmt: skip
        r.vitals(*vitals, hours=hours)
    contrast = r.when(hours=1)
    r.add("ServiceRequest", status="active", intent="order", authoredOn=contrast, occurrenceDateTime=r.when(hours=-20),
          code={"coding": [{"system": _SNOMED, "code": "169069000"}],
          "text": "CT of the chest with intravenous contrast"},
          reasonCode=[{"text": "Slow response to treatment"}])  # fmt: skip
    r.add("DiagnosticReport", status="final", code={"text": "Chest radiograph"}, effectiveDateTime=r.when(hours=95),
          issued=r.when(hours=94), category=[{"coding": [{"code": "RAD"}]}],
          conclusion="Consolidation in the right lower lobe. No pleural effusion. No pneumothorax.")  # fmt: skip
    r.note("Admission note",
           "Four days of cough and fever. No chest pain. Takes ibuprofen for back pain since last week. "
           "Had a rash on co-trimoxazole. Mother had breast cancer.", hours=93)  # fmt: skip
    r.note("Ward round",
           "Breathing easier, afebrile. Urine output is falling. Creatinine to be repeated. Denies nausea.",
           hours=20)  # fmt: skip
    r.add(
        "Immunization",
        status="completed",
        vaccineCode={"text": "Influenza vaccine"},
        occurrenceDateTime=r.day(days=400),
    )
    r.add("Procedure", status="completed", code={"text": "Cholecystectomy"}, performedDateTime="2004")
    return r


def _ada(issuer: str, now: datetime) -> _Record:
    """A girl of four with pneumonia, who gets a penicillin although she is allergic to it."""
    r = _Record("sample-ada", "Ada Sample", "Sample", "Ada", "2022-03-14", "female", issuer, "SAMPLE-1", now)
    r.condition("Pneumonia", "233604007", onset=r.day(days=2))
    r.condition("Atopic eczema", "24079001", onset="2022-11")
    r.add(
        "AllergyIntolerance", clinicalStatus={"coding": [{"code": "active"}]},
        verificationStatus={"coding": [{"code": "confirmed"}]}, type="allergy", criticality="high",
        code={"coding": [{"system": _RXNORM, "code": "723"}], "text": "Amoxicillin"},
        reaction=[{"manifestation": [{"text": "Urticaria"}], "severity": "moderate"}], recordedDate=r.day(days=600),
    )  # fmt: skip
    r.drug("Amoxicillin 250 mg/5 mL oral suspension", "308182", "5 mL three times a day", since=r.when(hours=5))
    r.drug(
        "Paracetamol 120 mg/5 mL oral suspension",
        "161",
        "7.5 mL up to four times a day as needed",
        since=r.when(days=2),
    )
    r.encounter("Emergency department", "EMER", start=r.when(hours=6), status="in-progress", why="Fever and cough")
    for ago, crp in ((6, 96), (2, 88)):
        r.result("1988-5", "C-reactive protein", crp, "mg/L", None, 5, flag="H", hours=ago)
    r.result("6690-2", "Leukocytes", 18.4, "10*3/uL", 5, 14.5, flag="H", hours=6)
    r.result("718-7", "Haemoglobin", 12.1, "g/dL", 11, 14, hours=6)
    r.result("2951-2", "Sodium", 133, "mmol/L", 135, 145, flag="L", hours=6)
    for hours, *vitals in ((6, 148, 38, 96, 58, 39.4, 93), (2, 136, 34, 98, 60, 38.6, 95)):
        r.vitals(*vitals, hours=hours)
    for days, weight in ((900, 8.9), (540, 12.2), (180, 15.1), (0.25, 16.0)):
        r.result("29463-7", "Body weight", weight, "kg", category="vital-signs", days=days)
    r.note("Emergency department",
           "Three days of cough, fever up to 39.4. Drinks well. No vomiting. Brother has a cold.",
           hours=5.5)  # fmt: skip
    r.add("Immunization", status="completed", vaccineCode={"text": "Pneumococcal conjugate vaccine"},
          occurrenceDateTime=r.day(days=1000))  # fmt: skip
    return r
