"""Events laid out by rule: stays and visits, procedures, reports, notes, vaccinations."""

from __future__ import annotations

from datetime import datetime, timedelta

from aris.records import Encounter, Immunization, Note, Procedure, Record, Report, Timeline
from aris.records.when import sort_key
from aris.tasks.summary.results import Statement
from aris.tasks.summary.words import name_of, quoted, setting_of, stamp

NO_EVENTS = "No event is documented in this record."
EVENTS = 14
LATELY = timedelta(days=365)
FEWEST = 4  # the newest are told however old they are
_KINDS = (Encounter, Procedure, Report, Note, Immunization)
_PROCEDURE = {"completed": "done", "unknown": "status not documented", "not-done": "not done"}
# FHIR R4's statuses of finished reports and notes.
_FINISHED = frozenset(("final", "available", "current", "completed"))
_INPATIENT = frozenset(("IMP", "ACUTE", "NONAC", "EMER", "OBSENC", "SS"))


def events(
    timeline: Timeline, reference: datetime | None, *, start: datetime | None = None, limit: int = EVENTS
) -> list[Statement]:
    """Lay out what happened, the newest first.

    Args:
        timeline: the record.
        reference: the record's last moment, from which "lately" counts back.
        start: tell only what happened since then (a stay's).
        limit: how many are told.
    """
    found = [r for r in reversed(timeline.records) if isinstance(r, _KINDS) and r.time is not None]
    if start is not None:
        found = [r for r in found if r.time is not None and (r.end or r.time).end >= start]
    elif reference is not None:
        found = [
            r
            for number, r in enumerate(found)
            if number < FEWEST or (r.time is not None and (r.end or r.time).end >= reference - LATELY)
        ]
    told = [describe(r) for r in found[:limit]]
    return told or [Statement(text=NO_EVENTS)]


def describe(r: Record) -> Statement:
    """Lay out one event."""
    when = stamp(r.time) if r.time else "At an unknown time"
    until = f" to {stamp(r.end)}" if r.end is not None and r.end.day != (r.time.day if r.time else "") else ""
    name = name_of(r.concept)
    parts: list[str] = []
    if isinstance(r, Encounter):
        if r.setting and setting_of(r.setting) not in name.lower():
            parts.append(setting_of(r.setting))
        if r.reasons:
            parts.append("for " + ", ".join(name_of(c) for c in r.reasons))
        if r.discharge:
            parts.append(f"discharged to: {r.discharge}")
        if r.status in ("planned", "cancelled", "in-progress", "arrived", "triaged", "onleave"):
            parts.append(r.status)
    elif isinstance(r, Procedure):
        parts.append(_PROCEDURE.get(r.status, r.status))
        parts += [f"for {', '.join(name_of(c) for c in r.reasons)}"] if r.reasons else []
        parts += [f"outcome: {r.outcome}"] if r.outcome else []
        parts += [r.stop_reason] if r.stop_reason else []
    elif isinstance(r, Report):
        name = f"Imaging study: {name}" if r.resource_type == "ImagingStudy" and "imag" not in name.lower() else name
        parts += [unsigned(r), quoted(r.text) if r.text else ""]
        parts += [] if r.text else [name_of(c) for c in r.conclusions]
        parts += [f"an attachment that is not read ({kind})" for kind in r.attachments]
    elif isinstance(r, Note):
        parts += [unsigned(r), quoted(r.text) if r.text else ""]
        parts += [f"an attachment that is not read ({kind})" for kind in r.attachments]
    elif isinstance(r, Immunization):
        name = f"Vaccination: {name}"
        parts += ["not given"] if r.negated else []
        parts += [r.stop_reason] if r.stop_reason else []
    said = "; ".join(p for p in parts if p)
    return Statement(text=f"{when}{until}: {name}" + (f"; {said}" if said else ""), cites=(r.id,))


def unsigned(r: Report | Note) -> str:
    """Return the status of a report or note that is not a finished one; empty for a finished one."""
    return "" if r.status in _FINISHED else "status not documented" if r.status == "unknown" else r.status


def last_stay(timeline: Timeline) -> Encounter | None:
    """Return the last inpatient or emergency encounter, else the last encounter, else `None`."""
    timed = [e for e in timeline.encounters if e.time is not None and e.status not in ("cancelled", "planned")]
    stays = [e for e in timed if e.setting.upper() in _INPATIENT]
    return max(stays or timed, key=lambda e: sort_key(e.time), default=None)
