"""Numbers, dates, durations and ages of a statement, held against the sources of what they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import combinations

from aris.tasks.support.facts import About, Day, Fact, Value
from aris.tasks.support.quantities import Date, Number, dates, holds
from aris.tasks.support.statement import Statement
from aris.tasks.support.verdicts import Reason

_ABOUT = re.compile(r"(?:about|approximately|around|roughly|nearly|almost|~|\u2248|ca\.?)\s*\Z", re.IGNORECASE)
_MORE = re.compile(r"(?:above|over|more than|greater than|exceed(?:s|ed|ing)?|at least|>=?|\u2265)\s*\Z", re.IGNORECASE)
_LESS = re.compile(r"(?:below|under|less than|lower than|fewer than|at most|up to|<=?|\u2264)\s*\Z", re.IGNORECASE)
_REFERENCE = re.compile(r"\b(?:reference|normal|range)\b[^;\n]{0,40}\Z", re.IGNORECASE)
_BY = re.compile(r"\bby\s*(?:about\s*|approximately\s*)?\Z", re.IGNORECASE)
_COUNTED = re.compile(
    r"\s*(?:times|episodes?|results?|measurements?|readings?|values?|visits?|encounters?|admissions?|prescriptions?|courses?|doses?"
    r"|reports?|occasions?|procedures?|problems?|conditions?|medications?|drugs?|tests?|immunizations?|vaccinations?|separate)\b",
    re.IGNORECASE,
)  # fmt: skip
_STOPPED = re.compile(
    r"(?:stopped|discontinued|resolved|ended|completed|until|till|finished|ceased|abated|to|through|\u2013|-|\u2192)"
    r"(?:\s+(?:on|in|by|at|since))?\s*\Z", re.IGNORECASE,
)  # fmt: skip
_STARTED = re.compile(
    r"(?:started|began|begun|initiated|onset|since|diagnosed|from|prescribed|first)(?:\s+(?:on|in|at|of))?\s*\Z",
    re.IGNORECASE,
)
_LOOK_BACK = 30


def number_reason(
    statement: Statement, number: Number, facts: Sequence[Fact], day: Date | None, now: datetime | None
) -> Reason | None:
    """Return why a number is not held by any of the facts; None if it is."""
    before = statement.text[max(0, number.start - _LOOK_BACK) : number.start]
    about = bool(_ABOUT.search(before))
    fits, other_unit = [], False
    for fact in facts:
        bounds = [bound for bound in (fact.low, fact.high) if bound is not None]
        if bounds and _REFERENCE.search(statement.text[: number.start]) and any(
            holds(number, Value(bound, fact.values[0].unit if fact.values else "")) for bound in bounds
        ):
            return None
        for value in fact.values:
            held = holds(number, value, loinc=fact.loinc, about=about)
            if held is None:
                other_unit = True
            elif held or _bounded(before, number, value):
                fits.append(fact)
    if fits and day is not None and not any(on_day(day, fact) for fact in fits):
        if any(on_day(day, fact) for fact in facts):
            return _reason(statement, number, "contradicted", "date", f"{fits[0].id} states it for another date")
        fits = fits[:1]  # the date itself is told to be wrong on its own
    if fits:
        return None
    if _BY.search(before):
        if _difference(number, facts):
            return None
        return _reason(statement, number, "unsupported", "number", "no difference of the cited results is this")
    if number.days is not None:
        if lasted(number, facts, now):
            return None
        return _reason(statement, number, "unsupported", "duration", "no cited source states this length of time")
    if not number.unit and number.value == int(number.value) and _COUNTED.match(statement.text, number.end):
        count = (len({fact.id for fact in facts}), len(facts))
        if number.value in count:
            return None
        return _reason(statement, number, "unsupported", "number", f"{count[0]} sources of it are cited")
    if other_unit:
        return _reason(statement, number, "contradicted", "unit", "the source has this number in another unit")
    has = [_told(value) for fact in facts if fact.kind != "text" for value in fact.values]
    if has:
        where = next(fact.id for fact in facts if fact.values)
        return _reason(statement, number, "contradicted", "number", f"{where} says {', '.join(dict.fromkeys(has[:3]))}")
    return _reason(statement, number, "unsupported", "number", "no cited source holds this number")


def date_reason(statement: Statement, date: Date, facts: Sequence[Fact]) -> Reason | None:
    """Return why a date is that of none of the facts; None if it is."""
    if not date.days:
        return _reason(statement, date, "unsupported", "date", "there is no such date")
    before = statement.text[max(0, date.start - _LOOK_BACK) : date.start]
    ended, began = bool(_STOPPED.search(before)), bool(_STARTED.search(before))
    finer = False
    for fact in facts:
        known: list[Day] = []
        if not ended or fact.kind in ("measurement", "text", "other"):
            known += fact.days
        if fact.until is not None and not began:
            known.append(fact.until)
        for day in known:
            for span in date.days:
                fit = _meets(span, day)
                if fit:
                    return None
                finer = finer or fit is None
        if fact.text and any(_meets(span, day) for day in _days_in(fact.text) for span in date.days):
            return None
    if finer:
        return _reason(statement, date, "unsupported", "date", "the source is not that exact")
    has = sorted({day.start.date().isoformat() for fact in facts for day in fact.days[:1]})
    if has and not any(fact.kind == "text" for fact in facts):
        return _reason(statement, date, "contradicted", "date", f"the cited sources are of {', '.join(has[:3])}")
    return _reason(statement, date, "unsupported", "date", "no cited source has this date")


def age_reason(
    statement: Statement, age: Number, about: About | None, facts: Sequence[Fact], now: datetime | None
) -> Reason | None:
    """Return why an age is not the patient's; None if it is, at any time from the record's cited facts up to now."""
    if any(holds(age, value) for fact in facts for value in fact.values):
        return None
    if about is None or about.born is None:
        return _reason(statement, age, "unsupported", "number", "no birth date is documented")
    moments = [day.start for fact in facts for day in fact.days]
    moments += [moment for moment in (about.last, now, about.died.start if about.died else None) if moment is not None]
    for moment in moments:
        low = (moment - about.born.end).days / 365.2425
        high = (moment - about.born.start).days / 365.2425
        if int(low + 0.003) <= age.value <= int(high + 0.003):
            return None
    if len(moments) > 1:
        ages = [(moment - about.born.start).days / 365.2425 for moment in moments if moment in (about.last, now)]
        if len(ages) == 2 and min(ages) - 1 <= age.value <= max(ages):
            return None
    return _reason(statement, age, "contradicted", "number", "the birth date gives another age")


def on_day(date: Date, fact: Fact) -> bool:
    """Return whether a date may be that of a fact."""
    days = [*fact.days, *([fact.until] if fact.until else []), *(_days_in(fact.text) if fact.kind == "text" else ())]
    return any(_meets(span, day) for span in date.days for day in days)


def lasted(number: Number, facts: Sequence[Fact], now: datetime | None) -> bool:
    """Return whether a length of time is what lies between two cited times, or a time and now."""
    stated = number.days
    if stated is None:
        return False
    moments = {day.start for fact in facts for day in (*fact.days[:1], *([fact.until] if fact.until else []))}
    if now is not None:
        moments.add(now)
    unit = stated / number.value if number.value else 1.0
    for one, other in combinations(sorted(moments), 2):
        between = (other - one) / timedelta(days=1)
        if abs(between - stated) <= 0.5 * unit + 0.01 or 0 <= between - stated < unit:
            return True
    return False


def _meets(stated: Day, known: Day) -> bool | None:
    """Return whether a stated date is a known time; None where the source is less exact than the statement."""
    if stated.end < known.start or known.end < stated.start:
        return False
    if (known.end - known.start) > (stated.end - stated.start) + timedelta(seconds=2):
        return None
    return True


def _days_in(text: str) -> Iterable[Day]:
    return [day for date in dates(text) for day in date.days]


def _bounded(before: str, number: Number, value: Value) -> bool:
    same = not number.unit or not value.unit or holds(Number(value.number, 12, number.unit, 0, 0), value) is True
    if not same:
        return False
    return bool(
        (_MORE.search(before) and value.number >= number.value)
        or (_LESS.search(before) and value.number <= number.value)
    )


def _difference(number: Number, facts: Sequence[Fact]) -> bool:
    values = [value.number for fact in facts if fact.kind == "measurement" for value in fact.values]
    for one, other in combinations(values, 2):
        for first, last in ((one, other), (other, one)):
            change = abs(last - first)
            if number.unit in ("%", "percent"):
                change = 100 * change / abs(first) if first else 0.0
            if abs(change - number.value) <= 0.5 * 10.0**-number.decimals + 1e-9:
                return True
    return False


def _told(value: Value) -> str:
    return f"{value.number:.6g}{' ' + value.unit if value.unit else ''}"


def _reason(statement: Statement, what: Number | Date, outcome: str, kind: str, message: str) -> Reason:
    text = statement.text[what.start : what.end]
    return Reason(outcome, kind, text, what.start, what.end, f'"{text}": {message}')  # type: ignore[arg-type]
