"""A timeline as rules look at it: quantities in their own units, each known from one moment until another.

A result counts from when it was known (issued), until the version that supersedes or withdraws it. So a moment of the
past can be judged by what was known then, and a replay needs no second reading of the record.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TypeVar

from aris.records import (
    Allergy,
    Condition,
    Measurement,
    Medication,
    Note,
    Order,
    Patient,
    Procedure,
    Record,
    Report,
    Timeline,
)
from aris.records.scores import ckd_epi_2021
from aris.records.scores.formulas import mean_arterial_pressure
from aris.records.units import analytes_by_code, normalise
from aris.tasks.monitor.vocabulary import Measured, Vocabulary, says, vocabulary

R = TypeVar("R", bound=Record)
Ranged = tuple[datetime, datetime, datetime, Measurement]
EGFR = "egfr"
_FOREVER = datetime.max.replace(tzinfo=UTC)
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Value:
    """A result of one quantity.

    Attributes:
        at: when it was so; of a date alone, its beginning.
        known: from when the record knew of it.
        until: when it was superseded or withdrawn.
        value: in the unit of the vocabulary.
        id: the resource that states it.
        name: of the quantity.
        shown: the value as it was written, with its unit.
        comparator: "<", "<=", ">=", ">" or "".
        low, high: the laboratory's own range, in the same unit.
        plausible: whether a living patient can have it.
        start: of a collection, as of urine; None of a moment.
        code: LOINC's, of the test that gave it.
        marks: the laboratory's own ("H", "HH").
    """

    at: datetime
    known: datetime
    until: datetime
    value: float
    id: str
    name: str
    shown: str
    comparator: str = ""
    low: float | None = None
    high: float | None = None
    plausible: bool = True
    start: datetime | None = None
    code: str = ""
    marks: tuple[str, ...] = ()

    def at_least(self, limit: float) -> bool:
        """Tell whether it certainly is as high."""
        return not self.comparator.startswith("<") and self.value >= limit - 1e-9

    def above(self, limit: float) -> bool:
        """Tell whether it certainly is higher."""
        if self.comparator.startswith("<"):
            return False
        return self.value > limit + 1e-9 or (self.comparator == ">" and self.value >= limit - 1e-9)

    def at_most(self, limit: float) -> bool:
        """Tell whether it certainly is as low."""
        return not self.comparator.startswith(">") and self.value <= limit + 1e-9

    def below(self, limit: float) -> bool:
        """Tell whether it certainly is lower."""
        if self.comparator.startswith(">"):
            return False
        return self.value < limit - 1e-9 or (self.comparator == "<" and self.value <= limit + 1e-9)


@dataclass(frozen=True, slots=True)
class Word:
    """A finding in words: what it says, from when, and the resource."""

    at: datetime
    known: datetime
    until: datetime
    text: str
    id: str


class Facts:
    """Facts of a timeline, ready for rules.

    Attributes:
        timeline, patient: the record.
        unread: measurements whose number cannot be compared, as (id, why).
        moments: at which the record learned something, in order.
        changes: by moment, the quantities and the kinds of records that changed then.
        has_versions: whether anything was superseded or withdrawn.
    """

    def __init__(self, timeline: Timeline, words: Vocabulary | None = None) -> None:
        self.timeline = timeline
        self.patient: Patient = timeline.patient
        self.vocabulary = words or vocabulary()
        self.unread: list[tuple[str, str]] = []
        values: dict[str, list[Value]] = defaultdict(list)
        findings: dict[str, list[Word]] = defaultdict(list)
        self._kinds: dict[type[Record], list[tuple[datetime, datetime, Record]]] = defaultdict(list)
        changes: dict[datetime, set[str]] = defaultdict(set)
        self.has_versions = False
        ranged: list[Ranged] = []
        for record, until in _with_ends(timeline):
            known = _known(record)
            if known is None:
                if isinstance(record, Measurement):
                    self.unread.append((record.id, "its time is not known"))
                    continue
                known = _NEVER
            self.has_versions = self.has_versions or until != _FOREVER
            names = self._names(record)
            for moment in (known, until):
                if moment not in (_NEVER, _FOREVER):
                    changes[moment].update(names)
            self._kinds[type(record)].append((known, until, record))
            if isinstance(record, Measurement) and record.status not in ("cancelled", "registered"):
                self._measure(record, known, until, values, findings)
                if record.time is not None and "vital-signs" not in record.categories:
                    ranged.append((record.time.start, known, until, record))
        self._ranged = _by_test(ranged)
        self.changes: dict[datetime, set[str]] = dict(changes)
        self.moments: tuple[datetime, ...] = tuple(sorted(changes))
        self._values = {name: sorted(each, key=lambda v: v.at) for name, each in values.items()}
        self._ats = {name: [v.at for v in each] for name, each in self._values.items()}
        self._findings = {name: sorted(each, key=lambda w: w.at) for name, each in findings.items()}
        self._derive_egfr()
        self._derive_map()

    def _names(self, record: Record) -> set[str]:
        if not isinstance(record, Measurement):
            return {record.kind}
        name = self.vocabulary.measured(record.concept)
        finding = None if record.value is not None else self.vocabulary.finding(record.concept)
        return {each for each in ("measurement", name, finding) if each is not None}

    def ids_at(self, moment: datetime) -> frozenset[str]:
        """The ids of all resources that stand at a moment."""
        return frozenset(
            record.id for each in self._kinds.values() for known, until, record in each if known <= moment < until
        )

    def at(self, moment: datetime) -> View:
        """The facts as they were known at a moment."""
        return View(self, moment)

    def _measure(
        self, record: Measurement, known: datetime, until: datetime,
        values: dict[str, list[Value]], findings: dict[str, list[Word]],
    ) -> None:  # fmt: skip
        when = record.time or record.known
        assert when is not None  # or it would not be known
        said = record.said or (record.coded.text if record.coded is not None else "")
        if said:
            finding = self.vocabulary.finding(record.concept)
            if finding is not None:
                findings[finding].append(Word(when.start, known, until, said, record.id))
        name = self.vocabulary.measured(record.concept)
        if name is None or record.value is None:
            return
        measured = self.vocabulary.measurements[name]
        number = _in_unit(record, measured, record.value)
        if number is None:
            why = record.unit_problem or f"its unit is not {measured.unit}"
            self.unread.append((record.id, f"{measured.title}: {why}"))
            return
        own = record.range
        low = None if own is None or own.low is None else _in_unit(record, measured, own.low)
        high = None if own is None or own.high is None else _in_unit(record, measured, own.high)
        at, start = when.start, None
        if record.end is not None and record.end.end > at:
            at, start = record.end.end, when.start
        shown = f"{record.comparator}{record.value:g} {record.unit_text or record.unit}".strip()
        values[name].append(
            Value(
                at, known, until, number, record.id, name, shown, record.comparator, low, high,
                measured.takes(number), start, record.loinc or "", record.interpretation,
            )
        )  # fmt: skip

    def _derive_egfr(self) -> None:
        """eGFR: as the laboratory reports it, else by CKD-EPI 2021 from creatinine in adults."""
        found = [replace(each, name=EGFR) for each in self._values.get("egfr_reported", ())]
        reported = {each.at for each in found}
        sex = self.patient.gender
        for each in self._values.get("creatinine", ()):
            if each.at in reported or each.comparator or not each.plausible:
                continue
            score = ckd_epi_2021(each.value, unit="mg/dL", age=self.patient.age_at(each.at), sex=sex)
            if score.value is not None:
                shown = f"{score.value:.0f} mL/min/1.73 m2 (CKD-EPI 2021, from creatinine {each.shown})"
                found.append(replace(each, name=EGFR, value=score.value, shown=shown, low=None, high=None))
        if found:
            found.sort(key=lambda v: v.at)
            self._values[EGFR] = found
            self._ats[EGFR] = [v.at for v in found]

    def _derive_map(self) -> None:
        """Mean arterial pressure, where a cuff's two pressures stand alone: a third of the way up from the lower."""
        known = {each.at for each in self._values.get("map", ())}
        lower = {(each.id, each.at): each for each in self._values.get("diastolic", ())}
        found = list(self._values.get("map", ()))
        for each in self._values.get("systolic", ()):
            below = lower.get((each.id, each.at))
            if below is None or each.at in known or each.comparator or below.comparator or below.value > each.value:
                continue
            mean = mean_arterial_pressure(systolic=each.value, diastolic=below.value)
            shown = f"{mean:.0f} mmHg (from {each.value:g}/{below.value:g})"
            plausible = (each.plausible and below.plausible) or (each.value == below.value == 0)
            found.append(replace(each, name="map", value=mean, shown=shown, low=None, high=None, plausible=plausible))
        if found:
            found.sort(key=lambda v: v.at)
            self._values["map"] = found
            self._ats["map"] = [v.at for v in found]

    def visible(self, name: str, moment: datetime, after: datetime) -> list[Value]:
        """Plausible values of a quantity from `after` to `moment`, as known at the moment, in order of time."""
        ats = self._ats.get(name)
        if not ats:
            return []
        span = self._values[name][bisect_left(ats, after) : bisect_right(ats, moment)]
        return [v for v in span if v.known <= moment < v.until and v.plausible]

    def unlikely(self, name: str, moment: datetime, after: datetime) -> list[Value]:
        """Values of a quantity that no living patient has."""
        return [
            v for v in self._values.get(name, ())
            if not v.plausible and after <= v.at <= moment and v.known <= moment < v.until
        ]  # fmt: skip

    def implausible(self, moment: datetime, after: datetime) -> list[Value]:
        """Values that no living patient has, of all quantities."""
        return [
            v for name, each in self._values.items() if name != EGFR
            for v in each if not v.plausible and after <= v.at <= moment and v.known <= moment < v.until
        ]  # fmt: skip

    def words(self, name: str, moment: datetime, after: datetime) -> list[Word]:
        """Findings in words, likewise."""
        return [w for w in self._findings.get(name, ()) if after <= w.at <= moment and w.known <= moment < w.until]

    def ranged(self, moment: datetime, after: datetime) -> list[Measurement]:
        """The newest result of each test that the laboratory gave a range or a mark for, at some time."""
        found = []
        for each in self._ranged.values():
            for at, known, until, record in reversed(each):
                if at < after:
                    break
                if at <= moment and known <= moment < until:
                    found.append(record)
                    break
        return found

    def of(self, kind: type[Record], moment: datetime) -> list[Record]:
        """The records of a kind as known at a moment."""
        return [record for known, until, record in self._kinds.get(kind, ()) if known <= moment < until]

    def has_any(self, name: str) -> bool:
        """Tell whether the record has any value of a quantity, at any time."""
        return name in self._values

    @cached_property
    def measurements_without_loinc(self) -> int:
        """Count how many numbers have no LOINC code, and so are not watched."""
        return sum(each.value is not None and each.loinc is None for each in self.timeline.measurements)


class View:
    """Facts as they were known at a moment.

    Attributes:
        facts: all.
        now: the moment.
    """

    def __init__(self, facts: Facts, now: datetime) -> None:
        self.facts = facts
        self.now = now
        self._words = facts.vocabulary

    @cached_property
    def age(self) -> float | None:
        """Years, or None where the birth date is not known."""
        return self.facts.patient.age_at(self.now)

    @property
    def sex(self) -> str:
        """The administrative gender: "female", "male", or another word, or ""."""
        return self.facts.patient.gender

    def values(self, name: str, within: timedelta) -> list[Value]:
        """Values of a quantity over the last so long, in order of time."""
        return self.facts.visible(name, self.now, _before(self.now, within))

    def latest(self, name: str, within: timedelta) -> Value | None:
        """The newest of `values`; of several at one moment, the one that was known last."""
        found = self.values(name, within)
        return max(found, key=lambda v: (v.at, v.known)) if found else None

    def doubtful(self, name: str, within: timedelta) -> Value | None:
        """The newest value of a quantity if no living patient has it: it is newer than all that can be judged."""
        found = self.facts.unlikely(name, self.now, _before(self.now, within))
        if not found:
            return None
        newest = max(found, key=lambda v: (v.at, v.known))
        good = self.latest(name, within)
        return newest if good is None or (newest.at, newest.known) > (good.at, good.known) else None

    def word(self, name: str, within: timedelta) -> Word | None:
        """The newest finding in words."""
        found = self.facts.words(name, self.now, _before(self.now, within))
        return found[-1] if found else None

    @cached_property
    def pregnant(self) -> bool:
        """Tell whether the record says that the patient is pregnant now."""
        if self.sex == "male":
            return False
        said = self.word("pregnancy", timedelta(days=280))
        if said is not None:
            worded = self._words.findings["pregnancy"]
            if says(said.text, worded.positive) and not says(said.text, worded.negative):
                return True
        # An answer of before the problem says nothing of it.
        after = max(self.now - timedelta(days=300), _NEVER if said is None else said.at)
        return any(
            said is None if each.time is None else each.time.start > after for each in self.problems("pregnancy")
        )

    @cached_property
    def chronic_dialysis(self) -> bool:
        """Tell whether the patient is on dialysis for good: by the problem list, or by sessions over 90 days."""
        if self.problems("chronic dialysis"):
            return True
        times = [each.time.start for each in self.procedures("dialysis", timedelta(days=365)) if each.time is not None]
        return bool(times) and max(times) - min(times) > timedelta(days=90)

    @cached_property
    def acute_replacement(self) -> list[Procedure]:
        """Dialysis of the last 7 days in a patient who is not on it for good."""
        return [] if self.chronic_dialysis else self.procedures("dialysis", timedelta(days=7))

    def problems(self, name: str) -> list[Condition]:
        """Problems of a class that are active, or of which the record does not say whether they are."""
        found = self._words.problems[name]
        return [
            each for each in self._of(Condition)
            if each.active_at(self.now) is not False and found.has(each.concept)
        ]  # fmt: skip

    def procedures(self, name: str, within: timedelta) -> list[Procedure]:
        """Procedures of a class that were done or begun over the last so long."""
        found, after = self._words.procedures[name], _before(self.now, within)
        return [
            each for each in self._of(Procedure)
            if each.status in ("completed", "in-progress", "unknown") and each.time is not None
            and each.time.start <= self.now and (each.end or each.time).end >= after and found.has(each.concept)
        ]  # fmt: skip

    def planned(self, name: str) -> list[Order | Procedure]:
        """Orders that stand, and procedures in preparation, of a class of procedures."""
        found = self._words.procedures[name]
        orders: list[Order | Procedure] = [
            each for each in self._of(Order)
            if each.status in ("active", "draft", "proposed", "booked", "pending", "requested", "accepted", "unknown")
            and not each.forbidden and found.has(each.concept)
            and not (each.time is not None and each.time.end < self.now - timedelta(days=90))
        ]  # fmt: skip
        return orders + [
            each for each in self._of(Procedure) if each.status == "preparation" and found.has(each.concept)
        ]

    def drugs(self, name: str) -> list[Medication]:
        """Drugs of a class in use: current requests and statements, and what was given in the last 2 days."""
        found = self._words.drugs[name]
        return [each for each in self.current_drugs if found.has(each.concept, *each.ingredients)]

    @cached_property
    def current_drugs(self) -> list[Medication]:
        """All drugs in use."""
        recent = self.now - timedelta(days=2)
        found = []
        for each in self._of(Medication):
            if each.negated or each.status in ("entered-in-error", "not-done"):
                continue
            given = each.time if each.role == "administration" else None
            if (
                (given is not None and given.start <= self.now and (each.end or given).end >= recent)
                or each.current_at(self.now)
            ):
                found.append(each)
        return found

    @property
    def allergies(self) -> list[Allergy]:
        """Allergies and intolerances that stand."""
        return [
            each for each in self._of(Allergy)
            if not each.negated and each.status not in ("inactive", "resolved")
        ]  # fmt: skip

    @property
    def allergies_documented(self) -> bool:
        """Tell whether the record has an allergy, or the statement that there is none."""
        return any(each.verification != "refuted" for each in self._of(Allergy))

    @property
    def orders(self) -> list[Order]:
        return self._of(Order)

    @property
    def all_procedures(self) -> list[Procedure]:
        return self._of(Procedure)

    @property
    def reports(self) -> list[Report]:
        return self._of(Report)

    @property
    def notes(self) -> list[Note]:
        return self._of(Note)

    def ranged(self, within: timedelta) -> list[Measurement]:
        """The newest result of each test that the laboratory gave a range or a mark for, over the last so long."""
        return self.facts.ranged(self.now, _before(self.now, within))

    def _of(self, kind: type[R]) -> list[R]:
        return self.facts.of(kind, self.now)  # type: ignore[return-value]


def _by_test(found: list[Ranged]) -> dict[str, list[Ranged]]:
    """Results by LOINC code, in order of time; of tests without any range or mark none."""
    by: dict[str, list[Ranged]] = defaultdict(list)
    for each in found:
        code = each[3].loinc
        if code is not None:
            by[code].append(each)
    return {
        code: sorted(each, key=lambda result: result[:2])
        for code, each in by.items() if any(result[3].range is not None or result[3].interpretation for result in each)
    }  # fmt: skip


def _before(now: datetime, within: timedelta) -> datetime:
    try:
        return now - within
    except OverflowError:
        return _NEVER


def _known(record: Record) -> datetime | None:
    when = record.known or record.time
    return None if when is None else when.start


def _in_unit(record: Measurement, measured: Measured, value: float) -> float | None:
    """A number of a measurement in the vocabulary's unit; None where it cannot be told."""
    if not record.unit and measured.unit == "1":
        return value  # INR and scores are written without one
    # By the record's own code: a list may hold tests of one name that are converted otherwise (HbA1c by IFCC).
    own = record.loinc
    normal = normalise(own if own in analytes_by_code() else measured.loinc[0], value, record.unit)
    return normal.value if normal.unit == measured.unit else None


def _with_ends(timeline: Timeline) -> Sequence[tuple[Record, datetime]]:
    """Each record with the moment until which it stood; earlier versions too, where it is known when they ended."""
    found: list[tuple[Record, datetime]] = []
    old = [each.record for each in timeline.excluded if each.reason.startswith(("superseded", "entered in error"))]
    if not old:
        return [(record, _FOREVER) for record in timeline.records]
    versions: dict[str, list[Record]] = defaultdict(list)
    for record in old:
        versions[record.id].append(record)
    for record in timeline.records:
        if record.id in versions:
            versions[record.id].append(record)
        else:
            found.append((record, _FOREVER))
    standing = {id(record) for record in timeline.records}
    for group in versions.values():
        updates = sorted({each.updated.start for each in group if each.updated is not None})
        for each in group:
            if each.status == "entered-in-error":
                continue
            if each.updated is None:
                if id(each) in standing:
                    found.append((each, _FOREVER))
                continue
            later = [moment for moment in updates if moment > each.updated.start]
            if not later and id(each) not in standing:  # superseded, and by when is not known
                continue
            # A version is known from when the server had it: an amended result still has its first issue's time.
            first = each.updated.start == updates[0]
            shown = each if first else replace(each, known=each.updated)
            found.append((shown, later[0] if later else _FOREVER))
    return found
