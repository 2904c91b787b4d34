"""Encounters, conditions, allergies, procedures, immunisations and family history."""

from __future__ import annotations

from collections.abc import Iterator

from aris.records.fhir.resources.common import common
from aris.records.fhir.resources.fields import Fields, Resource, one_line
from aris.records.types import (
    Allergy,
    Concept,
    Condition,
    Encounter,
    FamilyHistory,
    Immunization,
    Procedure,
    Reaction,
    Record,
)
from aris.records.when import When


def encounter(f: Fields, r: Resource) -> Iterator[Record]:
    """Read an Encounter."""
    start, end = f.period(r, "period")
    types = f.concepts(r, "type")
    setting = f.text(f.object(r, "class"), "code")
    stay = f.object(r, "hospitalization")
    discharge = f.concept(stay, "dischargeDisposition")
    reasons = f.concepts(r, "reasonCode")
    diagnoses = tuple(d for each in f.objects(r, "diagnosis") if (d := f.reference(each, "condition")))
    name = types[0] if types else f.as_concept(f.object(r, "class"), "class") or Concept("Encounter")
    yield Encounter(
        **common(f, r, name, time=start, end=end),
        setting=setting,
        reasons=reasons,
        diagnoses=diagnoses,
        discharge=discharge.text if discharge else f.name_of(stay, "destination"),
    )


def condition(f: Fields, r: Resource) -> Iterator[Record]:
    """Read a Condition."""
    start, start_words = _onset(f, r, "onset")
    end, end_words = _onset(f, r, "abatement")
    clinical, verification = f.concept(r, "clinicalStatus"), f.concept(r, "verificationStatus")
    severity = f.concept(r, "severity")
    stages = [s.text for each in f.objects(r, "stage") if (s := f.concept(each, "summary"))]
    if start and end and end.end < start.start:
        f.odd("it ends before it begins")
    yield Condition(
        **common(
            f, r, f.concept(r, "code"), time=start, end=end, known=f.when(r, "recordedDate"), status=_code(clinical)
        ),
        verification=_code(verification, ""),
        severity=severity.text if severity else "",
        onset_text=start_words,
        end_text=end_words,
        abated=end is not None or bool(end_words),
        sites=tuple(c.text for c in f.concepts(r, "bodySite")),
        stage="; ".join(stages),
    )


def allergy(f: Fields, r: Resource) -> Iterator[Record]:
    """Read an AllergyIntolerance."""
    start, _ = _onset(f, r, "onset")
    reactions, substance = [], None
    for each in f.objects(r, "reaction"):
        named = f.concept(each, "substance")
        substance = substance or named
        reactions.append(
            Reaction(
                tuple(c.text for c in f.concepts(each, "manifestation")),
                f.text(each, "severity"),
                named.text if named else "",
            )
        )
    yield Allergy(
        **common(
            f, r, f.concept(r, "code") or substance, time=start, known=f.when(r, "recordedDate"),
            status=_code(f.concept(r, "clinicalStatus")),
        ),
        verification=_code(f.concept(r, "verificationStatus"), ""),
        type=f.text(r, "type"),
        criticality=f.text(r, "criticality"),
        reactions=tuple(reactions),
    )  # fmt: skip


def procedure(f: Fields, r: Resource) -> Iterator[Record]:
    """Read a Procedure."""
    start, end = f.span(r, "performed")
    words = f.text(r, "performedString")
    outcome, reason = f.concept(r, "outcome"), f.concept(r, "statusReason")
    given = common(f, r, f.concept(r, "code"), time=start, end=end)
    if words:
        given["notes"] = (f"performed: {words}", *given["notes"])
    yield Procedure(
        **given,
        reasons=f.concepts(r, "reasonCode"),
        outcome=outcome.text if outcome else "",
        sites=tuple(c.text for c in f.concepts(r, "bodySite")),
        reports=f.references(r, "report"),
        stop_reason=reason.text if reason else "",
    )


def immunization(f: Fields, r: Resource) -> Iterator[Record]:
    """Read an Immunization."""
    time = f.when(r, "occurrenceDateTime")
    words = f.text(r, "occurrenceString")
    dose = ""
    for each in f.objects(r, "protocolApplied"):
        number = each.get("doseNumberPositiveInt", each.get("doseNumberString"))
        if isinstance(number, int | str) and not isinstance(number, bool):
            dose = one_line(str(number))
    reason = f.concept(r, "statusReason")
    given = common(f, r, f.concept(r, "vaccineCode"), time=time, known=f.when(r, "recorded"))
    if words:
        given["notes"] = (f"given: {words}", *given["notes"])
    yield Immunization(**given, dose_number=dose, stop_reason=reason.text if reason else "")


def family_history(f: Fields, r: Resource) -> Iterator[Record]:
    """Read a FamilyMemberHistory."""
    found = (f.concept(each, "code") for each in f.objects(r, "condition"))
    conditions = tuple(c for c in found if c is not None)
    relationship = f.concept(r, "relationship") or Concept("relative")
    yield FamilyHistory(**common(f, r, relationship, known=f.when(r, "date")), conditions=conditions)


def _onset(f: Fields, r: Resource, stem: str) -> tuple[When | None, str]:
    """(the time, the words) of an onset or abatement, which may be a time, an age, a range or words."""
    time, _ = f.span(r, stem)
    if time is not None:
        return time, ""
    words = f.text(r, stem + "String")
    if stem + "Age" in r:
        age = f.quantity(r, stem + "Age")
        if age and age.value is not None:
            words = f"age {age.value:g} {age.unit}".strip()
    elif stem + "Range" in r:
        given = f.object(r, stem + "Range")
        low, high = f.quantity(given, "low"), f.quantity(given, "high")
        parts = [f"{q.value:g}" for q in (low, high) if q and q.value is not None]
        unit = (low or high).unit if (low or high) else ""  # type: ignore[union-attr]
        words = f"age {' to '.join(parts)} {unit}".strip() if parts else ""
    elif r.get(stem + "Boolean") is True:
        words = "yes, at a time that is not documented"
    return None, words


def _code(concept: Concept | None, empty: str = "unknown") -> str:
    if concept is None:
        return empty
    code = concept.codings[0].code if concept.codings else concept.text
    return code.lower() or empty
