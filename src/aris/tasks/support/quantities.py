"""Numbers with their units, and dates, as text writes them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from aris.records.units import UnitError, convert_ucum, normalise
from aris.tasks.support.facts import Day, Value

_MONTHS = {
    name: number
    for number, names in enumerate(
        ("january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug",
         "september sep sept", "october oct", "november nov", "december dec"), 1,
    )
    for name in names.split()
}  # fmt: skip
_MONTH = "(?:" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")\b\.?"
_CLOCK = r"[T\ ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:\s?Z|[+-]\d{2}:\d{2})?"
_DATES = re.compile(
    rf"""(?<![\w./-])(?:
      (?P<iso>(?P<y>\d{{4}})-(?P<m>\d{{2}})(?:-(?P<d>\d{{2}})(?P<clock>{_CLOCK})?)?)(?![\w-])
    | (?P<dmy>(?P<d1>\d{{1,2}})(?:st|nd|rd|th)?\ (?:of\ )?(?P<m1>{_MONTH}),?\ (?P<y1>\d{{4}}))\b
    | (?P<mdy>(?P<m2>{_MONTH})\ (?P<d2>\d{{1,2}})(?:st|nd|rd|th)?,?\ (?P<y2>\d{{4}}))\b
    | (?P<my>(?P<m3>{_MONTH}),?\ (?:of\ )?(?P<y3>\d{{4}}))\b
    | (?P<slash>(?P<a>\d{{1,2}})/(?P<b>\d{{1,2}})/(?P<y4>\d{{4}}))\b
    | (?P<year>(?:19|20)\d{{2}})(?![\w%/.-]?\d|[-\ ]?(?:mg|mcg|ml|units?|iu|cal|steps|g|m)\b)
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_PER = (
    "mg|mcg|ug|\u00b5g|\u03bcg|g|kg|ng|pg|U|IU|mIU|uIU|mU|mmol|umol|\u00b5mol|\u03bcmol|nmol|pmol|mEq|meq|mOsm|K|cells|copies|Eq|eq"
    r"|10\*3|10\*6|10\^3|10\^6|10\^9|x10\^9"
)
_VOLUME = r"dL|L|mL|ml|dl|l|uL|\u00b5L|\u03bcL|ul|kg|h|hr|min|day|d|g|mmol|mol|ACTUAT|\{[^}\s]{1,16}\}"
_UNIT_WORDS = (
    r"%|percent|mmHg|mm\[Hg\]|mm Hg|\u00b0C|\u00b0F|Cel|\[degF\]"
    rf"|(?:{_PER})/(?:{_VOLUME})(?:/(?:min|h|kg|\{{[^}}\s]{{1,20}}\}}|1\.73 ?m2))?"
    r"|mL/min/1\.73 ?m(?:2|\u00b2)|mL/min(?:/\{[^}\s]{1,20}\})?|kg/m2|kg/m\u00b2|L/min|m/s|/min"
    r"|beats/min|breaths/min|bpm"
    r"|mcg|ug|\u00b5g|\u03bcg|mg|kg|g|ng|pg|lbs?|pounds|ounces|oz|cm|mm|inches|feet|ft|mL|ml|dL|L|units?|IU|mEq|meq|mmol|umol"
    r"|fL|fl|MG|ML|U|puffs?|tablets?|capsules?|drops?|ACTUAT|hours?|hrs?|minutes?|days?|weeks?|months?|years?|yrs?|HR|mm/h"
    r"|mm/hr|times|\{[A-Za-z_]{1,20}\}"
)
_NUMBER = re.compile(
    rf"(?<![\w.])(?P<sign>[-\u2212])?(?P<number>\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?)(?![\d])"
    rf"(?:\s?-?(?P<unit>{_UNIT_WORDS})(?![A-Za-z]))?"
)
_WORDS = {
    word: number
    for number, word in enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"), 2
    )
}
_NUMBER_WORD = re.compile(rf"\b(?:{'|'.join(_WORDS)})\b(?!-)", re.IGNORECASE)
_SAME_UNIT = {
    "percent": "%", "mm[hg]": "mmhg", "mm hg": "mmhg", "\u00b0c": "c", "cel": "c", "\u00b0f": "f", "[degf]": "f",
    "\u00b5g": "mcg", "\u03bcg": "mcg", "ug": "mcg", "lb": "lb", "lbs": "lb", "pounds": "lb", "[lb_av]": "lb",
    "kg/m\u00b2": "kg/m2", "bpm": "/min", "beats/min": "/min", "breaths/min": "/min", "{beats}/min": "/min",
    "unit": "u", "units": "u", "iu": "u", "[iu]": "u", "10*3/ul": "k/ul", "10^3/ul": "k/ul", "10*9/l": "k/ul",
    "10^9/l": "k/ul", "x10^9/l": "k/ul", "k/\u00b5l": "k/ul", "hours": "h", "hour": "h", "hr": "h", "hrs": "h",
    "{score}": "", "{nominal}": "", "1": "", "actuat": "actuat",
    "ml/min/{1.73_m2}": "ml/min/1.73m2", "ml/min/1.73 m2": "ml/min/1.73m2",
    "ml/min/1.73m\u00b2": "ml/min/1.73m2", "ml/min/1.73 m\u00b2": "ml/min/1.73m2", "[iu]/l": "u/l", "iu/l": "u/l",
    "10*6/ul": "m/ul",
    "10^6/ul": "m/ul",
}  # fmt: skip
_TIMES = {"hour": 1 / 24, "hr": 1 / 24, "h": 1 / 24, "minute": 1 / 1440, "day": 1.0, "week": 7.0, "month": 30.44,
          "year": 365.25, "yr": 365.25}  # fmt: skip
_LARGEST_ERROR = 0.05  # of the value: a rounding that changes it by more is another value


class Number(NamedTuple):
    """A number in a text: its value, the decimals that it was written with, its unit as written, and its place."""

    value: float
    decimals: int
    unit: str
    start: int
    end: int

    @property
    def days(self) -> float | None:
        """The length in days, of a duration; None for other numbers."""
        per = _TIMES.get(self.unit.lower().rstrip("s"))
        return None if per is None else self.value * per


class Date(NamedTuple):
    """A date in a text: the spans that it may mean (two where day and month could be swapped), and its place."""

    days: tuple[Day, ...]
    start: int
    end: int


def dates(text: str) -> list[Date]:
    """The dates of a text; "03/05/2020" may be 3 May or 5 March."""
    found = []
    for match in _DATES.finditer(text):
        got = match.groupdict()
        if got["iso"]:
            spans = [_minute(_span(got["y"], got["m"], got["d"]), got["clock"])]
        elif got["dmy"]:
            spans = [_span(got["y1"], got["m1"], got["d1"])]
        elif got["mdy"]:
            spans = [_span(got["y2"], got["m2"], got["d2"])]
        elif got["my"]:
            spans = [_span(got["y3"], got["m3"], None)]
        elif got["slash"]:
            spans = [_span(got["y4"], got["a"], got["b"]), _span(got["y4"], got["b"], got["a"])]
        else:
            spans = [_span(got["year"], None, None)]
        days = tuple(span for span in dict.fromkeys(spans) if span is not None)
        found.append(Date(days, match.start(), match.end()))
    return found


def _span(year: str, month: str | None, day: str | None) -> Day | None:
    try:
        if month is None:
            return Day(datetime(int(year), 1, 1, tzinfo=UTC), datetime(int(year), 12, 31, 23, 59, 59, tzinfo=UTC))
        number = _MONTHS.get(month.lower().rstrip(".")) or int(month)
        if day is None:
            start = datetime(int(year), number, 1, tzinfo=UTC)
            after = datetime(int(year) + number // 12, number % 12 + 1, 1, tzinfo=UTC)
            return Day(start, after - timedelta(seconds=1))
        start = datetime(int(year), number, int(day), tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return Day(start, start + timedelta(hours=23, minutes=59, seconds=59))


def _minute(day: Day | None, clock: str | None) -> Day | None:
    """Return the minute of a day that a clock time names, in the time zone that it names, else as it stands."""
    if day is None or not clock:
        return day
    hour, minute = int(clock[1:3]), int(clock[4:6])
    if hour > 23 or minute > 59:
        return None
    start = day.start + timedelta(hours=hour, minutes=minute)
    if clock[-3:-2] == ":" and clock[-6] in "+-":
        offset = timedelta(hours=int(clock[-5:-3]), minutes=int(clock[-2:]))
        start = start - offset if clock[-6] == "+" else start + offset
    return Day(start, start + timedelta(seconds=59))


def numbers(text: str, taken: Sequence[tuple[int, int]] = ()) -> list[Number]:
    """The numbers of a text, in digits or in words from two to twelve, outside of places that are taken."""
    return sorted(_numbers(text, taken), key=lambda number: number.start)


def _numbers(text: str, taken: Sequence[tuple[int, int]]) -> Iterator[Number]:
    busy = bytearray(len(text) + 1)
    for start, end in taken:
        busy[start:end] = b"\x01" * (end - start)
    for match in _NUMBER.finditer(text):
        if any(busy[match.start("number") : match.end("number")]):
            continue
        written = match["number"].replace(",", "")
        before = text[match.start() - 1] if match.start() else " "
        negative = match["sign"] and not (before.isalnum() or before in ")]")
        value = -float(written) if negative else float(written)
        if not math.isfinite(value):
            continue
        decimals = len(written.partition(".")[2])
        yield Number(value, decimals, (match["unit"] or "").strip(), match.start("number"), match.end())
    for match in _NUMBER_WORD.finditer(text):
        if not any(busy[match.start() : match.end()]):
            yield Number(float(_WORDS[match[0].lower()]), 0, "", match.start(), match.end())


def same_unit(one: str, other: str) -> bool:
    """Return whether two units are written for the same one."""
    return canonical(one) == canonical(other)


def canonical(unit: str) -> str:
    """A unit in one spelling; empty for a number without one."""
    low = unit.strip().lower()
    low = _SAME_UNIT.get(low, low)
    return low.removesuffix("s") if low.rstrip("s") in ("puff", "tablet", "capsule", "drop", "day", "week") else low


def holds(number: Number, value: Value, *, loinc: str | None = None, about: bool = False) -> bool | None:
    """Return whether a stated number is a value, rounded at most; None where the number fits and the unit does not.

    A unit that only one of the two has is no contradiction. Rounding may change a value by half of the last decimal
    that was written, and by 5 % at most ("about": by 5 % at all).
    """
    if _rounds(number.value, number.decimals, value.number, about=about):
        if not number.unit or not value.unit or same_unit(number.unit, value.unit):
            return True
    elif not number.unit or not value.unit or same_unit(number.unit, value.unit):
        return False
    for unit, other in _converted(number, value, loinc):
        if unit and _rounds(number.value, number.decimals, other, about=about):
            return True
    return None if _rounds(number.value, number.decimals, value.number, about=about) else False


def _converted(number: Number, value: Value, loinc: str | None) -> Iterator[tuple[str, float]]:
    """The value in the stated number's unit."""
    if loinc is not None and value.normal is not None:
        stated = normalise(loinc, 1.0, number.unit)
        zero = normalise(loinc, 0.0, number.unit)
        if stated.value is not None and zero.value is not None and stated.unit == value.normal_unit:
            slope = stated.value - zero.value
            if slope:
                yield number.unit, (value.normal - zero.value) / slope
    try:
        yield number.unit, convert_ucum(value.number, value.unit, number.unit)
    except (UnitError, ValueError, ArithmeticError):
        return


def _rounds(stated: float, decimals: int, true: float, *, about: bool) -> bool:
    error = abs(stated - true)
    if error <= 1e-9 * max(1.0, abs(true)):
        return True
    if abs(true) < 1e-12:
        return False
    within = error / abs(true) <= _LARGEST_ERROR
    return within and (about or error <= 0.5 * 10.0**-decimals + 1e-9)
