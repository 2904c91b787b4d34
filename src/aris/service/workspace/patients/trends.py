"""Results of a record as series on an axis: in one unit, said where it was converted; what has no place is listed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from math import isfinite
from typing import Annotated

from fastapi import APIRouter, Query

from aris.exchange.documents.report import clean
from aris.records import Measurement, Timeline
from aris.records.scores.trend import theil_sen
from aris.records.units import quantity_name
from aris.service.workspace.patients.flags import severities
from aris.service.workspace.patients.opening import Here, Looker, Number, opened
from aris.service.workspace.schemas.patients import TrendChoice, TrendPoint, Trends, TrendSeries, Unplotted
from aris.tasks.summary.measurements import series_key
from aris.tasks.summary.words import (
    flags_of,
    is_abnormal,
    is_critical,
    number,
    range_of,
    stamp,
    test_name,
    unit_of,
    value_of,
)

router = APIRouter(prefix="/api/patients/{number}", tags=["patients"])
MOST_POINTS, _MOST_SERIES, _MOST_UNPLOTTED = 2000, 12, 100
_SLOPE_POINTS, _SLOPE_SPAN = 200, timedelta(days=730)
# First what changes by the hour and decides.
_CORE = (
    "potassium", "creatinine", "glomerular filtration rate", "heart rate", "respiratory rate", "oxygen saturation",
    "systolic blood pressure", "diastolic blood pressure", "body temperature", "lactate", "haemoglobin", "sodium",
    "glucose", "leukocytes", "platelets", "C-reactive protein", "international normalised ratio", "haemoglobin A1c",
)  # fmt: skip
_RANK = {name: place for place, name in enumerate(_CORE)}
_ORDER = {"critical": 0, "warning": 1, "info": 2, "": 3}
_KIND = {"quantity": "q"}


@router.get("/trends")
def trends(
    number: Number,
    caller: Looker,
    workspace: Here,
    key: Annotated[list[str] | None, Query(max_length=_MOST_SERIES)] = None,
) -> Trends:
    """The quantities that there are results of, and the series of those that are named."""
    found = opened(workspace, caller, number, "trends")
    flagged = severities(workspace, found)
    groups = _groups(found.timeline)
    choices = [_choice(name, values, flagged) for name, values in groups.items()]
    choices.sort(key=lambda each: (_ORDER[each.flagged], not each.abnormal, _rank(each.key), -each.count, each.name))
    series = [series_of(each, groups[each], flagged) for each in dict.fromkeys(key or ()) if each in groups]
    return Trends(choices=choices, series=series)


def _groups(timeline: Timeline) -> dict[str, list[Measurement]]:
    groups: dict[str, list[Measurement]] = defaultdict(list)
    for each in timeline.measurements:
        kind, name = series_key(each)
        groups[clean(f"{_KIND.get(kind, kind)}:{name}")[:200]].append(each)
    # Words that were said once are no trend; they are in the timeline.
    return {key: values for key, values in groups.items() if any(each.value is not None for each in values)}


def _rank(key: str) -> int:
    return _RANK.get(key.removeprefix("q:"), len(_RANK))


def _choice(key: str, values: list[Measurement], flagged: Mapping[str, str]) -> TrendChoice:
    stated = [each for each in values if value_of(each) and each.status != "cancelled"] or values
    last = stated[-1]
    plotted = sum(each.value is not None and each.time is not None for each in values)
    worst = min((flagged.get(each.id, "") for each in values), key=lambda each: _ORDER[each], default="")
    return TrendChoice(
        key=key, name=clean(quantity_name(last.loinc) or test_name(last)), count=len(values), plotted=plotted,
        newest=clean(value_of(last)), at="" if last.time is None else stamp(last.time, clock=True),
        abnormal=is_abnormal(last) or is_critical(last), flagged=worst,
    )  # fmt: skip


def series_of(key: str, values: list[Measurement], flagged: Mapping[str, str]) -> TrendSeries:
    """A series: the results that can be compared as points, the others with the reason."""
    unplotted = [_unplotted(each, _why_not(each)) for each in values if _why_not(each)]
    usable = [each for each in values if not _why_not(each)]
    unit, normal, converted = _unit(usable)
    points: list[TrendPoint] = []
    for each in usable:
        if (each.normal_value is None) if normal else (unit_of(each) != unit):
            why = each.unit_problem or "its unit is another one, and is not converted"
            unplotted.append(_unplotted(each, f"unit {unit_of(each) or 'not stated'}: {why}"))
            continue
        points.append(_point(each, normal, flagged))
    kept = points[-MOST_POINTS:]
    banded = next((each for each in reversed(kept) if each.low is not None or each.high is not None), None)
    last = usable[-1] if usable else values[-1]
    return TrendSeries(
        key=key, name=clean(quantity_name(last.loinc) or test_name(last)), unit=clean(unit),
        unit_note=_unit_note(unit, converted), points=kept, unplotted=unplotted[-_MOST_UNPLOTTED:],
        more=len(points) - len(kept), band_low=None if banded is None else banded.low,
        band_high=None if banded is None else banded.high,
        band_text=next((clean(range_of(each)) for each in reversed(usable) if range_of(each)), ""),
        slope=_slope(kept, unit),
    )  # fmt: skip


def _unit(usable: list[Measurement]) -> tuple[str, bool, Counter[str]]:
    """(the unit of the axis, whether values are converted to it, those that are converted by their unit)."""
    own = Counter(unit_of(each) for each in usable)
    if len(own) < 2:
        return (next(iter(own), ""), False, Counter())
    normal = {each.normal_unit for each in usable if each.normal_value is not None}
    if len(normal) != 1:
        return unit_of(usable[-1]), False, Counter()
    converted = Counter(
        unit_of(each) for each in usable if each.normal_value is not None and each.normal_value != each.value
    )
    code = normal.pop()
    shown = next((unit_of(each) for each in reversed(usable) if each.unit == code), code)
    return shown, True, converted


def _unit_note(unit: str, converted: Counter[str]) -> str:
    if not converted:
        return ""
    told = ", ".join(f"{count} from {name or 'no unit'}" for name, count in converted.most_common())
    return clean(f"in {unit}; converted: {told}")


def _point(each: Measurement, normal: bool, flagged: Mapping[str, str]) -> TrendPoint:
    assert each.time is not None and each.value is not None
    found = each.range
    low, high = (None, None) if found is None else (
        (found.normal_low, found.normal_high) if normal else (found.low, found.high)
    )  # fmt: skip
    value = each.normal_value if normal and each.normal_value is not None else each.value
    return TrendPoint(
        id=each.id, at=each.time.start.isoformat(), value=value, shown=clean(value_of(each)),
        comparator=each.comparator,
        low=low, high=high, flag=clean(flags_of(each)), status=each.status, flagged=flagged.get(each.id, ""),
    )  # fmt: skip


def _why_not(each: Measurement) -> str:
    if each.status == "cancelled":
        return "cancelled"
    if each.value is None:
        if each.absent_reason:
            return f"no value: {each.absent_reason}"
        return "in words, no number" if value_of(each) else "no value, and no reason stated"
    if not isfinite(each.value):
        return "no number"
    return "at an unknown time" if each.time is None else ""


def _unplotted(each: Measurement, why: str) -> Unplotted:
    at = "" if each.time is None else stamp(each.time, clock=True)
    return Unplotted(id=each.id, at=at, shown=clean(value_of(each)) or "no value", why=clean(why))


def _slope(points: list[TrendPoint], unit: str) -> str:
    """The robust slope of the last two years in words; "" where nothing is known of it."""
    if not points:
        return ""
    last = datetime.fromisoformat(points[-1].at)
    recent = [each for each in points if last - datetime.fromisoformat(each.at) <= _SLOPE_SPAN and not each.comparator]
    recent = recent[-_SLOPE_POINTS:]
    if len(recent) < 5:
        return ""
    span = last - datetime.fromisoformat(recent[0].at)
    for name, length in (("year", timedelta(days=365.25)), ("day", timedelta(days=1)), ("hour", timedelta(hours=1))):
        if span >= length:
            times = [(datetime.fromisoformat(each.at) - last) / length for each in recent]
            line = theil_sen(times, [each.value for each in recent])
            if line is None or not (isfinite(line.low) and isfinite(line.high)):
                return ""
            if line.low <= 0 <= line.high:
                return f"no clear trend over {len(recent)} results"
            if max(abs(line.low), abs(line.high)) > 8 * min(abs(line.low), abs(line.high)):
                return ""  # too wide to say more than the points do
            way = "rises" if line.slope > 0 else "falls"
            ends = sorted((abs(line.low), abs(line.high)))
            return clean(
                f"{way} by {number(abs(line.slope))} {unit} a {name} (Theil-Sen, 95 % {number(ends[0])} "
                f"to {number(ends[1])}, {len(recent)} results)"
            )
    return ""
