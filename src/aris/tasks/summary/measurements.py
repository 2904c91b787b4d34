"""Results laid out by rule: the latest of each test, with the values before it; those that matter first."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from aris.records import Measurement, Timeline
from aris.records.units import quantity_name
from aris.tasks.summary.results import Statement
from aris.tasks.summary.words import (
    flags_of,
    is_abnormal,
    is_critical,
    name_of,
    number,
    on,
    range_of,
    stamp,
    test_name,
    unit_of,
    value_of,
)

NO_RESULTS = "Results are not documented in this record."
RESULTS = 24  # that are shown; abnormal ones always are
EARLIER = 3  # values before the latest
LATELY = timedelta(days=730)
# What a reader expects even where it is normal, in this order.
_CORE = (
    "systolic blood pressure", "heart rate", "respiratory rate", "body temperature", "oxygen saturation", "creatinine",
    "glomerular filtration rate", "urea nitrogen", "potassium", "sodium", "glucose", "haemoglobin A1c", "haemoglobin",
    "leukocytes", "platelets", "international normalised ratio", "C-reactive protein", "lactate", "troponin I",
    "troponin T", "LDL cholesterol", "body weight", "body mass index",
)  # fmt: skip
_RANK = {name: rank for rank, name in enumerate(_CORE)}
_NOT_FINAL = ("preliminary", "amended", "corrected")  # statuses that are told beside a value
_SYSTOLIC, _DIASTOLIC = "systolic blood pressure", "diastolic blood pressure"


@dataclass(frozen=True)
class Series:
    """The values of one test, oldest first; the last is the one that counts.

    Attributes:
        name: of the test.
        values: measurements with a time and a value.
        quantity: its name in the table of LOINC quantities, or `None`.
    """

    name: str
    values: tuple[Measurement, ...]
    quantity: str | None

    @property
    def latest(self) -> Measurement:
        return self.values[-1]

    @property
    def beside(self) -> tuple[Measurement, ...]:
        """Other values of the same time, which the latest does not correct: two formulas of eGFR, two methods."""
        m = self.latest
        if m.status in ("amended", "corrected"):
            return ()
        same = (v for v in self.values[:-1] if v.time == m.time and value_of(v) != value_of(m))
        return tuple({value_of(v): v for v in same}.values())

    @property
    def abnormal(self) -> bool:
        return any(map(is_abnormal, (self.latest, *self.beside)))


def series_of(timeline: Timeline) -> list[Series]:
    """Return the tests of a record with their values, the most important first."""
    groups: dict[tuple[str, str], list[Measurement]] = defaultdict(list)
    for m in timeline.measurements:
        if m.time is not None and value_of(m) and m.status not in ("cancelled", "registered"):
            groups[series_key(m)].append(m)
    found = [
        Series(test_name(values[-1]), tuple(values), quantity_name(values[-1].loinc))
        for values in groups.values()
    ]
    return sorted(found, key=_importance)


def series_key(m: Measurement) -> tuple[str, str]:
    """Return what makes two measurements be of one test: the quantity, else the code or name with its specimen."""
    quantity = quantity_name(m.loinc)
    if quantity is not None:
        return "quantity", quantity
    code = m.concept.codings[0].code if m.concept.codings else ""
    # A specimen that is known by its id alone is another one for each draw, and says nothing of its kind.
    specimen = "" if "/" in m.specimen or "#" in m.specimen or m.specimen.startswith("urn:") else m.specimen
    return (code, specimen) if code else (name_of(m.concept).casefold(), specimen)


def _importance(s: Series) -> tuple[int, int, float]:
    m = s.latest
    assert m.time is not None
    first = 0 if any(map(is_critical, (m, *s.beside))) else 1 if s.abnormal else 2 if s.quantity in _RANK else 3
    return first, _RANK.get(s.quantity or "", len(_RANK)), -m.time.start.timestamp()


def abnormal_series(timeline: Timeline) -> list[Series]:
    """Return the tests whose latest value the laboratory flags, or that lies outside its range."""
    return [s for s in series_of(timeline) if s.abnormal]


def results(
    timeline: Timeline, reference: datetime | None, *, start: datetime | None = None, limit: int = RESULTS
) -> list[Statement]:
    """Lay out the results that matter: abnormal ones, then what is expected, then the newest of the rest.

    Args:
        timeline: the record.
        reference: the record's last moment; normal results that are much older are left out.
        start: tell only tests with a value since then (a stay's).
        limit: how many are shown, apart from the abnormal.
    """
    every = series_of(timeline)
    if start is not None:
        every = [s for s in every if s.latest.time is not None and s.latest.time.end >= start]
    paired = {s.latest.id: s for s in every if s.quantity == _DIASTOLIC and s.latest.value is not None}
    merged: set[str] = set()
    chosen: list[tuple[Series, Series | None]] = []
    for s in every:
        m = s.latest
        assert m.time is not None
        new = reference is None or m.time.end >= reference - LATELY
        if not s.abnormal and (not new or len(chosen) >= limit):
            continue
        if s.quantity == _DIASTOLIC and m.id in merged:
            continue
        if s.quantity == _SYSTOLIC and m.value is not None and m.id in paired:
            merged.add(m.id)
            chosen = [c for c in chosen if not (c[0].quantity == _DIASTOLIC and c[0].latest.id == m.id)]
            chosen.append((s, paired[m.id]))
        else:
            chosen.append((s, None))
    found = [_pressure(s, other) if other is not None else describe(s) for s, other in chosen]
    if found:
        return found
    return [Statement(text=NO_RESULTS if not every else "No recent result is documented in this record.")]


def describe(s: Series) -> Statement:
    """Lay out a test: its latest value, flag and range, and the values before it."""
    m = s.latest
    text = f"{s.name}: {_value(m)} {on(m.time, clock=_same_day(s.values))}{_remarks(m)}"
    cites = [m.id]
    for other in s.beside:
        text += f", also {_value(other)} {on(other.time, clock=_same_day(s.values))}{_remarks(other)}"
        cites.append(other.id)
    earlier = _earlier(s)
    if earlier:
        text += f", {_direction(m, earlier[0])} {_trail(m, earlier, _same_day(s.values))}"
        cites += [e.id for e in earlier]
    return Statement(text=text, cites=tuple(dict.fromkeys(cites)))


def _pressure(systolic: Series, diastolic: Series) -> Statement:
    upper, lower = systolic.latest, diastolic.latest
    assert upper.value is not None and lower.value is not None
    both = f"{_bare(upper)}/{_bare(lower)} {unit_of(upper)}".strip()
    flags = [f"{word} {flags_of(m)}" for word, m in (("systolic", upper), ("diastolic", lower)) if flags_of(m)]
    flags += [upper.status] if upper.status in _NOT_FINAL else []
    text = f"Blood pressure: {both} {on(upper.time, clock=_same_day(systolic.values))}"
    text += f" ({', '.join(flags)})" if flags else ""
    cites = [upper.id]
    for word, series in (("systolic", systolic), ("diastolic", diastolic)):
        for other in series.beside:
            text += f", also {word} {_value(other)}{_remarks(other)}"
            cites.append(other.id)
    by_id = {m.id: m for m in diastolic.values}
    clock = _same_day(systolic.values)
    earlier = [
        (m, by_id[m.id])
        for m in reversed(systolic.values[:-1])
        if m.id in by_id and m.id != upper.id and m.value is not None and by_id[m.id].value is not None
        and m.unit == upper.unit
    ][:EARLIER]  # fmt: skip
    if earlier:
        told = [
            f"{_bare(a)}/{_bare(b)} {on(a.time, clock=clock)}" for a, b in earlier
        ]
        text += f"; before that {', '.join(told)}"
        cites += [a.id for a, _ in earlier]
    return Statement(text=text, cites=tuple(dict.fromkeys(cites)))


def _bare(m: Measurement) -> str:
    """The number with its comparator, without its unit."""
    return f"{m.comparator}{number(m.value)}" if m.value is not None else value_of(m)


def _value(m: Measurement) -> str:
    unknown = m.value is not None and m.unit_problem and m.unit
    return value_of(m) + (" (a unit that is not known)" if unknown else "")


def _remarks(m: Measurement) -> str:
    parts = [flags_of(m), range_of(m)]
    if m.status in _NOT_FINAL:
        parts.append(m.status)
    said = "; ".join(p for p in parts if p)
    return f" ({said})" if said else ""


def _earlier(s: Series) -> list[Measurement]:
    """The values before the latest that can be held against it, newest first; at most `EARLIER`."""
    m = s.latest
    if m.value is None or m.comparator:
        same = [e for e in reversed(s.values[:-1]) if e.time != m.time]
        return [] if m.value is not None or not same else same[:1]
    found = [
        e
        for e in reversed(s.values[:-1])
        if e.value is not None and not e.comparator and e.time != m.time and _comparable(e, m)
    ]
    return found[:EARLIER]


def _comparable(e: Measurement, m: Measurement) -> bool:
    if e.unit == m.unit:
        return True
    return e.normal_value is not None and m.normal_value is not None and e.normal_unit == m.normal_unit


def _direction(m: Measurement, before: Measurement) -> str:
    """"rose from", "fell from" or "unchanged from", by the normalised values where the units differ."""
    if m.value is None or before.value is None:
        return "before that"
    same = m.unit == before.unit
    new = m.value if same else m.normal_value
    old = before.value if same else before.normal_value
    assert new is not None and old is not None
    if number(new) == number(old):
        return "unchanged from"
    return "rose from" if new > old else "fell from"


def _trail(m: Measurement, earlier: list[Measurement], clock: bool) -> str:
    told = []
    for e in earlier:
        bare = e.value is not None and e.unit == m.unit
        shown = number(e.value) if bare and e.value is not None else value_of(e)
        told.append(f"{shown} {on(e.time, clock=clock)}")
    return "; before that ".join([told[0], ", ".join(told[1:])]) if len(told) > 1 else told[0]


def _same_day(values: tuple[Measurement, ...]) -> bool:
    """Return whether the last values need the time of day to be told apart."""
    days = [stamp(v.time) for v in values[-1 - EARLIER :] if v.time is not None]
    return len(set(days)) < len(days)
