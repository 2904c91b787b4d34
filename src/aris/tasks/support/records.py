"""Facts of a patient's timeline, for holding statements against them."""

from __future__ import annotations

from collections.abc import Iterator

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
    Plan,
    Procedure,
    Record,
    Report,
    Timeline,
    When,
    parse_when,
)
from aris.records.units import quantity_name
from aris.tasks.support.facts import About, Day, Evidence, Fact, State, Value, by_id
from aris.tasks.support.names import allergy_names, drug_names, problem_names, test_names
from aris.tasks.support.quantities import dates, numbers


def evidence_of(timeline: Timeline) -> Evidence:
    """The facts of a timeline as they stand at its moment, with the patient and what was kept out of it."""
    facts = [fact for record in timeline.records for fact in facts_of(record, timeline)]
    excluded: dict[str, tuple[str, tuple[Fact, ...]]] = {}
    kept = {record.id for record in timeline.records}
    for each in timeline.excluded:
        if each.record.id not in kept:
            excluded[each.record.id] = (each.reason, tuple(facts_of(each.record, timeline)))
    person = timeline.patient
    times = [record.time.start for record in timeline.records if record.time is not None]
    about = About(
        name=person.name,
        gender=person.gender,
        born=_day(person.birth),
        died=_day(person.death),
        dead=person.deceased is True,
        last=timeline.moment or max(times, default=None),
    )
    found = by_id(facts)
    if person.id and person.id not in found:
        found[person.id] = ()
    return Evidence(found, excluded, about)


def facts_of(record: Record, timeline: Timeline) -> Iterator[Fact]:
    """Yield the facts that one record states."""
    name = record.concept.text
    days = (*_days(record.time), *_days(record.known))
    until = _day(record.end)
    codes = tuple(coding.display for coding in record.concept.codings if coding.display and coding.display != name)
    moment = timeline.moment
    text = "\n".join(record.notes)
    if isinstance(record, Medication):
        current = record.current_at(moment)
        state: State = "event" if record.role in ("administration", "dispense") else _state(current)
        if record.intent in ("proposal", "plan", "option") or record.status in ("draft", "intended"):
            state = "planned"
        told = "\n".join((name, *codes, record.dosage))
        values = _values_in(told)
        if record.dose is not None and record.dose.value is not None:
            values = (*values, Value(record.dose.value, record.dose.unit))
        names = [
            each for full in (name, *codes, *(each.text for each in record.ingredients)) for each in drug_names(full)
        ]
        reasons = [each.text for each in record.reasons]
        yield Fact(
            id=record.id, kind="medication", name=name, aliases=(*codes, *names), values=values, days=days, until=until,
            state=state, negated=record.negated,
            text=_lines(record.dosage, record.route, *reasons, record.stop_reason, text),
        )  # fmt: skip
    elif isinstance(record, Condition):
        state = _state(record.active_at(moment))
        names = [each for full in (name, *codes) for each in problem_names(full)]
        yield Fact(
            id=record.id, kind="problem", name=name, aliases=(*codes, *names), days=days, until=until, state=state,
            negated=record.negated, values=_values_in("\n".join((name, record.onset_text))),
            text=_lines(record.severity, record.stage, *record.sites, record.onset_text, record.end_text,
                        record.verification, text),
        )  # fmt: skip
    elif isinstance(record, Allergy):
        reactions = [
            word for each in record.reactions for word in (*each.manifestations, each.severity, each.substance)
        ]
        names = [each for full in (name, *codes) for each in allergy_names(full)]
        yield Fact(
            id=record.id, kind="allergy", name=name, aliases=(*codes, *names), days=days, until=until,
            state="over" if record.status in ("resolved", "inactive") else "active", negated=record.negated,
            text=_lines(record.type, record.criticality, *reactions, *record.categories, text),
        )  # fmt: skip
    elif isinstance(record, Measurement):
        names = [each for full in (name, *codes) for each in test_names(full)]
        loinc = record.loinc
        if loinc and (quantity := quantity_name(loinc)):
            names.append(quantity)
        if record.panel:
            names.append(record.panel)
        measured: tuple[Value, ...] = ()
        if record.value is not None:
            measured = (Value(record.value, record.unit, record.normal_value, record.normal_unit),)
        bounds = record.range
        said = _lines(record.said, record.coded.text if record.coded else "", record.absent_reason, record.panel, text)
        yield Fact(
            id=record.id, kind="measurement", name=name, aliases=(*codes, *names), days=days, until=until,
            values=measured or _values_in(said), state="event", negated=record.negated, text=said, loinc=loinc,
            low=None if bounds is None else bounds.low, high=None if bounds is None else bounds.high,
            flags=record.interpretation,
        )  # fmt: skip
    elif isinstance(record, FamilyHistory):
        for concept in record.conditions or (record.concept,):
            yield Fact(id=record.id, kind="family", name=concept.text, aliases=problem_names(concept.text), days=days,
                       text=_lines(name, text))  # fmt: skip
    elif isinstance(record, (Report, Note)):
        words = _lines(record.text, *(each.text for each in getattr(record, "conclusions", ())), text)
        yield Fact(
            id=record.id, kind="text", name=name, aliases=(*codes, *test_names(name)), days=days, until=until,
            text=words, values=_values_in(words), state="event",
        )  # fmt: skip
        for id in getattr(record, "results", ()):
            for result in timeline.find(id):
                for fact in facts_of(result, timeline):
                    yield Fact(**{**{slot: getattr(fact, slot) for slot in Fact.__slots__}, "id": record.id})
    else:
        yield from _others(record, name, codes, days, until, text)


def _others(
    record: Record, name: str, codes: tuple[str, ...], days: tuple[Day, ...], until: Day | None, text: str
) -> Iterator[Fact]:
    planned = record.status in ("preparation", "planned", "proposed", "draft", "booked", "requested")
    state: State = "planned" if planned or isinstance(record, (Order, Plan)) else "event"
    if record.status in ("not-done", "cancelled", "revoked", "stopped", "aborted") and not isinstance(
        record, Encounter
    ):
        state = "not done"
    words = [each.text for each in getattr(record, "reasons", ())]
    slots = ("outcome", "stop_reason", "dose_number", "discharge", "priority", "setting")
    words += [str(getattr(record, slot, "")) for slot in slots]
    words += [*getattr(record, "sites", ()), *getattr(record, "activities", ()), record.status.replace("-", " ")]
    kind = (
        "procedure"
        if isinstance(record, Procedure)
        else "immunization"
        if isinstance(record, Immunization)
        else "other"
    )
    if isinstance(record, Encounter):
        kind = "encounter"
    names = [each for full in (name, *codes) for each in problem_names(full)]
    yield Fact(
        id=record.id, kind=kind, name=name, aliases=(*codes, *names), days=days, until=until, state=state,  # type: ignore[arg-type]
        negated=record.negated, text=_lines(*words, text), values=_values_in("\n".join((name, *words))),
    )  # fmt: skip


def _values_in(text: str) -> tuple[Value, ...]:
    taken = [(date.start, date.end) for date in dates(text)]
    return tuple(Value(number.value, number.unit) for number in numbers(text, taken))


def _lines(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


def _state(now: bool | None) -> State:
    return "unknown" if now is None else "active" if now else "over"


def _days(when: When | None) -> tuple[Day, ...]:
    """The instants that a time may mean, and the clock as it was written where that is another one in UTC."""
    if when is None:
        return ()
    stated = Day(when.start, when.end)
    local = parse_when(when.text[:16]) if when.exact else None  # the clock as written, without its time zone
    return (stated,) if local is None or local.start == when.start else (stated, Day(local.start, local.end))


def _day(when: When | None) -> Day | None:
    return None if when is None else Day(when.start, when.end)
