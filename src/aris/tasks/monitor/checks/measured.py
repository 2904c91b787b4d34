"""Checks of single quantities: limits, delta checks, a laboratory's own percentile and ranges."""

from __future__ import annotations

from datetime import timedelta

from aris.records import Measurement
from aris.records.scores import Point, largest_change
from aris.tasks.monitor.checks.outcome import (
    Found,
    Lacking,
    Outcome,
    ago,
    clean,
    evidence_of,
    lasting,
    passes,
)
from aris.tasks.monitor.facts import EGFR, Value, View
from aris.tasks.monitor.results import Evidence, rank
from aris.tasks.monitor.rule import Change, Limits, Percentile, Ranges, Severity

# HL7's ObservationInterpretation, and words that laboratories write.
_CRITICAL = frozenset(("AA", "HH", "LL", "CRITICAL", "CRITICAL HIGH", "CRITICAL LOW", "PANIC", "HU", "LU"))
_ABNORMAL = frozenset(("A", "H", "L", "HIGH", "LOW", "ABNORMAL", "ABN"))
_HIGH = frozenset(("H", "HH", "HU", "HIGH", "CRITICAL HIGH"))
_MOST_SHOWN = 12


def title_of(name: str, view: View) -> str:
    """The title of a quantity."""
    return "eGFR" if name == EGFR else view.facts.vocabulary.measurements[name].title


def missing(view: View, name: str, within: timedelta) -> Lacking:
    """Say why a quantity cannot be judged: not there, or there in a unit that cannot be compared."""
    title = title_of(name, view)
    doubtful = view.doubtful(name, within)
    if doubtful is not None:
        return unlikely(doubtful, title)
    unread = [why for _, why in view.facts.unread if why.startswith(f"{title}: ")]
    if unread:
        return Lacking("unread", f"{unread[-1]}; {len(unread)} results are not compared")
    return Lacking("missing", f"no {title} in the last {lasting(within / timedelta(hours=1))}")


def unlikely(value: Value, title: str) -> Lacking:
    """Say that the newest value is one that no living patient has."""
    shown = f"{title} {clean(value.shown)} at {ago(value.at)}"
    return Lacking("unread", f"{shown} is implausible; check the patient and it")


def _newer(view: View, name: str, within: timedelta) -> tuple[str, ...]:
    """A note of a newer value that is implausible, where an older one is judged."""
    found = view.doubtful(name, within)
    if found is None:
        return ()
    return (f"a newer value is implausible and was not judged: {clean(found.shown)} at {ago(found.at)}",)


def limits(view: View, check: Limits) -> Outcome:
    """Judge the newest result."""
    newest = view.latest(check.of, check.look_back)
    if newest is None:
        return missing(view, check.of, check.look_back)
    levels = [each for each in check.levels if passes(newest, each)]
    if not levels:
        doubtful = view.doubtful(check.of, check.look_back)
        return None if doubtful is None else unlikely(doubtful, title_of(check.of, view))
    worst = max(levels, key=lambda each: rank(each.severity))
    title, since = title_of(check.of, view), newest.at
    for value in reversed(view.values(check.of, check.look_back)):
        if not any(passes(value, each) for each in levels):
            break
        since = value.at
    text = f"{title} {clean(newest.shown)} ({worst.words} {_unit(check.of, view)}) at {ago(newest.at)}"
    way = "high" if worst.at_least is not None or worst.above is not None else "low"
    return Found(
        worst.severity, text, since, (evidence_of(newest, title),),
        notes=(*_preliminary(view, newest), *_newer(view, check.of, check.look_back)),
        aspects=frozenset((way,)),
    )  # fmt: skip


def change(view: View, check: Change) -> Outcome:
    """Judge the largest change that leads to the newest result."""
    newest = view.latest(check.of, check.look_back)
    if newest is None:
        return missing(view, check.of, check.look_back)
    values = {each.id: each for each in view.values(check.of, check.look_back + check.within) if not each.comparator}
    points = [Point(each.at, each.value, each.id) for each in values.values()]
    delta = largest_change(points, view.now, check.within, check.direction)
    if delta is None or delta.after.at != newest.at:
        if not any(timedelta(0) < newest.at - each.at <= check.within for each in points):
            hours = check.within / timedelta(hours=1)
            return Lacking("missing", f"no earlier {title_of(check.of, view)} within {lasting(hours)} to compare with")
        return None
    met = [
        each for each in check.levels
        if (each.by is None or abs(delta.change) >= each.by - 1e-9)
        and (each.percent is None or (delta.percent is not None and abs(delta.percent) >= each.percent - 1e-9))
        and (each.reaching is None or passes(newest, each.reaching))
    ]  # fmt: skip
    if not met:
        doubtful = view.doubtful(check.of, check.look_back)
        return None if doubtful is None else unlikely(doubtful, title_of(check.of, view))
    worst: Severity = max((each.severity for each in met), key=rank)
    title, before = title_of(check.of, view), values[delta.before.id]
    way = "rose" if delta.change > 0 else "fell"
    share = "" if delta.percent is None else f" ({abs(delta.percent):.0f}%)"
    hours = (delta.after.at - delta.before.at) / timedelta(hours=1)
    text = (
        f"{title} {way} by {abs(delta.change):.4g} {_unit(check.of, view)}{share} in {lasting(hours)}, from "
        f"{clean(before.shown)} to {clean(newest.shown)} at {ago(newest.at)}"
    )
    notes = _newer(view, check.of, check.look_back)
    return Found(worst, text, newest.at, (evidence_of(before, title), evidence_of(newest, title)), notes=notes)


def percentile(view: View, check: Percentile) -> Outcome:
    """Judge troponin by the laboratory's own upper reference limit."""
    found: list[Value] = [each for name in check.of if (each := view.latest(name, check.look_back)) is not None]
    if not found:
        return missing(view, check.of[0], check.look_back)
    limits = {each.name: _own_limit(view, each, check.look_back) for each in found}
    above = [
        each for each in found
        if _marked_high(each) or ((limit := limits[each.name]) is not None and each.above(limit))
    ]  # fmt: skip
    if not above:
        if all(each.high is not None for each in found):
            return None
        return Lacking("missing", "the laboratory's 99th percentile (the upper reference limit) is not in the record")
    newest = max(above, key=lambda each: each.at)
    title = title_of(newest.name, view)
    severity, shown, text = check.severity, [newest], f"{title} {clean(newest.shown)} is above the laboratory's limit"
    points = [Point(v.at, v.value, v.id) for v in view.values(newest.name, check.look_back) if not v.comparator]
    delta = largest_change(points, view.now, check.within, "either")
    if delta is not None and delta.percent is not None and abs(delta.percent) >= check.percent:
        severity = check.changing
        shown.insert(0, next(v for v in view.values(newest.name, check.look_back) if v.id == delta.before.id))
        text += f", and {'rose' if delta.change > 0 else 'fell'} by {abs(delta.percent):.0f}%"
    note = () if len(points) > 1 else ("one value alone: a rise or a fall is not known",)
    if newest.high is None and not _marked_high(newest):
        note = (*note, "it came without a limit: that of an earlier result of the same test and unit was taken")
    return Found(
        severity, f"{text} at {ago(newest.at)}", newest.at, tuple(evidence_of(v, title) for v in shown), notes=note
    )


def _marked_high(value: Value) -> bool:
    return any(mark.strip().upper() in _HIGH for mark in value.marks)


def _own_limit(view: View, value: Value, within: timedelta) -> float | None:
    """The limit that came with a result, or with an earlier one of the same code: assays of one name differ."""
    if value.high is not None:
        return value.high
    same = [each.high for each in view.values(value.name, within) if each.code == value.code and each.high is not None]
    return max(same) if value.code and same else None


def ranges(view: View, check: Ranges) -> Outcome:
    """Judge the newest result of each test by the laboratory's own range and marks."""
    # What its own rule cannot read, as in an unknown unit, is left to the laboratory's mark.
    unread = {id for id, _ in view.facts.unread}
    newest = [
        each for each in view.ranged(check.look_back)
        if view.facts.vocabulary.measured(each.concept) not in check.except_for or each.id in unread
    ]  # fmt: skip
    if not newest:
        span = lasting(check.look_back / timedelta(hours=1))
        return Lacking("missing", f"no results with a range or a mark of the laboratory's in the last {span}")
    marked = [(each, severity) for each in newest if (severity := _mark(each, check)) is not None]
    if not marked:
        return None
    marked.sort(key=lambda pair: -rank(pair[1]))
    worst = marked[0][1]
    shown = [
        Evidence(
            id=each.id, name=clean(each.concept.text), at=None if each.time is None else each.time.start,
            shown=_written(each),
        )
        for each, _ in marked
    ]  # fmt: skip
    words = "; ".join(f"{each.name} {each.shown}" for each in shown[:_MOST_SHOWN])
    more = f" and {len(shown) - _MOST_SHOWN} more" if len(shown) > _MOST_SHOWN else ""
    text = f"outside the laboratory's own range: {words}{more}"
    # Another test that the laboratory marks critical is told; another one a little outside its range is not.
    aspects = frozenset(
        each.loinc or each.id for each, severity in marked if severity == check.critical != check.severity
    )
    since = min(each.at for each in shown if each.at is not None)
    return Found(worst, text, since, tuple(shown), aspects=aspects)


def _mark(each: Measurement, check: Ranges) -> Severity | None:
    codes = {code.strip().upper() for code in each.interpretation}
    if codes & _CRITICAL:
        return check.critical
    if codes & _ABNORMAL:
        return check.severity
    limits = each.range
    if limits is None or each.value is None:
        return None
    low = limits.low is not None and each.value < limits.low and not each.comparator.startswith(">")
    high = limits.high is not None and each.value > limits.high and not each.comparator.startswith("<")
    return check.severity if low or high else None


def _written(each: Measurement) -> str:
    value = each.said if each.value is None else f"{each.comparator}{each.value:g}"
    return clean(f"{value} {each.unit_text or each.unit}")


def _unit(name: str, view: View) -> str:
    unit = "mL/min/1.73 m2" if name == EGFR else view.facts.vocabulary.measurements[name].unit
    return {"1": "", "10*3/uL": "10^9/L", "Cel": "°C", "mm[Hg]": "mmHg"}.get(unit, unit)


def _preliminary(view: View, value: Value) -> tuple[str, ...]:
    states = {each.status for each in view.facts.timeline.find(value.id)}
    return ("the result is preliminary",) if "preliminary" in states else ()
