"""Medication requests, statements, administrations and dispenses, and the drugs that they name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

from aris.records.fhir.resources.common import common
from aris.records.fhir.resources.fields import Fields, Resource
from aris.records.types import Concept, Medication, Quantity, Record
from aris.records.when import When

Role = Literal["request", "statement", "administration", "dispense"]
Lookup = Callable[[str], Resource | None]


def medication(f: Fields, r: Resource, look_up: Lookup, role: Role) -> Iterator[Record]:
    """Read a MedicationRequest, MedicationStatement, MedicationAdministration or MedicationDispense.

    Args:
        f: reads the fields.
        r: the resource.
        look_up: gives the resource with an id, to follow a reference to a Medication.
        role: which of the four it is.
    """
    concept, ingredients = _drug(f, r, look_up)
    name = {"request": "dosageInstruction", "dispense": "dosageInstruction"}.get(role, "dosage")
    dosages = [f.object(r, "dosage")] if role == "administration" else list(f.objects(r, name))
    dosages = [each for each in dosages if each]
    said = [_dosage(f, each) for each in dosages]
    start, end, known = _times(f, r, role, dosages)
    given = common(f, r, concept, time=start, end=end, known=known)
    name = "statusReasonCodeableConcept" if role == "dispense" else "statusReason"
    listed = f.concepts(r, name) if isinstance(r.get(name), list) else ()
    reason = listed[0] if listed else None if isinstance(r.get(name), list) else f.concept(r, name)
    route = next((c for each in dosages if (c := f.concept(each, "route"))), None)
    as_needed = [_as_needed(f, each) for each in dosages]
    forbidden = r.get("doNotPerform")
    yield Medication(
        **given,
        role=role,
        intent=f.text(r, "intent"),
        dosage="; then ".join(d for d in said if d),
        dose=next((q for each in dosages if (q := _dose(f, each))), None),
        route=route.text if route else "",
        as_needed=True if True in as_needed else False if False in as_needed else None,
        reasons=f.concepts(r, "reasonCode"),
        stop_reason=reason.text if reason else "",
        forbidden=forbidden is True,
        ingredients=ingredients,
    )


def readers(look_up: Lookup) -> dict[str, Callable[[Fields, Resource], Iterator[Record]]]:
    """The readers of the four types by their names."""
    roles: dict[str, Role] = {
        "MedicationRequest": "request",
        "MedicationStatement": "statement",
        "MedicationAdministration": "administration",
        "MedicationDispense": "dispense",
    }
    return {name: partial(medication, look_up=look_up, role=role) for name, role in roles.items()}


def _drug(f: Fields, r: Resource, look_up: Lookup) -> tuple[Concept | None, tuple[Concept, ...]]:
    """The drug's concept, from the resource or the Medication that it refers to, and its ingredients."""
    concept = f.concept(r, "medicationCodeableConcept")
    if "medicationReference" not in r:
        return concept, ()
    target = f.reference(r, "medicationReference")
    found = look_up(target)
    shown = r["medicationReference"].get("display") if isinstance(r["medicationReference"], dict) else None
    if found is None:
        if not (isinstance(shown, str) and shown.strip()):
            f.odd("its drug is named in another resource that is not here")
            return concept, ()
        return concept or f.as_concept({"text": shown}, "medicationReference"), ()
    ingredients: list[Concept] = []
    for each in f.objects(found, "ingredient"):
        item = f.concept(each, "itemCodeableConcept")
        if item is None and isinstance(each.get("itemReference"), dict):
            inner = look_up(f.reference(each, "itemReference"))
            item = f.concept(inner, "code") if inner is not None else None
            if item is None and isinstance(each["itemReference"].get("display"), str):
                item = f.as_concept({"text": each["itemReference"]["display"]}, "ingredient")
        if item is not None:
            ingredients.append(item)
    named = f.concept(found, "code") or concept
    if named is None and isinstance(shown, str):
        named = f.as_concept({"text": shown}, "medicationReference")
    if named is None and ingredients:
        named = f.as_concept({"text": " + ".join(i.text for i in ingredients)}, "ingredient")
    return named, tuple(ingredients)


def _times(
    f: Fields, r: Resource, role: Role, dosages: list[Resource]
) -> tuple[When | None, When | None, When | None]:
    """(begin, end, when the record learned of it)."""
    if role == "statement":
        start, end = f.span(r, "effective")
        return start, end, f.when(r, "dateAsserted")
    if role == "administration":
        start, end = f.span(r, "effective")
        return start, end, None
    if role == "dispense":
        return f.when(r, "whenHandedOver") or f.when(r, "whenPrepared"), None, None
    authored = f.when(r, "authoredOn")
    start = end = None
    for each in dosages:
        first, last = f.timing(f.object(each, "timing"))
        start, end = start or first, last or end
    # dispenseRequest.validityPeriod is until when a pharmacy may hand it out, not until when it is taken.
    return start or authored, end, authored


def _dose(f: Fields, dosage: Resource) -> Quantity | None:
    if "dose" in dosage:  # an administration's
        return f.quantity(dosage, "dose")
    for each in f.objects(dosage, "doseAndRate"):
        found = f.quantity(each, "doseQuantity")
        if found is not None:
            return found
    return None


def _as_needed(f: Fields, dosage: Resource) -> bool | None:
    if f.concept(dosage, "asNeededCodeableConcept") is not None:
        return True
    value = dosage.get("asNeededBoolean")
    return value if isinstance(value, bool) else None


def _dosage(f: Fields, dosage: Resource) -> str:
    """The dosage in words: its own text, else its parts."""
    text = f.text(dosage, "text")
    if text:
        return text
    parts = []
    dose = _dose(f, dosage)
    if dose is not None and dose.value is not None:
        parts.append(f"{dose.value:g} {_plain_unit(dose.unit)}".strip())
    for each in f.objects(dosage, "doseAndRate"):
        low, high = (f.quantity(f.object(each, "doseRange"), end) for end in ("low", "high"))
        values = [f"{q.value:g}" for q in (low, high) if q and q.value is not None]
        if values:
            unit = next(q.unit for q in (low, high) if q)
            parts.append(f"{' to '.join(values)} {_plain_unit(unit)}".strip())
        rate = f.quantity(each, "rateQuantity")
        if rate is not None and rate.value is not None:
            parts.append(f"at {rate.value:g} {rate.unit}".strip())
    route = f.concept(dosage, "route")
    if route is not None:
        parts.append(route.text)
    parts.append(_frequency(f, f.object(dosage, "timing")))
    if _as_needed(f, dosage):
        reason = f.concept(dosage, "asNeededCodeableConcept")
        parts.append(f"as needed for {reason.text}" if reason else "as needed")
    parts += [c.text for c in f.concepts(dosage, "additionalInstruction")]
    parts.append(f.text(dosage, "patientInstruction"))
    return ", ".join(p for p in parts if p)


def _plain_unit(unit: str) -> str:
    return unit.strip("{}") if unit.startswith("{") and unit.endswith("}") else unit


_PERIODS = {"s": "second", "min": "minute", "h": "hour", "d": "day", "wk": "week", "mo": "month", "a": "year"}


def _frequency(f: Fields, timing: Resource) -> str:
    """Return a frequency in words: "2 times every 1 day" as "2 times a day"."""
    code = f.concept(timing, "code")
    if code is not None:
        return code.text
    repeat = f.object(timing, "repeat")
    times, period = f.number(repeat.get("frequency", 1), "frequency"), f.number(repeat.get("period"), "period")
    unit = _PERIODS.get(f.text(repeat, "periodUnit"), "")
    if times is None or period is None or not unit:
        events = repeat.get("when")
        return ", ".join(e for e in events if isinstance(e, str)) if isinstance(events, list) else ""
    often = "once" if times == 1 else f"{times:g} times"
    return f"{often} a {unit}" if period == 1 else f"{often} every {period:g} {unit}s"
