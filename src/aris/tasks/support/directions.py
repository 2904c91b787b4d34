"""Directions and ranges: "rose" against the cited results in order of time, "high" against the laboratory's range."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from aris.records.text import Mention
from aris.tasks.support.facts import Fact
from aris.tasks.support.passages import directions_in
from aris.tasks.support.quantities import Number, holds
from aris.tasks.support.statement import CueHit, Statement
from aris.tasks.support.verdicts import Reason

_Point = tuple[datetime, float, Fact]
_STEADY = 0.10  # of the earlier value: a larger change is no longer "stable"


def direction_reason(statement: Statement, cue: CueHit, owner: Mention | None, facts: Sequence[Fact]) -> Reason | None:
    """Return why a direction is not that of the cited values; None if it is."""
    if any(fact.kind == "text" for fact in facts):
        return _in_text(cue, owner, facts)
    series = sorted(
        (
            (
                fact.days[0].start,
                fact.values[0].number if fact.values[0].normal is None else fact.values[0].normal,
                fact,
            )
            for fact in facts
            if fact.days and fact.values
        ),
        key=lambda each: each[0],
    )
    distinct = {moment for moment, _, _ in series}
    if len(distinct) < 2:
        return _reason(cue, "unsupported", "direction", "a change needs two cited results of different times")
    first, last = series[0], series[-1]
    told = _told_pair(statement, cue, owner)
    before: list[_Point] = []
    after: list[_Point] = []
    if told is not None:
        before, after = ([each for each in series if _is(number, each[2])] for number in told)
    if before and after:
        pairs = [(one, other) for one in before for other in after if one[0] < other[0]]
        if not pairs:
            return _reason(cue, "contradicted", "direction", f"{after[0][2].id} is the earlier result")
        right = [(one, other) for one, other in pairs if _goes(cue.kind, one[1], other[1])]
        first, last = (right or pairs)[0]
    if _goes(cue.kind, first[1], last[1]):
        return None
    return _reason(cue, "contradicted", "direction", f"it went from {first[1]:.4g} to {last[1]:.4g}")


def _is(number: Number, fact: Fact) -> bool:
    return any(holds(number, value, loinc=fact.loinc) for value in fact.values)


def _goes(kind: str, first: float, last: float) -> bool:
    """Return whether a change from one value to another is a rise, a fall, or none worth naming."""
    if kind == "steady":
        return abs(last - first) <= _STEADY * abs(first)
    return last > first if kind == "rose" else last < first


def range_reason(cue: CueHit, facts: Sequence[Fact]) -> Reason | None:
    """Return why "high", "low" or "normal" is not what the laboratory's range or marks say; None if it is."""
    known = [standing for fact in facts if (standing := _standing(fact)) is not None]
    if any(fact.kind == "text" and cue.text.lower() in fact.text.lower() for fact in facts):
        return None
    if not known:
        return _reason(cue, "not checkable", "range", "the cited results have no reference range")
    if cue.kind not in known:
        return _reason(cue, "contradicted", "range", f"by the laboratory's range it is {known[0]}")
    return None


def _standing(fact: Fact) -> str | None:
    marks = [mark.upper() for mark in fact.flags]
    if any(mark.startswith(("H", "CRITICAL HIGH", "ABOVE")) for mark in marks):
        return "high"
    if any(mark.startswith(("L", "CRITICAL LOW", "BELOW")) for mark in marks):
        return "low"
    if any(mark in ("N", "NORMAL") for mark in marks):
        return "normal"
    if not fact.values or (fact.low is None and fact.high is None):
        return None
    number = fact.values[0].number
    if fact.high is not None and number > fact.high:
        return "high"
    if fact.low is not None and number < fact.low:
        return "low"
    return "normal"


def _told_pair(statement: Statement, cue: CueHit, owner: Mention | None) -> tuple[Number, Number] | None:
    """The two numbers that a statement tells as before and after: "rose from 4.1 to 5.6"."""
    here = [
        number
        for number in statement.numbers
        if number.days is None
        and statement.clause(number.start) == statement.clause(cue.start)
        and statement.owner(number.start, number.end) == owner
    ]
    if len(here) < 2:
        return None
    first, second = here[0], here[1]
    gap = statement.text[first.end : second.start].lower()
    if "from" in gap and " to " not in f" {gap} ":
        return second, first  # "to 5.6 from 4.1"
    return first, second


def _in_text(cue: CueHit, owner: Mention | None, facts: Sequence[Fact]) -> Reason | None:
    """A direction against the words of a text: the same one, or another one, in a sentence that names the thing."""
    found = {kind for fact in facts if fact.text for kind in directions_in(fact.text, owner.concept if owner else None)}
    if cue.kind in found:
        return None
    if found:
        return _reason(cue, "contradicted", "direction", "the source tells another direction")
    return _reason(cue, "unsupported", "direction", "the source tells no direction")


def _reason(cue: CueHit, outcome: str, kind: str, message: str) -> Reason:
    return Reason(outcome, kind, cue.text, cue.start, cue.end, f'"{cue.text}": {message}')  # type: ignore[arg-type]
