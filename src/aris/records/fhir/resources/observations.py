"""Observations: each value, with its unit as written and in the unit that Aris compares in, is a measurement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aris.records.fhir.resources.common import NAMELESS, common
from aris.records.fhir.resources.fields import Fields, Resource, one_line
from aris.records.types import LOINC, Concept, Measurement, Quantity, Record, ReferenceRange
from aris.records.units import Normal, normalise
from aris.records.when import When

_VALUES = (
    "valueQuantity", "valueCodeableConcept", "valueString", "valueBoolean", "valueInteger", "valueRange", "valueRatio",
    "valueSampledData", "valueTime", "valueDateTime", "valuePeriod",
)  # fmt: skip
# How many make a year, by UCUM and in words.
_A_YEAR = {
    "a": 1.0, "a_j": 1.0, "yr": 1.0, "year": 1.0, "years": 1.0, "mo": 12.0, "mo_j": 12.0, "month": 12.0, "months": 12.0,
    "wk": 52.18, "week": 52.18, "weeks": 52.18, "d": 365.25, "day": 365.25, "days": 365.25,
}  # fmt: skip
_SEXES = {
    "female": {"female", "females", "woman", "women", "f", "248152002"},
    "male": {"male", "males", "man", "men", "m", "248153007"},
}
_SPECIAL = ("treatment", "therapeutic", "pre", "post", "luteal", "follicular", "midcycle", "postmeno", "endocrine")


@dataclass(slots=True)
class _Value:
    """Content of value[x]."""

    value: float | None = None
    comparator: str = ""
    unit: str = ""
    unit_text: str = ""
    said: str = ""
    coded: Concept | None = None


def observation(f: Fields, r: Resource) -> Iterator[Record]:
    """Read an Observation: one measurement for its own value, one for each component."""
    start, end = f.span(r, "effective")
    issued = f.when(r, "issued")
    concept = f.concept(r, "code")
    shared = common(f, r, concept, time=start, end=end, known=issued)
    method, site = f.concept(r, "method"), f.concept(r, "bodySite")
    about = {
        "specimen": f.name_of(r, "specimen"),
        "method": method.text if method else "",
        "site": site.text if site else "",
    }
    components = list(f.objects(r, "component")) if "component" in r else []
    absent = f.concept(r, "dataAbsentReason")
    if any(name in r for name in _VALUES) or absent is not None or not (components or "hasMember" in r):
        yield _measurement(f, r, shared, about, component=None, panel="")
    panel = concept.text if concept else ""
    for number, each in enumerate(components):
        own = {**shared, "concept": f.concept(each, "code") or NAMELESS}
        yield _measurement(f, each, own, about, component=number, panel=panel)


def _measurement(
    f: Fields, r: Resource, shared: dict[str, object], about: dict[str, str], *, component: int | None, panel: str
) -> Measurement:
    read = _value(f, r)
    concept = shared["concept"]
    assert isinstance(concept, Concept)
    loinc = concept.code(LOINC)
    normal = normalise(loinc, read.value, read.unit) if read.value is not None else Normal(None, "", "")
    reason = f.concept(r, "dataAbsentReason")
    absent = (reason.codings[0].code if reason and reason.codings else reason.text if reason else "") or next(
        (why for name in _VALUES if "_" + name in r and (why := f.absence(r, name))), ""
    )
    given = f.concepts(r, "interpretation") if "interpretation" in r else ()
    flags = tuple(c.codings[0].code if c.codings and c.codings[0].code else c.text for c in given)
    return Measurement(
        **shared,  # type: ignore[arg-type]
        **about,  # type: ignore[arg-type]
        value=read.value,
        comparator=read.comparator,
        unit=read.unit,
        unit_text=read.unit_text,
        normal_value=normal.value,
        normal_unit=normal.unit,
        unit_problem=normal.problem,
        said=read.said,
        coded=read.coded,
        absent_reason=absent,
        interpretation=flags,
        range=_range(f, r, loinc, read.unit, shared),
        component=component,
        panel=panel,
    )


def _value(f: Fields, r: Resource) -> _Value:
    for name in _VALUES:
        if name not in r:
            continue
        given = r[name]
        if name == "valueQuantity":
            return _quantity(f, r)
        if name == "valueCodeableConcept":
            coded = f.concept(r, name)
            return _Value(coded=coded, said=coded.text if coded else "")
        if name == "valueInteger":
            return _Value(value=f.number(given, name), unit="")
        if name == "valueBoolean" and isinstance(given, bool):
            return _Value(said="true" if given else "false")
        if name in ("valueString", "valueTime", "valueDateTime"):
            return _Value(said=f.text(r, name))
        if name == "valueRange":
            part = f.object(r, name)
            return _Value(said=_between(f.quantity(part, "low"), f.quantity(part, "high")))
        if name == "valueRatio":
            part = f.object(r, name)
            over = [f.quantity(part, end) for end in ("numerator", "denominator")]
            shown = [_shown(q) for q in over if q is not None and q.value is not None]
            return _Value(said=":".join(shown))
        if name == "valuePeriod":
            start, end = f.period(r, name)
            return _Value(said=f"{start or 'unknown'} to {end or 'unknown'}")
        if name == "valueSampledData":
            return _Value(said="a series of samples, which is not read")
        f.odd(f"{name} is of another type; it was not read")
        return _Value()
    return _Value()


def _quantity(f: Fields, r: Resource) -> _Value:
    given = f.object(r, "valueQuantity")
    unit, shown = f.unit(given)
    value = given.get("value")
    if isinstance(value, str):
        f.odd("valueQuantity.value is text and no number; it is shown as text")
        return _Value(said=one_line(f"{value} {shown or unit}"))
    comparator = f.text(given, "comparator")
    if comparator and comparator not in ("<", "<=", ">=", ">"):
        f.odd("valueQuantity has a comparator that FHIR does not know; the number is shown as text")
        return _Value(said=one_line(f"{comparator} {value} {shown or unit}"))
    return _Value(f.number(value, "valueQuantity"), comparator, unit, shown)


def _range(
    f: Fields, r: Resource, loinc: str | None, unit: str, shared: dict[str, object]
) -> ReferenceRange | None:
    """The range that a value is held against: the one that is "normal" or says of no kind, and fits the patient."""
    if "referenceRange" not in r:
        return None
    plain, texts = [], []
    for each in f.objects(r, "referenceRange"):
        kind = f.concept(each, "type")
        code = kind.codings[0].code if kind and kind.codings else kind.text if kind else ""
        text = f.text(each, "text")
        texts.append(f"{kind.text}: {text}" if kind and text else text)
        if code.lower() not in _SPECIAL:
            plain.append(each)
    own = [each for each in plain if _fits(f, each, shared)]
    if plain and not own:
        f.odd("its reference range is for others than this patient, or it is not known for whom; none was chosen")
    # One that names the patient's sex or age goes before one that names none.
    meant = [each for each in own if "age" in each or "appliesTo" in each]
    plain = meant or own
    if len(plain) != 1:
        if len(plain) > 1:
            f.odd("it has several reference ranges; none was chosen")
        said = "; ".join(t for t in texts if t)
        return ReferenceRange(text=said) if said else None
    low, high = f.quantity(plain[0], "low"), f.quantity(plain[0], "high")
    bounds = [_bound(f, q, loinc, unit) for q in (low, high)]
    return ReferenceRange(
        low=bounds[0][0], high=bounds[1][0], text=f.text(plain[0], "text"),
        normal_low=bounds[0][1], normal_high=bounds[1][1],
    )  # fmt: skip


def _fits(f: Fields, given: Resource, shared: dict[str, object]) -> bool | None:
    """Tell whether a range is for the patient, by age and sex; None where it cannot be told."""
    if "age" not in given and "appliesTo" not in given:
        return True
    person, time = f.people.get(str(shared["patient"])), shared["time"]
    if "age" in given:
        age = person.age_at(time.start) if person is not None and isinstance(time, When) else None
        ends = f.object(given, "age")
        low, high = (_years(f.quantity(ends, name)) for name in ("low", "high"))
        if age is None or (low is None and high is None):
            return None
        if (low is not None and age < low) or (high is not None and age >= high + (high == int(high))):
            return False
    for each in f.concepts(given, "appliesTo"):
        said = {each.text.lower(), *(c.code.lower() for c in each.codings), *(c.display.lower() for c in each.codings)}
        sexes = {sex for sex, words in _SEXES.items() if said & words}
        if len(sexes) != 1 or person is None or person.gender not in _SEXES:
            return None
        if person.gender not in sexes:
            return False
    return True


def _years(bound: Quantity | None) -> float | None:
    if bound is None or bound.value is None:
        return None
    share = _A_YEAR.get(bound.unit)
    return None if share is None else bound.value / share


def _bound(f: Fields, bound: Quantity | None, loinc: str | None, unit: str) -> tuple[float | None, float | None]:
    """A bound as written and normalised. Without a unit it is in the value's; in another one it is not taken as is."""
    if bound is None or bound.value is None:
        return None, None
    normal = normalise(loinc, bound.value, bound.unit or unit)
    if bound.unit and unit and bound.unit != unit:
        own = normalise(loinc, 1.0, unit)
        if normal.value is None or own.value is None or normal.unit != own.unit:
            f.odd("a reference range is in another unit than its value; it was not read")
            return None, None
        if not own.value:
            return None, normal.value
        zero = normalise(loinc, 0.0, unit).value or 0.0
        return (normal.value - zero) / (own.value - zero), normal.value
    return bound.value, normal.value


def _shown(q: Quantity) -> str:
    return f"{q.comparator}{q.value:g} {q.unit}".strip()


def _between(low: Quantity | None, high: Quantity | None) -> str:
    parts = [_shown(q) for q in (low, high) if q is not None and q.value is not None]
    if len(parts) == 2:
        return " to ".join(parts)
    return f"{'at least' if low and low.value is not None else 'at most'} {parts[0]}" if parts else ""
