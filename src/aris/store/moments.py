"""Dates and times of day as keys of a search: single values and ranges (PS3.4 C.2.2.2.5), alone and together."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, String, func

from aris.imaging.dicom.values import plain_day as plain_day

# Times are compared as HHMMSS.FFFFFF; what a value leaves out is filled from one of these.
_FIRST, _LAST = "000000.000000", "235959.999999"
_LEAST_DAY, _GREATEST_DAY = "00010101", "99991231"
_LATEST = "235960.999999"  # a leap second
_CLOCK = re.compile(r"([01]\d|2[0-3])(?::?([0-5]\d)(?::?([0-5]\d|60)(?:\.(\d{1,6}))?)?)?", re.ASCII)


class MomentError(ValueError):
    """No date, no time, or no range of them."""


def day_condition(column: SQLColumnExpression[Any], value: str) -> ColumnElement[bool]:
    """Dates that a single date or a range matches; an absent date is in no range.

    Raises:
        MomentError: it is neither.
    """
    low, high = _ends(value, _day)
    return (func.length(column) == 8) & column.between(low or _LEAST_DAY, high or _GREATEST_DAY)


def time_condition(column: SQLColumnExpression[Any], value: str) -> ColumnElement[bool]:
    """Times of day that a single time or a range matches.

    "0915" means all of that minute at the end of a range and alone, and its beginning at the start of one; a stored
    "0915" is its beginning.

    Raises:
        MomentError: it is neither.
    """
    low, high = _ends(value, _time)
    return (column != "") & _padded(column).between(low or _FIRST, high or _LATEST)


def combined_condition(
    day: SQLColumnExpression[Any], time: SQLColumnExpression[Any], days: str, times: str
) -> ColumnElement[bool]:
    """Combine moments from the first date and time to the last (Combined Datetime Matching, PS3.4 C.2.2.2.5).

    PS3.18 asks for it of QIDO-RS: "20260101-20260103" with "1000-1200" is two days and two hours, not two hours of
    three days.

    Raises:
        MomentError: one is no range.
    """
    (first, last), (begin, end) = _ends(days, _day), _ends(times, _time)
    moment = day + _padded(time)
    low = (first + (begin or _FIRST)) if first else _LEAST_DAY + _FIRST
    high = (last + (end or _LATEST)) if last else _GREATEST_DAY + _LATEST
    known = (func.length(day) == 8) & (time != "")
    return known & _padded(time).between(_FIRST, _LATEST) & moment.between(low, high)


def is_range(value: str) -> bool:
    """Return whether a value is a range."""
    return "-" in value


def _ends(value: str, read: Any) -> tuple[str, str]:
    """First and last of a range, "" for an open end; of a single value its own."""
    first, dash, last = (part.strip() for part in value.partition("-"))
    if not dash:
        return read(first, False), read(first, True)
    if not first and not last:
        raise MomentError
    return (read(first, False) if first else ""), (read(last, True) if last else "")


def _day(text: str, _last: bool) -> str:
    text = plain_day(text)
    try:
        if not re.fullmatch(r"\d{8}", text, re.ASCII):
            raise ValueError
        datetime.strptime(text, "%Y%m%d")
    except ValueError:
        raise MomentError from None
    return text


def _time(text: str, last: bool) -> str:
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise MomentError
    hour, minute, second, fraction = found.groups()
    known = "".join(part for part in (hour, minute, second) if part) + (f".{fraction}" if fraction else "")
    return known + (_LAST if last else _FIRST)[len(known) :]


def _padded(column: SQLColumnExpression[Any]) -> ColumnElement[Any]:
    """A stored time, with or without minutes, seconds, fraction and the colons of old files, in one form."""
    digits = func.replace(func.trim(column), ":", "", type_=String)
    padded: ColumnElement[Any] = digits + func.substr(_FIRST, func.length(digits) + 1, type_=String)
    return padded
