"""Checks of longer spans: the slope of eGFR over years, and tests that are overdue."""

from __future__ import annotations

from datetime import timedelta

from aris.records.scores import egfr_slope
from aris.tasks.monitor.checks.measured import missing, title_of
from aris.tasks.monitor.checks.outcome import (
    Found,
    Lacking,
    Outcome,
    ago,
    clean,
    evidence_in,
    evidence_of,
    lasting,
    passes,
)
from aris.tasks.monitor.facts import View
from aris.tasks.monitor.results import Evidence
from aris.tasks.monitor.rule import Overdue, Slope

_HOUR = timedelta(hours=1)


def slope(view: View, check: Slope) -> Outcome:
    """Judge the yearly change by the end of its 95% interval that is nearer to no change."""
    values = [each for each in view.values(check.of, check.look_back) if not each.comparator]
    if not values:
        return missing(view, check.of, check.look_back)
    if len(values) < check.least_results:
        return Lacking("missing", f"{len(values)} eGFR results; a trend needs {check.least_results}")
    trend = egfr_slope([each.at for each in values], [each.value for each in values], span=check.span)
    if trend is None:
        return Lacking("missing", f"the eGFR results span less than {lasting(check.span / _HOUR)}")
    if not trend.high < -check.faster_than:
        return None
    text = (
        f"eGFR falls by {-trend.slope:.1f} mL/min/1.73 m2 a year (95% interval {-trend.high:.1f} to {-trend.low:.1f}, "
        f"{trend.n} results from {values[0].at:%Y-%m-%d} to {values[-1].at:%Y-%m-%d})"
    )
    return Found(check.severity, text, values[0].at, tuple(evidence_of(each, "eGFR") for each in values))


def overdue(view: View, check: Overdue) -> Outcome:
    """Judge whether a test that something asks for was done in time."""
    title = title_of(check.test, view)
    if check.after is not None:
        return _repeat(view, check, title)
    asks: list[Evidence] = []
    if check.problem is not None:
        asks = [evidence_in(each, "problem") for each in view.problems(check.problem)]
    elif check.drug is not None:
        asks = [evidence_in(each, "drug") for each in view.drugs(check.drug)]
    if not asks:
        return None
    begun = min((each.at for each in asks if each.at is not None), default=None)
    if begun is not None and view.now - begun < check.within:
        return None
    last = view.latest(check.test, check.look_back)
    if last is not None and view.now - last.at <= check.within:
        return None
    span = lasting(check.within / _HOUR)
    if last is None:
        text, since = f"no {title} in the record, wanted every {span}", view.now
        if begun is not None:
            since = begun + check.within
    else:
        text, since = f"the last {title} is of {last.at:%Y-%m-%d}, wanted every {span}", last.at + check.within
    shown = asks[:1] if last is None else [*asks[:1], evidence_of(last, title)]
    return Found(check.severity, f"{text}: {clean(asks[0].shown)}", since, tuple(shown))


def _repeat(view: View, check: Overdue, title: str) -> Outcome:
    newest = view.latest(check.test, check.look_back)
    if newest is None:
        return missing(view, check.test, check.look_back)
    assert check.after is not None  # the caller looked
    if not passes(newest, check.after) or view.now - newest.at <= check.within:
        return None
    text = (
        f"{title} {clean(newest.shown)} at {ago(newest.at)} was not repeated within {lasting(check.within / _HOUR)}; "
        f"{lasting((view.now - newest.at) / _HOUR)} have passed"
    )
    return Found(check.severity, text, newest.at + check.within, (evidence_of(newest, title),))
