"""Acute kidney injury by KDIGO (2012): creatinine in its windows of 48 hours and 7 days, urine, and dialysis.

KDIGO Clinical Practice Guideline for Acute Kidney Injury. Kidney Int Suppl 2012;2:1-138, sections 2.1.1 and 2.1.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from aris.records.scores.conversions import creatinine_umol
from aris.records.scores.outcome import Score, not_assessable

NAME = "KDIGO AKI stage"
SOURCE = "KDIGO Clinical Practice Guideline for Acute Kidney Injury. Kidney Int Suppl 2012;2:1-138, section 2.1"
BASELINE_SOURCE = (
    "NHS England. Acute kidney injury (AKI) algorithm. Patient Safety Alert NHS/PSA/D/2014/010 (the median of 8 to 365 "
    "days where the last 7 days hold no creatinine)"
)
SHORT, LONG, YEAR = timedelta(hours=48), timedelta(days=7), timedelta(days=365)
# The guideline's own figures in µmol/L for 0.3 and 4.0 mg/dL.
RISE, STAGE_3 = 26.5, 353.6
_RATIOS = ((3.0, 3), (2.0, 2), (1.5, 1))
# Converted and rounded values of one sample must give one stage: 0.8 to 1.2 mg/dL is 70.7 to 106.1 µmol/L.
_TOLERANCE = 1e-3
_CHILD, _CHILD_EGFR = 18, 35.0


@dataclass(frozen=True)
class Creatinine:
    """A serum creatinine.

    Attributes:
        at: when the sample was taken.
        value: in `unit`.
        unit: "umol/L", "mmol/L" or "mg/dL".
        id: of the resource that it comes from.
    """

    at: datetime
    value: float
    unit: str = "umol/L"
    id: str = ""

    @property
    def umol(self) -> float:
        """The concentration in µmol/L."""
        return creatinine_umol(self.value, self.unit)


@dataclass(frozen=True)
class UrineSpan:
    """Urine that was collected over a span of time.

    Attributes:
        start, end: of the collection.
        ml: its volume.
        id: of the resource that it comes from.
    """

    start: datetime
    end: datetime
    ml: float
    id: str = ""


@dataclass(frozen=True)
class KidneyInjury:
    """A stage of acute kidney injury, and what it rests on.

    Attributes:
        score: the stage, 0 to 3.
        by_creatinine, by_urine: the stage by each criterion; None where it cannot be assessed.
        baseline: creatinine, in µmol/L, and whether it is the lowest of 7 days or the median of a year.
        because: the criteria that were met, in words.
        resources: ids of the measurements that decide.
    """

    score: Score
    by_creatinine: int | None = None
    by_urine: int | None = None
    baseline: float | None = None
    presumed_baseline: bool = False
    because: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()


def kdigo(
    creatinines: Sequence[Creatinine],
    now: datetime,
    *,
    urine: Sequence[UrineSpan] = (),
    weight_kg: float | None = None,
    kidney_replacement: bool = False,
    chronic_dialysis: bool = False,
    age: float | None = None,
    egfr: float | None = None,
) -> KidneyInjury:
    """Stage acute kidney injury at a moment.

    Args:
        creatinines: in any order and any mix of units; those after `now` are not looked at.
        now: the moment. The newest creatinine must be at most 48 hours old, or creatinine is not assessable.
        urine: collected volumes; see `urine_stage`.
        weight_kg: without it urine is not assessable.
        kidney_replacement: therapy was begun for this injury: stage 3.
        chronic_dialysis: the stages do not apply.
        age: years; below 18 an eGFR below 35 is stage 3.
        egfr: by bedside Schwartz, for children.

    Returns:
        The higher of the stages by creatinine and by urine.
    """
    if chronic_dialysis:
        return KidneyInjury(not_assessable(NAME, "1", SOURCE, "chronic dialysis; acute stages do not apply"))
    creatinine = creatinine_stage(creatinines, now, child_egfr=egfr if age is not None and age < _CHILD else None)
    by_urine, urine_why, urine_ids = urine_stage(urine, weight_kg, now)
    if kidney_replacement:
        by = Score(NAME, 3, "1", SOURCE, {"replacement": 3}, note="kidney replacement therapy")
        return KidneyInjury(by, creatinine.by_creatinine, by_urine, because=("kidney replacement therapy",))
    known = {"creatinine": creatinine.by_creatinine, "urine": by_urine}
    missing = tuple(name for name, stage in known.items() if stage is None)
    if len(missing) == 2:
        return KidneyInjury(not_assessable(NAME, "1", SOURCE, creatinine.score.reason, missing))
    stage = max(each for each in known.values() if each is not None)
    because: list[str] = []
    resources: list[str] = []
    if creatinine.by_creatinine is not None and creatinine.by_creatinine >= min(stage, 1):
        because += creatinine.because
        resources += creatinine.resources
    if by_urine:
        because.append(urine_why)
        resources += urine_ids
    return KidneyInjury(
        Score(NAME, stage, "1", SOURCE, dict(known), missing, note="; ".join(because)),
        creatinine.by_creatinine, by_urine, creatinine.baseline, creatinine.presumed_baseline,
        tuple(because), tuple(dict.fromkeys(resources)),
    )  # fmt: skip


def creatinine_stage(
    creatinines: Sequence[Creatinine], now: datetime, *, child_egfr: float | None = None
) -> KidneyInjury:
    """Stage by serum creatinine alone, at the newest measurement before `now`.

    A rise is measured from the lowest value of the 48 hours, a ratio from the lowest of the 7 days before; where those
    7 days hold no other value, from the median of 8 to 365 days, which is a presumed baseline and said. The first value
    of the 7 days that was itself compared with such a median stays so for all of them: a second high value two hours
    after the first is no recovery.
    """
    past = sorted((each for each in creatinines if each.at <= now and each.umol > 0), key=lambda each: each.at)
    if not past:
        return KidneyInjury(not_assessable(NAME, "1", SOURCE, "no creatinine", ("creatinine",)))
    newest = past[-1]
    if now - newest.at > SHORT:
        return KidneyInjury(not_assessable(NAME, "1", SOURCE, "no creatinine in the last 48 hours", ("creatinine",)))
    before = past[:-1]
    short = [each for each in before if newest.at - each.at <= SHORT]
    long = [each for each in before if newest.at - each.at <= LONG]
    # Where nothing lies in the 7 days before the first value, its baseline is older than what the 7 days show.
    first = long[0] if long else newest
    unknown = not any(first.at - LONG <= each.at < first.at for each in before)
    year = [each for each in before if unknown and LONG < first.at - each.at <= YEAR]
    if not long and not year:
        return KidneyInjury(
            not_assessable(NAME, "1", SOURCE, "only one creatinine within a year: no baseline", ("baseline",))
        )
    low = min(long, key=lambda each: each.umol, default=None)
    baseline = low.umol if low is not None else 0.0
    if year and (low is None or median(each.umol for each in year) < baseline):
        low, baseline = None, median(each.umol for each in year)
    stage, because, used = 0, [], [newest.id]
    rise = newest.umol - min((each.umol for each in short), default=newest.umol)
    if rise >= RISE - _TOLERANCE:
        stage = 1
        because.append(f"creatinine rose by {rise:.0f} µmol/L within 48 hours")
        used.append(min(short, key=lambda each: each.umol).id)
    ratio = newest.umol / baseline
    for least, given in _RATIOS:
        if ratio >= least - _TOLERANCE:
            stage = max(stage, given)
            of = "the lowest of 7 days" if low is not None else "the median of 8 to 365 days, a presumed baseline"
            because.append(f"creatinine is {ratio:.1f} times {of}")
            used += [low.id] if low is not None else [each.id for each in year]
            break
    if stage and newest.umol >= STAGE_3 - _TOLERANCE:
        stage = 3
        because.append("creatinine is 353.6 µmol/L (4.0 mg/dL) or more")
    if stage and child_egfr is not None and child_egfr < _CHILD_EGFR:
        stage = 3
        because.append("eGFR is below 35 in a child")
    ids = tuple(dict.fromkeys(each for each in used if each))
    return KidneyInjury(
        Score(NAME, stage, "1", SOURCE, {"creatinine": stage}), stage, None, baseline, low is None, tuple(because), ids
    )


def urine_stage(
    urine: Sequence[UrineSpan], weight_kg: float | None, now: datetime
) -> tuple[int | None, str, tuple[str, ...]]:
    """Stage by urine output at `now`: its stage, why, and the ids of the collections.

    A window of 6, 12 or 24 hours that ends with the newest collection counts only where collections reach back to its
    start, without a gap of more than 2 hours; the rate is that of the hours covered: hours without an entry are not
    hours without urine.

    Returns:
        (None, reason, ()) where the weight or a window of 6 hours is missing.
    """
    if not weight_kg or weight_kg <= 0:
        return None, "no weight", ()
    spans = _once(sorted((each for each in urine if each.end <= now), key=lambda each: each.end))
    if not spans or now - spans[-1].end > timedelta(hours=2):
        return None, "no urine output in the last 2 hours", ()
    rates = {hours: _rate(spans, spans[-1].end, hours, weight_kg) for hours in (6, 12, 24)}
    if rates[6] is None:
        return None, "urine output does not cover 6 hours", ()

    def below(hours: int, limit: float) -> bool:
        rate = rates[hours]
        return rate is not None and rate[0] < limit

    def met(hours: int, stage: int) -> tuple[int, str, tuple[str, ...]]:
        rate = rates[hours]
        assert rate is not None
        return stage, f"urine output {rate[0]:.2f} mL/kg/h over {hours} hours", rate[1]

    if below(24, 0.3):
        return met(24, 3)
    twelve = rates[12]
    if twelve is not None and twelve[2] <= 0:
        return 3, "no urine for 12 hours", twelve[1]
    if below(12, 0.5):
        return met(12, 2)
    if below(6, 0.5):
        return met(6, 1)
    return 0, "", ()


def _once(spans: Sequence[UrineSpan]) -> list[UrineSpan]:
    """Collections without what another one counts too: a sum of eight hours beside its hours is what is left of it.

    Two of the very same span are two catheters, and both count.
    """
    kept: list[UrineSpan] = []
    for span in sorted(spans, key=lambda each: each.end - each.start):  # the short ones first: they say more
        inside = [e for e in kept if e.start < e.end and e.start < span.end and span.start < e.end]
        if not inside or span.end <= span.start or any((e.start, e.end) == (span.start, span.end) for e in inside):
            kept.append(span)
            continue
        free, counted, reached = timedelta(0), 0.0, span.start
        for each in sorted(inside, key=lambda each: each.start):
            free += max(timedelta(0), each.start - reached)
            reached = max(reached, each.end)
            share = (min(each.end, span.end) - max(each.start, span.start)) / (each.end - each.start)
            counted += each.ml * share
        free += max(timedelta(0), span.end - reached)
        if free > timedelta(0):
            # Its hours that no other one has, with what is left of its volume.
            kept += _rest(span, inside, max(0.0, span.ml - counted), free)
    return sorted(kept, key=lambda each: each.end)


def _rest(span: UrineSpan, inside: Sequence[UrineSpan], ml: float, free: timedelta) -> list[UrineSpan]:
    found: list[UrineSpan] = []
    reached = span.start
    for each in sorted((*inside, UrineSpan(span.end, span.end, 0.0, "")), key=lambda each: each.start):
        if each.start > reached:
            found.append(UrineSpan(reached, each.start, ml * ((each.start - reached) / free), span.id))
        reached = max(reached, each.end)
    return found


def _rate(
    spans: Sequence[UrineSpan], end: datetime, hours: int, weight_kg: float
) -> tuple[float, tuple[str, ...], float] | None:
    """(mL/kg/h, ids, mL) over the hours before `end`; None where the collections leave a gap."""
    start = end - timedelta(hours=hours)
    reached, volume, covered, ids = start, 0.0, 0.0, []
    for span in sorted(spans, key=lambda each: each.start):
        if span.end <= start or span.end <= span.start:
            continue
        gap = span.start - reached
        if gap > (timedelta(0) if reached == start else timedelta(hours=2)):
            return None
        share = (span.end - max(span.start, start)) / (span.end - span.start)
        volume += span.ml * share
        covered += max(0.0, (span.end - max(span.start, reached)) / timedelta(hours=1))
        reached = max(reached, span.end)
        if span.id:
            ids.append(span.id)
    if not covered:
        return None
    return volume / weight_kg / covered, tuple(ids), volume
