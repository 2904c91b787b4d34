"""Results of intakes as they are kept: summary, transcript and FHIR resources, made when the questions end.

They are kept as made, so that reading one years later does not depend on the symptom base of that day.
"""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from typing import Any

from aris.exchange.documents.intake import intake_bundle
from aris.store.intakes.intakes import Who
from aris.tasks.intake import IntakeState, Site, as_text, base, summarize
from aris.tasks.intake.lexicon import lexicon
from aris.tasks.intake.state import LEVELS, Answer

_GENDERS = {"F": "female", "M": "male", "O": "other"}
_MOST = 300


def headline(state: IntakeState) -> tuple[int, str, str]:
    """Return a state's level as a number, the complaint's title, and the gravest reason in words."""
    complaint = base().complaints[state.complaint].title if state.complaint else ""
    reason = state.risk.reasons[0].text if state.risk.reasons else ""
    return LEVELS.index(state.risk.level), complaint[:256], reason[:_MOST]


def result_of(state: IntakeState, site: Site, who: Who, name: str, authored: datetime) -> dict[str, Any]:
    """Return the result of an intake, as JSON has it: summary, transcript, text and bundle."""
    summary = summarize(state)
    patient = _patient(who, name)
    bundle = intake_bundle(state, site, subject=f"Patient/{patient['id']}", authored=authored.isoformat())
    entry = {"fullUrl": f"urn:uuid:{patient['id']}", "resource": patient}
    bundle["entry"].insert(0, entry)
    return {
        "summary": summary.model_dump(mode="json"),
        "transcript": transcript(state),
        "text": as_text(summary),
        "bundle": _of_one(bundle, name),
    }


def partial_result(raw: Any) -> dict[str, Any]:
    """Return what can be told of a state that this version cannot read: the questions and answers as they stand."""
    given = raw.get("answers", []) if isinstance(raw, dict) else []
    lines = [
        {"item": str(each.get("question", "")), "asked": str(each.get("asked", "")), "said": str(each.get("said", "")),
         "chosen": [str(code) for code in each.get("codes", [])], "known": bool(each.get("known", True)),
         "chosen_by": str(each.get("chosen_by", "order"))}
        for each in given if isinstance(each, dict)
    ]  # fmt: skip
    return {"summary": None, "transcript": lines, "text": "", "bundle": None}


def transcript(state: IntakeState) -> list[dict[str, Any]]:
    """The questions and answers in their order: what was asked, what was said, and which options that was read as."""
    return [
        {"item": each.question, "asked": each.asked, "said": each.said, "chosen": _chosen(each), "known": each.known,
         "chosen_by": each.chosen_by}
        for each in state.answers
    ]  # fmt: skip


def _chosen(given: Answer) -> list[str]:
    findings = lexicon().findings
    shared = base().questions.get(given.question.partition(".")[0])
    options = shared.options if shared is not None else {}
    return [
        options.get(code) or (findings[code].label if code in findings else code.replace("_", " "))
        for code in given.codes
    ]


def _patient(who: Who, name: str) -> dict[str, Any]:
    identifier = {"value": who.patient_id} | ({"assigner": {"display": who.issuer}} if who.issuer else {})
    family, _, given = who.patient_name.partition("^")
    named = {"family": family.strip()} | ({"given": given.replace("^", " ").split()} if given.strip("^ ") else {})
    born = who.birth_date
    return {
        "resourceType": "Patient",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"aris intake patient {name}")),
        **({"identifier": [identifier]} if who.patient_id else {}),
        **({"name": [named]} if family.strip() else {}),
        **({"gender": _GENDERS[who.sex]} if who.sex in _GENDERS else {}),
        **({"birthDate": f"{born[:4]}-{born[4:6]}-{born[6:]}"} if born else {}),
    }


def _of_one(bundle: dict[str, Any], name: str) -> dict[str, Any]:
    """The bundle with ids of this intake's own: two patients who answer alike have no resource in common."""
    own: dict[str, str] = {}
    for entry in bundle["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] not in ("Patient", "Questionnaire"):
            own[resource["id"]] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name} {resource['id']}"))
    own[bundle["id"]] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name} {bundle['id']}"))
    text = json.dumps(bundle)
    for before, after in own.items():
        text = text.replace(f'"{before}"', f'"{after}"')
    made: dict[str, Any] = json.loads(text)
    for entry in made["entry"]:
        resource = entry["resource"]
        entry["fullUrl"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, resource['resourceType'] + resource['id'])}"
    return made
