"""Audit events as a FHIR R4 Bundle of AuditEvent, with the codes of DICOM PS3.15 A.5 and PS3.16 D."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

Resource = dict[str, Any]
_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_TYPE, _ROLE = "http://terminology.hl7.org/CodeSystem/audit-entity-type", "http://terminology.hl7.org/CodeSystem/object-role"
_SOURCE = "http://terminology.hl7.org/CodeSystem/security-source-type"
_ACTIVITY = ("110100", "Application Activity")
_RECORD = ("110110", "Patient Record")
_SECURITY = ("110113", "Security Alert")
_CHANGED = ("110137", "User Security Attributes Changed")
# Action -> type, subtype, and what was done: create, read, update, delete, execute.
_KINDS: dict[str, tuple[tuple[str, str], tuple[str, str] | None, str]] = {
    "sign in": (("110114", "User Authentication"), ("110122", "Login"), "E"),
    "sign in anew": (("110114", "User Authentication"), ("110122", "Login"), "E"),
    "sign out": (("110114", "User Authentication"), ("110123", "Logout"), "E"),
    "view": (("110103", "DICOM Instances Accessed"), None, "R"),
    "search": (("110112", "Query"), None, "E"),
    "open": (("110103", "DICOM Instances Accessed"), None, "R"),
    "close": (("110103", "DICOM Instances Accessed"), None, "E"),
    "arrive": (("110107", "Import"), None, "C"),
    "outside report": (("110107", "Import"), None, "C"),
    "find priors": (("110112", "Query"), None, "E"),
    "fetch": (("110107", "Import"), None, "E"),
    "fetched": (("110107", "Import"), None, "C"),
    "order": (("110109", "Order Record"), None, "C"),
    "deliver": (("110106", "Export"), None, "R"),
    "export": (("110106", "Export"), None, "R"),
    "export pairs": (("110106", "Export"), None, "R"),
    "export audit": (("110101", "Audit Log Used"), None, "R"),
    "verify audit": (("110101", "Audit Log Used"), None, "R"),
    "draft": (_RECORD, None, "C"),
    "edit": (_RECORD, None, "U"),
    "judge": (_RECORD, None, "U"),
    "measure": (_RECORD, None, "U"),
    "unmeasure": (_RECORD, None, "D"),
    "critical": (_RECORD, None, "C"),
    "tell": (_RECORD, None, "U"),
    "sign": (_RECORD, None, "C"),
    "addendum": (_RECORD, None, "C"),
    "encrypt store": (_SECURITY, ("110127", "Security Configuration"), "U"),
    "rotate store key": (_SECURITY, ("110127", "Security Configuration"), "U"),
    "decrypt store": (_SECURITY, ("110127", "Security Configuration"), "U"),
    "set up": (_SECURITY, _CHANGED, "C"),
    "add user": (_SECURITY, _CHANGED, "C"),
    "change user": (_SECURITY, _CHANGED, "U"),
    "link identity": (_SECURITY, _CHANGED, "U"),
    "add token": (_SECURITY, _CHANGED, "C"),
    "revoke token": (_SECURITY, _CHANGED, "D"),
}
_OUTCOMES = {"done": "0", "refused": "4", "cancelled": "4", "denied": "8", "failed": "8"}


class Event(Protocol):
    """An event as the store keeps it; see `store.reading.audit`."""

    number: Any
    at: Any
    actor: Any
    action: Any
    subject: Any
    outcome: Any
    detail: Any
    mac: Any


def audit_bundle(events: Iterable[Event], house: str, now: datetime, more: str = "") -> Resource:
    """Events as a collection Bundle, as JSON takes it.

    Args:
        house: identity of the store, which the resources' ids follow from: an event is the same resource every time.
        now: when the bundle is made.
        more: where the events that follow are had; "" where there are none.
    """
    entries = [_entry(each, house) for each in events]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": now.isoformat(),
        **({"link": [{"relation": "next", "url": more}]} if more else {}),
        **({"entry": entries} if entries else {}),
    }


def _entry(event: Event, house: str) -> Resource:
    identifier = str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:aris:audit:{house}:{event.number}"))
    return {"fullUrl": f"urn:uuid:{identifier}", "resource": _resource(event, house, identifier)}


def _resource(event: Event, house: str, identifier: str) -> Resource:
    kind, subtype, done = _KINDS.get(event.action, (_ACTIVITY, None, "E"))
    person = not event.actor.startswith("(")
    text = {"system": "urn:aris:audit-action", "code": event.action.replace(" ", "-"), "display": event.action}
    return {
        "resourceType": "AuditEvent",
        "id": identifier,
        "type": _coding(kind),
        "subtype": [*([_coding(subtype)] if subtype else []), text],
        "action": done,
        "recorded": event.at,
        "outcome": _OUTCOMES.get(event.outcome, "4"),
        **({} if event.outcome == "done" else {"outcomeDesc": event.outcome}),
        "agent": [{
            **({"who": {"identifier": {"system": "urn:aris:login", "value": event.actor}}} if person
               else {"who": {"display": "Aris"}, "name": event.actor}),
            "requestor": person,
        }],
        "source": {
            "site": house or "unknown",
            "observer": {"display": "Aris"},
            "type": [{"system": _SOURCE, "code": "4", "display": "Application Server"}],
        },
        "entity": _entities(event),
    }  # fmt: skip


def _entities(event: Event) -> list[Resource]:
    """The study or user that the event is about, then the event itself in the trail, with all that it says."""
    about: list[Resource] = []
    if event.subject:
        study = event.subject.replace(".", "").isdigit()
        what = {"system": "urn:dicom:uid", "value": f"urn:oid:{event.subject}"} if study else {
            "system": "urn:aris:login", "value": event.subject}  # fmt: skip
        kind = ("2", "System Object") if study else ("1", "Person")
        role = ("3", "Report") if study else ("11", "Security User Entity")
        about.append({
            "what": {"identifier": what},
            "type": {"system": _TYPE, "code": kind[0], "display": kind[1]},
            "role": {"system": _ROLE, "code": role[0], "display": role[1]},
        })  # fmt: skip
    said = [(key, value) for key, value in sorted(event.detail.items()) if value is not None]
    about.append({
        "type": {"system": _TYPE, "code": "4", "display": "Other"},
        "name": f"event {event.number}",
        "detail": [
            {"type": key, "valueString": _words(value)}
            for key, value in (("number", event.number), *said, ("mac", event.mac))
        ],
    })  # fmt: skip
    return about


def _words(value: Any) -> str:
    """A value as a FHIR string, which is never empty and holds no controls."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return "".join(each if each.isprintable() else " " for each in str(value)).strip() or "-"


def _coding(code: tuple[str, str]) -> Resource:
    return {"system": _DCM, "code": code[0], "display": code[1]}
