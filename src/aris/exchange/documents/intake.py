"""An intake as FHIR R4: Questionnaire, QuestionnaireResponse, provisional Conditions, preliminary Observations, risk.

The Questionnaire holds everything that can be asked of one complaint, in the clinician's order; each finding of a
checklist is a question of its own, with yes, no and not known, so that what is absent is said and not left out.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from aris.tasks.intake import IntakeState, Site, base, summarize
from aris.tasks.intake.base import LISTS, VERSION
from aris.tasks.intake.lexicon import lexicon
from aris.tasks.intake.measures import DAYS
from aris.tasks.intake.state import Answer

Resource = dict[str, Any]
FINDINGS = "urn:aris:intake:finding"
ANSWERS = "urn:aris:intake:answer"
LEVELS = "urn:aris:intake:level"
_UCUM = "http://unitsofmeasure.org"
_ABSENT_REASON = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_DANGERS = ("danger", "danger_child", "danger_pregnancy", "danger_harm")
# The clinician's order; groups of a checklist have a question for each finding.
_ORDER = ("who", "age", "sex", "pregnancy", "complaint", "area", *_DANGERS, "red_flags", "onset", "duration", "course",
          "place", "quality", "severity", "associated", "negatives", "system", "history", "medications", "allergies",
          "more")  # fmt: skip
_PRESENCE = {"present": "yes", "absent": "no", "unknown": "unknown"}
_YES_NO = {"yes": "Yes", "no": "No", "unknown": "Not known"}


def questionnaire(complaint: str, site: Site | None = None) -> Resource:
    """The Questionnaire of a complaint of the symptom base.

    Args:
        complaint: its name.
        site: its `base_url` is the beginning of the canonical address.
    """
    known = base()
    entry = known.complaints[complaint]
    items = [item for name in _ORDER for item in _items(name, complaint)]
    items.append({"linkId": "named", "text": "Further findings named in free text", "type": "string", "repeats": True})
    return {
        "resourceType": "Questionnaire",
        "id": f"aris-intake-{complaint.replace('_', '-')}-{VERSION}",
        "url": _url(complaint, site),
        "version": VERSION,
        "name": "ArisIntake" + "".join(part.capitalize() for part in complaint.split("_")),
        "title": f"Intake: {entry.title}",
        "status": "active",
        "subjectType": ["Patient"],
        "description": f"Source: {entry.source.name} ({entry.source.url})"
        + ("" if entry.source.read else "; unreviewed: the source could not be read"),
        "item": items,
    }


def _url(complaint: str, site: Site | None) -> str:
    start = (site or Site()).base_url.rstrip("/")
    return (
        f"{start}{':' if start.startswith('urn:') else '/'}Questionnaire{':' if start.startswith('urn:') else '/'}"
        + (complaint.replace("_", "-"))
    )


def _items(name: str, complaint: str) -> list[Resource]:
    known = base()
    entry = known.complaints[complaint]
    shared = known.questions[name]
    if name == "system":
        return [
            _group(f"system.{system}", f"{shared.text} ({system})", known.systems[system]) for system in entry.systems
        ]
    if name in LISTS:
        return [_group(name, shared.text, entry.findings(name))]
    if shared.type == "list":
        return [_group(name, shared.text, shared.findings)]
    item: Resource = {"linkId": name, "text": shared.text, "type": _TYPES[shared.type]}
    if shared.type == "choice":
        options = dict(shared.options) or {word.replace(" ", "_"): word.capitalize() for word in entry.quality}
        if name == "quality" and not options:
            return []
        item["answerOption"] = _options(options | ({} if "unknown" in options else {"unknown": "Not known"}))
    if shared.type == "scale":
        item["extension"] = [
            {"url": "http://hl7.org/fhir/StructureDefinition/minValue", "valueInteger": 0},
            {"url": "http://hl7.org/fhir/StructureDefinition/maxValue", "valueInteger": 10},
        ]
    return [item]


_TYPES = {"choice": "choice", "age": "quantity", "text": "text", "duration": "string", "scale": "integer"}


def _group(link: str, text: str, findings: tuple[str, ...]) -> Resource:
    known = lexicon().findings
    return {
        "linkId": link,
        "text": text,
        "type": "group",
        "item": [
            {
                "linkId": f"{link}.{name}",
                "code": [{"system": FINDINGS, "code": name, "display": known[name].label}],
                "text": known[name].ask,
                "type": "choice",
                "answerOption": _options(_YES_NO),
            }
            for name in findings
        ],
    }


def _options(options: Mapping[str, str]) -> list[Resource]:
    return [{"valueCoding": {"system": ANSWERS, "code": code, "display": text}} for code, text in options.items()]


def questionnaire_response(
    state: IntakeState, site: Site | None = None, *, subject: str | None = None, authored: str | None = None
) -> Resource:
    """The answers of an intake, for the Questionnaire of its complaint.

    Args:
        state: of the intake.
        site: as for `questionnaire`.
        subject: reference to the patient, as "Patient/123".
        authored: when it was answered, as a FHIR dateTime.
    """
    complaint = state.complaint or "other"
    form = questionnaire(complaint, site)
    used: set[str] = set()
    items = [each for each in (_answered(item, state, used) for item in form["item"]) if each is not None]
    left = [name for name, fact in state.facts.items() if fact.presence == "present" and name not in used]
    if left:
        labels = [lexicon().findings[name].label for name in left]
        items.append(
            {"linkId": "named", "text": form["item"][-1]["text"], "answer": [{"valueString": x} for x in labels]}
        )
    status = {"finished": "completed", "emergency": "stopped", "declined": "stopped"}.get(state.status, "in-progress")
    return {
        "resourceType": "QuestionnaireResponse",
        "id": _id(state, "response"),
        "questionnaire": f"{form['url']}|{VERSION}",
        "status": status,
        **({"subject": {"reference": subject}} if subject else {}),
        **({"authored": authored} if authored else {}),
        **({"item": items} if items else {}),
    }


def _answered(item: Resource, state: IntakeState, used: set[str]) -> Resource | None:
    shown: Resource = {"linkId": item["linkId"], "text": item["text"]}
    if item["type"] == "group":
        children = []
        for child in item["item"]:
            name = child["linkId"].rpartition(".")[2]
            fact = state.facts.get(name)
            # Each finding stands once: in the first list that has it.
            if fact is not None and name not in used:
                used.add(name)
                code = _PRESENCE[fact.presence]
                coding = {"system": ANSWERS, "code": code, "display": _YES_NO[code]}
                children.append({"linkId": child["linkId"], "text": child["text"], "answer": [{"valueCoding": coding}]})
        return {**shown, "item": children} if children else None
    given = state.answer(item["linkId"])
    if given is None:
        return None
    value = _value(item, given)
    if value is None:
        return {**shown, "extension": [{"url": _ABSENT_REASON, "valueCode": "asked-unknown"}]}
    return {**shown, "answer": [value]}


def _value(item: Resource, given: Answer) -> Resource | None:
    if item["type"] == "choice":
        options = {each["valueCoding"]["code"]: each["valueCoding"] for each in item["answerOption"]}
        return {"valueCoding": options[given.codes[0] if given.codes else "unknown"]}
    if item["type"] in ("string", "text"):
        return {"valueString": given.said} if given.said and given.known else None
    if given.number is None:
        return None
    if item["type"] == "integer":
        return {"valueInteger": round(given.number)}
    unit, code = ("days", "d") if given.number < 60 else ("months", "mo") if given.number < 730 else ("years", "a")
    size = {"d": 1.0, "mo": DAYS["month"], "a": DAYS["year"]}[code]
    quantity = {"value": round(given.number / size, 1), "unit": unit, "system": _UCUM, "code": code}
    return {"valueQuantity": quantity}


def intake_bundle(
    state: IntakeState, site: Site | None = None, *, subject: str | None = None, authored: str | None = None
) -> Resource:
    """An intake as a collection Bundle; arguments as for `questionnaire_response`.

    The complaint and named earlier illness are Conditions with verification status provisional, findings are
    preliminary Observations (false for what is absent), the triage level is a preliminary RiskAssessment.
    """
    summary = summarize(state)
    about = {"subject": {"reference": subject} if subject else {"display": "the patient of this intake"}}
    resources: list[Resource] = [
        questionnaire(state.complaint or "other", site),
        questionnaire_response(state, site, subject=subject, authored=authored),
    ]
    provisional = {
        "verificationStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "provisional"}]
        }
    }
    recorded = {"recordedDate": authored} if authored else {}
    if summary.chief_complaint:
        active = {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}
        resources.append({
            "resourceType": "Condition", "id": _id(state, "complaint"), "clinicalStatus": {"coding": [active]},
            **provisional, "code": {"text": summary.complaint}, **about, **recorded,
            "note": [{"text": f"In the patient's words: {summary.chief_complaint}"}],
        })  # fmt: skip
    resources += [
        {
            "resourceType": "Condition", "id": _id(state, "past", each.finding), **provisional,
            "code": _finding(each.finding, each.label), **about, **recorded,
            "note": [{"text": "Named by the patient in an intake; checked by nobody yet."}],
        }
        for each in summary.past_history
    ]  # fmt: skip
    for group, value in ((summary.positives, True), (summary.pertinent_negatives, False), (summary.not_known, None)):
        for each in group:
            unknown = {"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "asked-unknown"}
            resources.append({
                "resourceType": "Observation", "id": _id(state, "finding", each.finding), "status": "preliminary",
                "code": _finding(each.finding, each.label), **about,
                **({"effectiveDateTime": authored} if authored else {}),
                **({"valueBoolean": value} if value is not None else {"dataAbsentReason": {"coding": [unknown]}}),
            })  # fmt: skip
    resources.append({
        "resourceType": "RiskAssessment", "id": _id(state, "risk"), "status": "preliminary", **about,
        "method": {"text": "Aris triage rules; levels of Aris's own, no diagnosis"},
        **({"occurrenceDateTime": authored} if authored else {}),
        "prediction": [{
            "qualitativeRisk": {"coding": [{"system": LEVELS, "code": summary.level}], "text": summary.level},
            **({"rationale": "; ".join(each.text for each in summary.reasons)} if summary.reasons else {}),
        }],
    })  # fmt: skip
    return {
        "resourceType": "Bundle",
        "id": _id(state, "bundle"),
        "type": "collection",
        "entry": [
            {
                "fullUrl": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, each['resourceType'] + each['id'])}",
                "resource": each,
            }
            for each in resources
        ],
    }


def _finding(name: str, label: str) -> Resource:
    return {"coding": [{"system": FINDINGS, "code": name, "display": label}], "text": label}


def _id(state: IntakeState, *parts: str) -> str:
    """An id that follows from the state, so that the same intake gives the same resources."""
    key = json.dumps([state.model_dump(mode="json"), parts], sort_keys=True)
    return str(uuid.uuid5(uuid.NAMESPACE_URL, key))
