"""Every entry of a record as a statement of its own, for questions: nothing is left out for being old or normal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from aris.records import (
    Allergy,
    Condition,
    Encounter,
    FamilyHistory,
    Immunization,
    Measurement,
    Medication,
    Note,
    Order,
    Patient,
    Plan,
    Procedure,
    Record,
    Report,
    Timeline,
)
from aris.tasks.summary import events, problems
from aris.tasks.summary.results import Statement
from aris.tasks.summary.words import flags_of, name_of, on, range_of, stamp, value_of

_ROLES = {"request": "ordered", "statement": "taken from", "administration": "given", "dispense": "dispensed"}
PASSAGE = 500  # characters of a text that stand together


@dataclass(frozen=True)
class Entry:
    """An entry of the record.

    Attributes:
        topic: the kind of thing it is ("medication", "measurement", ...).
        name: what it is about.
        statement: in words, with its citation.
        when: the time that sorts it, or `None`.
    """

    topic: str
    name: str
    statement: Statement
    when: datetime | None


def entries(timeline: Timeline) -> list[Entry]:
    """Return the entries of a record, the newest first, the patient's own facts before them."""
    found = _person(timeline.patient)
    for record in reversed(timeline.records):
        found += _entries(record, timeline.moment)
    return found


def text_of(record: Record, moment: datetime | None = None) -> str:
    """Return one entry of a record in words; empty where there is nothing to say of it. Of a text its beginning."""
    found = _entries(record, moment)
    return found[0].statement.text if found else ""


def _person(person: Patient) -> list[Entry]:
    facts = [
        ("name", person.name and f"Name: {person.name}"),
        ("birth date", person.birth and f"Born {stamp(person.birth)}"),
        ("gender", person.gender and f"Gender: {person.gender}"),
        ("death", person.death and f"Died {stamp(person.death)}"),
    ]
    cites = (person.id,) if person.id else ()
    return [Entry("patient", name, Statement(text=text, cites=cites), None) for name, text in facts if text and cites]


def _entries(r: Record, moment: datetime | None) -> list[Entry]:
    name = name_of(r.concept)
    when = r.time.start if r.time else None
    if isinstance(r, Note | Report) and r.text:
        head = f"{stamp(r.time)}: {name}" if r.time else name
        head += f" ({unsigned})" if (unsigned := events.unsigned(r)) else ""
        return [
            Entry(r.kind, name, Statement(text=f'{head}: "{passage}"', cites=(r.id,)), when)
            for passage in _passages(r.text)
        ]
    text = _text(r, name, moment)
    return [Entry(r.kind, name, Statement(text=text, cites=(r.id,)), when)] if text else []


def _text(r: Record, name: str, moment: datetime | None) -> str:
    dated = f" ({stamp(r.time)})" if r.time else ""
    if isinstance(r, Measurement):
        value = value_of(r) or (f"no value ({r.absent_reason})" if r.absent_reason else "")
        more = "; ".join(p for p in (flags_of(r), range_of(r), r.status if not r.final else "") if p)
        return f"{name}: {value} {on(r.time, clock=True)}" + (f" ({more})" if more else "") if value else ""
    if isinstance(r, Condition):
        if r.negated:
            return f"{name}: refuted{dated}"
        if r.active_at(moment) is True:
            return f"{name}: {problems.condition_words(r)}"
        ended = f", ended {stamp(r.end)}" if r.end else ""
        status = r.status if r.status != "unknown" else "status not documented"
        return f"{name}: {status}{', since ' + stamp(r.time) if r.time else ''}{ended}"
    if isinstance(r, Medication):
        status = r.status if r.status != "unknown" else "status not documented"
        parts = ["must not be given" if r.forbidden else status]
        parts += [f"{_ROLES[r.role]} {stamp(r.time)}"] if r.time else []
        parts += [f"ended {stamp(r.end)}"] if r.end else []
        parts += [r.dosage, "for " + ", ".join(name_of(c) for c in r.reasons) if r.reasons else "", r.stop_reason]
        return f"{name}: {'; '.join(p for p in parts if p)}"
    if isinstance(r, Allergy):
        reactions = ", ".join(w for x in r.reactions for w in x.manifestations)
        if r.verification == "refuted":
            return f"Allergy, {name}: refuted"
        if r.negated:
            return f"The record states: {name}"
        over = r.status if r.status in ("resolved", "inactive") else ""
        parts = [p for p in (over, r.verification, r.criticality and f"criticality {r.criticality}", reactions) if p]
        return f"Allergy, {name}: {'; '.join(parts) or r.status}"
    if isinstance(r, Encounter | Procedure | Report | Note | Immunization):
        return events.describe(r).text
    if isinstance(r, Order):
        word = "Must not be done" if r.forbidden else "Planned" if r.intent in ("plan", "proposal") else "Ordered"
        return f"{word} ({r.status}): {name}{dated}"
    if isinstance(r, Plan):
        return f"Plan ({r.status}): {name}" + (f": {'; '.join(r.activities)}" if r.activities else "")
    if isinstance(r, FamilyHistory):
        return f"Family history, {name}: {', '.join(name_of(c) for c in r.conditions)}" if r.conditions else ""
    return ""


def _passages(text: str) -> list[str]:
    """A text in pieces of whole words, each on one line."""
    words, found, line = text.split(), [], ""
    for word in words:
        if line and len(line) + len(word) + 1 > PASSAGE:
            found.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return [*found, line] if line else found
