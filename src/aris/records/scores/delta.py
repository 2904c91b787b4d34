"""Delta checks: a change between a patient's own results that is larger than time explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Direction = Literal["rise", "fall", "either"]


@dataclass(frozen=True)
class Point:
    """A result at a moment.

    Attributes:
        at: when the sample was taken.
        value: in one unit for all points that are compared.
        id: of the resource that it comes from.
    """

    at: datetime
    value: float
    id: str = ""


@dataclass(frozen=True)
class Delta:
    """A change.

    Attributes:
        before, after: the two results.
        change: `after` less `before`.
        percent: the change of 100% of `before`; None where that is 0.
    """

    before: Point
    after: Point
    change: float
    percent: float | None


def largest_change(
    points: Sequence[Point], now: datetime, within: timedelta, direction: Direction = "either"
) -> Delta | None:
    """Find the largest change from an earlier result to the newest one.

    Args:
        points: in any order; those after `now` are not looked at.
        now: the moment.
        within: the earlier result lies at most so long before the newest one.
        direction: "rise" and "fall" look only that way.

    Returns:
        The change, or None where no earlier result lies within, or none changed that way.
    """
    past = sorted((each for each in points if each.at <= now), key=lambda each: each.at)
    if not past:
        return None
    newest = past[-1]
    earlier = [each for each in past[:-1] if newest.at - each.at <= within]
    if direction == "rise":
        earlier = [each for each in earlier if each.value < newest.value]
    elif direction == "fall":
        earlier = [each for each in earlier if each.value > newest.value]
    if not earlier:
        return None
    # Of equal changes the later one is shown: it is the faster one.
    before = max(earlier, key=lambda each: (abs(newest.value - each.value), each.at))
    change = newest.value - before.value
    return Delta(before, newest, change, 100 * change / before.value if before.value else None)
