"""The report as a FHIR R4 bundle: DiagnosticReport, Observations, ImagingStudy, Device, Provenance, Patient.

Every resource stands in the bundle under a `urn:uuid:` that follows from the report, and references are to those.
A draft's DiagnosticReport is `preliminary` (`partial` where the model's text was cut), its Observations too. What is
never for patient care has HL7's security label of test data, HTEST, and says so first in narrative and conclusion.
"""

from __future__ import annotations

import base64
import html
import uuid
from collections.abc import Callable
from typing import Any

from aris.exchange.documents import codes
from aris.exchange.documents.codes import Coded, uid_of
from aris.exchange.documents.fhir_names import human_name
from aris.exchange.documents.plain import heading, plain_text
from aris.exchange.documents.report import ImageReference, Report
from aris.exchange.documents.sr import MAKER
from aris.tasks.results import Measurement, Sections

Resource = dict[str, Any]
OWN = "urn:aris:codes"
STUDY_TIME = "urn:aris:study-time"
DICOM_UID = "urn:dicom:uid"
SYSTEMS = {
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "SCT": "http://snomed.info/sct",
    "LN": "http://loinc.org",
    codes.SCHEME: OWN,
}
_V2 = "http://terminology.hl7.org/CodeSystem/v2-"
_SECTIONS = {"findings": codes.FINDINGS_HEADING, "impression": codes.IMPRESSIONS_HEADING}
TEST_DATA = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST", "display": "test health data",
}  # fmt: skip
BOX = ("left", "top", "right", "bottom")


def bundle(report: Report) -> Resource:
    """The report as a collection Bundle, as JSON takes it."""
    return _Writer(report).bundle()


def report_status(report: Report) -> str:
    """DiagnosticReport.status."""
    if report.is_draft and not report.complete:
        return "partial"
    return {"draft": "preliminary", "signed": "final", "addended": "appended", "corrected": "corrected"}[report.status]


def section_concept(name: str) -> Coded:
    """The code under which a section's text stands."""
    return _SECTIONS.get(name) or codes.section_code(name)


class _Writer:
    def __init__(self, report: Report) -> None:
        self.report = report
        self.key = report.model_dump(mode="json")
        self.entries: list[Resource] = []

    def bundle(self) -> Resource:
        report = self.report
        self.patient = self._patient()
        self.device = self._device()
        self.studies = self._studies(report.images, "study")
        results = self._observations()
        signer, organization = self._signer()
        conclusion = "\n".join(each for each in (report.caution, report.sections.impression) if each)
        main = self._add("DiagnosticReport", {
            "text": {"status": "generated", "div": narrative(report)},
            "identifier": [_uid_identifier(uid_of("report", self.key))],
            "status": report_status(report),
            "category": [_concept(Coded("RAD", _V2 + "0074", "Radiology"))],
            "code": _concept(codes.REPORT_TITLE),
            **self._subject(),
            **({"effectiveDateTime": _date(report.study.date)} if report.study.date else {}),
            "issued": (report.signer.signed_at if report.signer else report.created).isoformat(),
            # A performer is a person or an organization; what wrote the draft stands in the Provenance.
            **({"performer": [organization]} if organization else {}),
            **({"resultsInterpreter": [signer]} if signer else {}),
            **({"result": results} if results else {}),
            **({"imagingStudy": self.studies} if self.studies else {}),
            **({"conclusion": conclusion} if conclusion else {}),
            "presentedForm": [{
                "contentType": "text/plain; charset=utf-8",
                "data": base64.b64encode(plain_text(report).encode()).decode(),
                "title": " \u2014 ".join(heading(report)) if report.caution else report.mark,
            }],
        })  # fmt: skip
        self._provenance(main, signer, organization)
        self.entries.insert(0, self.entries.pop(self.entries.index(self._entry(main))))
        return {
            "resourceType": "Bundle",
            "id": _uuid("bundle", self.key),
            **self._labels(),
            "type": "collection",
            "timestamp": report.created.isoformat(),
            "entry": self.entries,
        }

    def _add(self, kind: str, content: Resource, *key: object) -> Resource:
        """Put a resource into the bundle, and give a reference to it."""
        identifier = _uuid(kind, *key, self.key)
        resource = {"resourceType": kind, "id": identifier, **self._labels(), **content}
        self.entries.append({"fullUrl": f"urn:uuid:{identifier}", "resource": resource})
        return {"reference": f"urn:uuid:{identifier}", "type": kind}

    def _labels(self) -> Resource:
        return {"meta": {"security": [TEST_DATA]}} if self.report.caution else {}

    def _entry(self, reference: Resource) -> Resource:
        return next(each for each in self.entries if each["fullUrl"] == reference["reference"])

    def _subject(self) -> Resource:
        return {"subject": self.patient} if self.patient else {}

    def _patient(self) -> Resource | None:
        patient = self.report.patient
        if not any((patient.identifier, patient.name, patient.birth_date, patient.sex)):
            return None
        content: Resource = {}
        if patient.identifier:
            issuer = {"assigner": {"display": patient.issuer}} if patient.issuer else {}
            content["identifier"] = [{"value": patient.identifier, **issuer}]
        if patient.name:
            content["name"] = human_name(patient.name)
        if patient.sex:
            content["gender"] = {"M": "male", "F": "female", "O": "other"}[patient.sex]
        if patient.birth_date:
            content["birthDate"] = _date(patient.birth_date)
        return self._add("Patient", content)

    def _device(self) -> Resource:
        model = self.report.model
        versions = (("revision", model.revision), ("prompt", model.prompt_version), ("software", model.software))
        return self._add("Device", {
            "identifier": [_uid_identifier(uid_of("device", model.name, model.revision))],
            "status": "active",
            "manufacturer": MAKER,
            "deviceName": [{"name": model.name, "type": "model-name"}],
            "type": {"text": "Language model that drafts reports from images"},
            **({"note": [{"text": self.report.caution}]} if self.report.caution else {}),
            "version": [
                {"type": _concept(Coded(f"{kind}-version", OWN, f"{kind} version")), "value": value}
                for kind, value in versions
                if value
            ],
        }) | {"display": " ".join([model.name, *(f"{kind} {value}" for kind, value in versions if value)])}  # fmt: skip

    def _studies(self, images: tuple[ImageReference, ...], kind: str) -> list[Resource]:
        """An ImagingStudy for each study, the report's own first."""
        study = self.report.study
        uids = dict.fromkeys([*([study.uid] if study.uid and kind == "study" else []), *(i.study for i in images)])
        made = []
        for uid in uids:
            content: Resource = {"identifier": [_uid_identifier(uid)], "status": "available"}
            content["subject"] = self.patient or {"display": "unknown"}
            if uid == study.uid and kind == "study":
                content["identifier"] += self._study_identifiers()
                if study.date:
                    content["started"] = _date(study.date)
                if study.time:
                    # A FHIR dateTime with a time needs an offset, and DICOM's has none.
                    content["extension"] = [{"url": STUDY_TIME, "valueString": study.time}]
                if study.description:
                    content["description"] = study.description
                if study.referrer:
                    name = {"name": human_name(study.referrer)}
                    content["referrer"] = self._add("Practitioner", name, "referrer")
            inside = [image for image in images if image.study == uid]
            series = dict.fromkeys(image.series for image in inside)
            if series:
                content["series"] = [_series(each, inside) for each in series]
            made.append(self._add("ImagingStudy", content, kind, uid))
        return made

    def _study_identifiers(self) -> list[Resource]:
        study, made = self.report.study, []
        if study.accession:
            made.append({"type": _concept(Coded("ACSN", _V2 + "0203", "Accession ID")), "value": study.accession})
        if study.identifier:
            made.append({"type": _concept(Coded("study-id", OWN, "Study ID")), "value": study.identifier})
        return made

    def _observations(self) -> list[Resource]:
        report = self.report
        texts = {name: getattr(report.sections, name) for name in Sections.model_fields}
        made = [self._said("section", section_concept(name), text, name) for name, text in texts.items() if text]
        made += [self._said("caution", codes.CAUTION, report.caution)] if report.caution else []
        made += [self._said("addendum", codes.ADDENDUM, text, index) for index, text in enumerate(report.addenda)]
        made += [self._said("warning", codes.WARNING, text, index) for index, text in enumerate(report.warnings)]
        if report.forced:
            made.append(self._said("forced", codes.FORCED, "yes"))
        made += [self._finding(index) for index in range(len(report.findings))]
        made += [self._region(index) for index in range(len(report.regions))]
        made += [self._measurement(each, "top", index) for index, each in enumerate(report.measurements)]
        return made

    def _observation(self, kind: str, code: Resource, content: Resource, *key: object) -> Resource:
        report = self.report
        status = {"draft": "preliminary", "corrected": "corrected"}.get(report.status, "final")
        imaging = Coded("imaging", "http://terminology.hl7.org/CodeSystem/observation-category", "Imaging")
        return self._add("Observation", {
            "status": status,
            "category": [_concept(imaging), _concept(Coded(kind, OWN, kind))],
            "code": code,
            **self._subject(),
            **({"effectiveDateTime": _date(report.study.date)} if report.study.date else {}),
            "device": self.device,
            **({"derivedFrom": self.studies} if self.studies else {}),
            **content,
        }, kind, *key)  # fmt: skip

    def _said(self, kind: str, code: Coded, text: str, *key: object) -> Resource:
        return self._observation(kind, _concept(code), {"valueString": text}, *key)

    def _finding(self, index: int) -> Resource:
        finding = self.report.findings[index]
        content: Resource = {}
        if finding.assessed:
            state = {True: codes.PRESENT, False: codes.ABSENT, None: codes.NO_CALL}[finding.present]
            content["valueCodeableConcept"] = _concept(state)
        else:
            absent = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
            content["dataAbsentReason"] = _concept(Coded("not-performed", absent, "Not Performed"))
        if finding.probability is not None:
            content["component"] = [_probability(finding.probability)]
        if finding.note:
            content["note"] = [{"text": finding.note}]
        return self._observation("finding", _concept(codes.finding_code(finding.name), finding.name), content, index)

    def _region(self, index: int) -> Resource:
        region = self.report.regions[index]
        pixels = {"unit": "pixels", "system": "http://unitsofmeasure.org", "code": "{pixels}"}
        parts: list[Resource] = [
            {"code": _concept(Coded(name, OWN, f"{name} edge of the box")), "valueQuantity": {"value": value, **pixels}}
            for name, value in zip(BOX, region.box, strict=True)
        ]
        if region.image:
            oid = f"urn:oid:{region.image}"
            parts.append({"code": _concept(Coded("image", OWN, "SOP Instance UID")), "valueString": oid})
        if region.frame is not None:
            parts.append({"code": _concept(Coded("frame", OWN, "Frame")), "valueInteger": region.frame})
        if region.probability is not None:
            parts.append(_probability(region.probability))
        content: Resource = {"component": parts}
        if region.note:
            content["note"] = [{"text": region.note}]
        if region.measurements:
            content["hasMember"] = [
                self._measurement(each, index, location) for location, each in enumerate(region.measurements)
            ]
        return self._observation("region", _concept(codes.finding_code(region.label), region.label), content, index)

    def _measurement(self, each: Measurement, *key: object) -> Resource:
        quantity = {"value": each.value, "unit": each.unit, "system": "http://unitsofmeasure.org", "code": each.unit}
        content: Resource = {"valueQuantity": quantity}
        if each.note:
            content["note"] = [{"text": each.note}]
        return self._observation("measurement", _concept(codes.own_code(each.name), each.name), content, *key)

    def _signer(self) -> tuple[Resource | None, Resource | None]:
        signer = self.report.signer
        if signer is None:
            return None, None
        content: Resource = {"name": human_name(signer.name)}
        if signer.identifier:
            content["identifier"] = [{"value": signer.identifier}]
        organization = self._add("Organization", {"name": signer.organization})
        return self._add("Practitioner", content, "signer"), organization

    def _provenance(self, target: Resource, signer: Resource | None, organization: Resource | None) -> None:
        """Make the Provenance: the model wrote, a person verified; and the report that this one follows."""
        report = self.report
        system = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
        agents = [{"type": _concept(Coded("author", system, "Author")), "who": self.device}]
        if signer is not None:
            agents.append({
                "type": _concept(Coded("verifier", system, "Verifier")), "who": signer,
                **({"onBehalfOf": organization} if organization else {}),
            })  # fmt: skip
        documents = tuple(ImageReference(**each.model_dump()) for each in report.predecessors)
        entities = [{"role": "revision", "what": each} for each in self._studies(documents, "predecessor")]
        entities += [{"role": "source", "what": each} for each in self.studies]
        self._add("Provenance", {
            "target": [target],
            "recorded": report.created.isoformat(),
            "activity": _concept(codes.STATES[report.status]),
            "agent": agents,
            **({"entity": entities} if entities else {}),
        })  # fmt: skip


def narrative(report: Report) -> str:
    """The report as XHTML: what a reader sees who sees nothing else. The state stands first."""
    lines = plain_text(report).split("\n")
    top = heading(report)
    body = "<br/>".join(html.escape(line, quote=False) for line in lines[len(top) :])
    mark = "<br/>".join(html.escape(line, quote=False) for line in top)
    return f'<div xmlns="http://www.w3.org/1999/xhtml"><p><b>{mark}</b></p><p>{body}</p></div>'


def _uuid(*content: object) -> str:
    return str(uuid.UUID(int=int(uid_of("fhir", *content).removeprefix("2.25."))))


def _uid_identifier(uid: str) -> Resource:
    return {"system": DICOM_UID, "value": f"urn:oid:{uid}"}


def _concept(code: Coded, text: str = "") -> Resource:
    coding = {"system": SYSTEMS.get(code.scheme, code.scheme), "code": code.value, "display": code.meaning}
    return {"coding": [coding], "text": text or code.meaning}


def _probability(value: float) -> Resource:
    quantity = {"value": value, "system": "http://unitsofmeasure.org", "code": "1"}
    return {"code": _concept(codes.PROBABILITY), "valueQuantity": quantity}


def _series(uid: str, images: list[ImageReference]) -> Resource:
    inside = [image for image in images if image.series == uid]
    modality = {"system": SYSTEMS["DCM"], "code": modality_of(inside[0].sop_class)}
    instance: Callable[[ImageReference], Resource] = lambda image: {  # noqa: E731
        "uid": image.uid,
        "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{image.sop_class}"},
    }
    return {"uid": uid, "modality": modality, "instance": [instance(image) for image in inside]}


# PS3.4 B.5 to Modality (0008,0060), for the kinds that are read here; others are OT.
_MODALITIES = {
    "1": "CR", "1.1": "DX", "1.1.1": "DX", "1.2": "MG", "1.2.1": "MG", "1.3": "IO", "1.3.1": "IO", "2": "CT",
    "2.1": "CT", "2.2": "CT", "4": "MR", "4.1": "MR", "4.4": "MR", "6.1": "US", "3.1": "US", "12.1": "XA", "12.2": "RF",
    "20": "NM", "128": "PT", "77.1.6": "SM", "77.1.5.1": "OP", "77.1.1": "ES", "77.1.4": "XC", "88.11": "SR",
    "88.22": "SR", "88.33": "SR",
}  # fmt: skip


def modality_of(sop_class: str) -> str:
    """The modality of an object's kind."""
    return _MODALITIES.get(sop_class.removeprefix("1.2.840.10008.5.1.4.1.1."), "OT")


def _date(value: str) -> str:
    return f"{value[:4]}-{value[4:6]}-{value[6:]}"
