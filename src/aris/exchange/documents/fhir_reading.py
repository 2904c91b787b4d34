"""Our own FHIR bundles, read back as the reports that they were written from."""

from __future__ import annotations

from typing import Any

from aris.errors import ExchangeError
from aris.exchange.documents import codes
from aris.exchange.documents.fhir import BOX, OWN, STUDY_TIME, section_concept
from aris.exchange.documents.fhir_names import dicom_name
from aris.exchange.documents.report import Report, checked
from aris.tasks.results import Sections

Resource = dict[str, Any]


def read_bundle(bundle: Resource) -> Report:
    """The report of a bundle that `fhir.bundle` wrote.

    Raises:
        ExchangeError: it is no bundle of ours, or damaged.
    """
    try:
        values = _Reader(bundle).values()
    except (AttributeError, LookupError, ValueError, TypeError, StopIteration):
        raise ExchangeError("the FHIR bundle is damaged, or another program wrote it") from None
    return checked(**values)


class _Reader:
    def __init__(self, bundle: Resource) -> None:
        self.by_url = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}

    def values(self) -> dict[str, Any]:
        report = next(each for each in self.by_url.values() if each["resourceType"] == "DiagnosticReport")
        provenance = next(each for each in self.by_url.values() if each["resourceType"] == "Provenance")
        results = [self._at(each) for each in report.get("result", [])]
        by_kind: dict[str, list[Resource]] = {}
        for each in results:
            by_kind.setdefault(_kind(each), []).append(each)
        sections = {
            name: each["valueString"]
            for name in Sections.model_fields
            for each in by_kind.get("section", [])
            if _code(each["code"]) == section_concept(name).value
        }
        studies = [self._at(each) for each in report.get("imagingStudy", [])]
        revised = [each["what"] for each in provenance.get("entity", []) if each["role"] == "revision"]
        state = _code(provenance["activity"])
        author = next(each for each in provenance["agent"] if _code(each["type"]) == "author")
        return {
            "status": next(status for status, code in codes.STATES.items() if code.value == state),
            "model": self._model(self._at(author["who"])),
            "caution": next((each["valueString"] for each in by_kind.get("caution", [])), ""),
            "created": provenance["recorded"],
            "sections": sections,
            "findings": [_finding(each) for each in by_kind.get("finding", [])],
            "regions": [self._region(each) for each in by_kind.get("region", [])],
            "measurements": [_measurement(each) for each in by_kind.get("measurement", [])],
            "warnings": [each["valueString"] for each in by_kind.get("warning", [])],
            "forced": "forced" in by_kind,
            "complete": report["status"] != "partial",
            "addenda": [each["valueString"] for each in by_kind.get("addendum", [])],
            "patient": self._patient(self._at(report["subject"])) if "subject" in report else {},
            "study": self._study(studies[0]) if studies else {},
            "images": [image for study in studies for image in _images(study)],
            "signer": self._signer(report, provenance),
            "predecessors": [image for each in revised for image in _images(self._at(each))],
        }

    def _at(self, reference: Resource) -> Resource:
        found: Resource = self.by_url[reference["reference"]]
        return found

    def _model(self, device: Resource) -> Resource:
        versions = {_code(each["type"]): each["value"] for each in device["version"]}
        return {
            "name": device["deviceName"][0]["name"],
            "revision": versions.get("revision-version", ""),
            "prompt_version": versions.get("prompt-version", ""),
            "software": versions["software-version"],
        }

    def _patient(self, patient: Resource) -> Resource:
        identifier = patient.get("identifier", [{}])[0]
        return {
            "identifier": identifier.get("value", ""),
            "issuer": identifier.get("assigner", {}).get("display", ""),
            "name": dicom_name(patient.get("name", [])),
            "birth_date": patient.get("birthDate", "").replace("-", ""),
            "sex": {"male": "M", "female": "F", "other": "O"}.get(patient.get("gender", ""), ""),
        }

    def _study(self, study: Resource) -> Resource:
        identifiers = {_code(each["type"]): each["value"] for each in study["identifier"] if "type" in each}
        return {
            "uid": _uid(study["identifier"][0]["value"]),
            "identifier": identifiers.get("study-id", ""),
            "accession": identifiers.get("ACSN", ""),
            "date": study.get("started", "").replace("-", ""),
            "time": next((e["valueString"] for e in study.get("extension", []) if e["url"] == STUDY_TIME), ""),
            "description": study.get("description", ""),
            "referrer": dicom_name(self._at(study["referrer"])["name"]) if "referrer" in study else "",
        }

    def _region(self, region: Resource) -> Resource:
        parts = {_code(each["code"]): each for each in region["component"]}
        image, frame = parts.get("image"), parts.get("frame")
        return {
            "label": region["code"]["text"],
            "box": tuple(parts[name]["valueQuantity"]["value"] for name in BOX),
            "image": _uid(image["valueString"]) if image else "",
            "frame": frame["valueInteger"] if frame else None,
            "probability": _probability(region),
            "measurements": [_measurement(self._at(each)) for each in region.get("hasMember", [])],
            "note": region["note"][0]["text"] if "note" in region else "",
        }

    def _signer(self, report: Resource, provenance: Resource) -> Resource | None:
        if "resultsInterpreter" not in report:
            return None
        person = self._at(report["resultsInterpreter"][0])
        verifier = next(each for each in provenance["agent"] if _code(each["type"]) == "verifier")
        return {
            "name": dicom_name(person["name"]),
            "organization": self._at(verifier["onBehalfOf"])["name"],
            "signed_at": report["issued"],
            "identifier": person.get("identifier", [{}])[0].get("value", ""),
        }


def _finding(each: Resource) -> Resource:
    state = _code(each["valueCodeableConcept"]) if "valueCodeableConcept" in each else ""
    return {
        "name": each["code"]["text"],
        "probability": _probability(each),
        "assessed": "dataAbsentReason" not in each,
        "present": {codes.PRESENT.value: True, codes.ABSENT.value: False}.get(state),
        "note": each.get("note", [{}])[0].get("text", ""),
    }


def _measurement(each: Resource) -> Resource:
    quantity = each["valueQuantity"]
    note = each.get("note", [{}])[0].get("text", "")
    return {"name": each["code"]["text"], "value": quantity["value"], "unit": quantity["code"], "note": note}


def _probability(each: Resource) -> Any:
    parts = (part for part in each.get("component", []) if _code(part["code"]) == codes.PROBABILITY.value)
    return next((part["valueQuantity"]["value"] for part in parts), None)


def _images(study: Resource) -> list[Resource]:
    uid = _uid(study["identifier"][0]["value"])
    return [
        {"sop_class": _uid(each["sopClass"]["code"]), "uid": each["uid"], "series": series["uid"], "study": uid}
        for series in study.get("series", [])
        for each in series["instance"]
    ]


def _kind(observation: Resource) -> str:
    own = (c["code"] for each in observation["category"] for c in each["coding"] if c["system"] == OWN)
    return str(next(own))


def _code(concept: Resource) -> str:
    return str(concept["coding"][0]["code"])


def _uid(value: str) -> str:
    return value.removeprefix("urn:oid:")
