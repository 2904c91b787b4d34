"""Times as records state them: with their precision, never made more exact than they were written.

FHIR writes a date as a year, a month, a day or an instant. `When` keeps the text and the span of instants that it may
mean, so that "2019" is neither 1 January nor unknown. A time that nobody stated is `None`, never a made-up date.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal

Precision = Literal["year", "month", "day", "minute", "second"]

_NO_OFFSET = timedelta(0)
_DATE_TIME = re.compile(
    r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d+))?)?\s*(Z|[+-]\d{2}:?\d{2})?)?)?)?",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class When:
    """A stated time: its text, its precision, and the span of instants that it may mean.

    Attributes:
        text: the time as the record writes it, such as "2019", "2019-03" or "2019-03-04T10:00:00+01:00".
        precision: "year", "month", "day", "minute" or "second".
        start: the earliest instant that it may mean, in UTC. A date without a time zone counts as UTC.
        end: the latest such instant, in UTC (equal to `start` for an instant).
        zoned: whether the text names its time zone; only then are hours comparable between sites.
    """

    text: str
    precision: Precision
    start: datetime = field(repr=False)
    end: datetime = field(repr=False)
    zoned: bool = field(default=False, repr=False)

    @property
    def day(self) -> str:
        """The date as written, at most to the day: "2019", "2019-03" or "2019-03-04"."""
        return self.text[:10]

    @property
    def exact(self) -> bool:
        """Return whether the time is known to the minute or better."""
        return self.precision in ("minute", "second")

    def before(self, moment: datetime) -> bool:
        """Return whether every instant that this may mean lies before `moment` (which has a time zone)."""
        return self.end < moment

    def by(self, moment: datetime) -> bool:
        """Return whether it may lie at or before `moment` (which has a time zone)."""
        return self.start <= moment

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=16384)
def parse_when(text: str) -> When | None:
    """Return the time that a FHIR date, dateTime or instant states, or `None` where it states none."""
    text = text.strip()
    instant = _instant(text)
    if instant is not None:
        return instant
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        if month is None:
            start = datetime(int(year), 1, 1, tzinfo=UTC)
            return When(text, "year", start, datetime(int(year), 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
        if day is None:
            start = datetime(int(year), int(month), 1, tzinfo=UTC)
            last = monthrange(int(year), int(month))[1]
            end = start.replace(day=last, hour=23, minute=59, second=59, microsecond=999999)
            return When(text, "month", start, end)
        if hour is None:
            start = datetime(int(year), int(month), int(day), tzinfo=UTC)
            return When(text, "day", start, start.replace(hour=23, minute=59, second=59, microsecond=999999))
        leap = second == "60"  # a leap second counts as the second before it
        micro = int((fraction or "")[:6].ljust(6, "0"))
        start = datetime(
            int(year), int(month), int(day), int(hour), int(minute), 59 if leap else int(second or 0), micro, tzinfo=UTC
        )
        if zone and zone not in "Zz":
            offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
            start = start - offset if zone[0] == "+" else start + offset
    except (ValueError, OverflowError):  # a month 13, an hour 25, a year 0 or an instant past the calendar's end
        return None
    return When(text, "second" if second else "minute", start, start, zone is not None)


def _instant(text: str) -> When | None:
    """Return a full date and time with its zone, as most are, by Python's own parser; `None` for all else."""
    if len(text) < 20 or text[4] != "-" or text[10] != "T" or text[13] != ":" or text[16] != ":":
        return None
    try:
        start = datetime.fromisoformat(text)
        if start.tzinfo is None or not text.isascii():
            return None
        start = start.replace(tzinfo=UTC) if start.utcoffset() == _NO_OFFSET else start.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return When(text, "second", start, start, True)


def sort_key(when: When | None) -> tuple[bool, datetime, datetime]:
    """Return the key that sorts by time, unknown times first."""
    if when is None:
        return (False, datetime.min.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC))
    return (True, when.start, when.end)
