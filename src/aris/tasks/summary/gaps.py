"""Open questions: what is pending, contradictory, unknown or missing in a record."""

from __future__ import annotations

from datetime import datetime

from aris.records import Measurement, Order, Report, Timeline, When
from aris.tasks.summary.medications import current_medications, ended_later
from aris.tasks.summary.problems import same_name
from aris.tasks.summary.results import Statement
from aris.tasks.summary.words import name_of, on, stamp, value_of

NOTHING_OPEN = "An open question is not documented in this record."
MORE = "More of this kind is documented than is shown here: see the record."
SHOWN = 12  # of each kind
_OPEN = frozenset((
    "active", "on-hold", "draft", "requested", "received", "accepted", "ready", "in-progress", "booked", "pending",
    "proposed", "waitlist",
))  # fmt: skip
_UNFINISHED = ("registered", "partial", "preliminary")


def open_questions(timeline: Timeline, moment: datetime | None) -> list[Statement]:
    """Lay out what is open: pending work, contradictions, what is not documented at all."""
    found = [*pending(timeline), *_contradictions(timeline, moment), *_missing_values(timeline), *_missing(timeline)]
    return found or [Statement(text=NOTHING_OPEN)]


def pending(timeline: Timeline) -> list[Statement]:
    """Lay out orders without a result, unfinished reports and results."""
    answered = _answered(timeline)
    found = [
        Statement(text=_order(order), cites=(order.id,))
        for order in reversed(timeline.orders)
        if order.status in _OPEN and order.id not in answered and not order.forbidden
    ]
    found += [
        Statement(text=f"Report not final ({report.status}): {_named(report)}", cites=(report.id,))
        for report in reversed(timeline.reports)
        if report.status in _UNFINISHED
    ]
    for m in reversed(timeline.measurements):
        if m.status in _UNFINISHED and m.component in (None, 0):
            shown = f": {value_of(m)}" if value_of(m) else ""
            text = f"Result not final ({m.status}): {_named(m)}{shown}"
            found.append(Statement(text=text, cites=(m.id,)))
    return _first(found, 2 * SHOWN)


def _first(found: list[Statement], shown: int) -> list[Statement]:
    """The first statements, with a last one that says so where there are more."""
    return found if len(found) <= shown else [*found[:shown], Statement(text=MORE)]


def follow_up(timeline: Timeline) -> list[Statement]:
    """Lay out what is ordered, booked or planned."""
    answered = _answered(timeline)
    found = [
        Statement(text=_order(order, reported=order.id in answered), cites=(order.id,))
        for order in reversed(timeline.orders)
        if order.status in _OPEN and not order.forbidden
    ]
    for plan in reversed(timeline.plans):
        if plan.status in ("active", "on-hold", "proposed", "planned", "accepted"):
            doing = f": {'; '.join(plan.activities)}" if plan.activities else ""
            word = "Goal" if plan.resource_type == "Goal" else "Care plan"
            found.append(Statement(text=f"{word} ({plan.status}), {name_of(plan.concept)}{doing}", cites=(plan.id,)))
    return _first(found, SHOWN) or [Statement(text="Follow-up is not documented in this record.")]


def _answered(timeline: Timeline) -> set[str]:
    return {order for report in timeline.reports for order in report.based_on}


def _order(order: Order, *, reported: bool = False) -> str:
    unanswered = "Ordered, a report is here" if reported else "Ordered, no report here"
    what = {"Appointment": "Appointment", "Task": "Task"}.get(order.resource_type, unanswered)
    asked = f" ({order.status}{', ' + order.priority if order.priority else ''})"
    return f"{what}{asked}: {name_of(order.concept)}{', ' + on(order.time) if order.time else ''}"


def _named(r: Report | Measurement) -> str:
    return f"{name_of(r.concept)}{', ' + on(r.time) if r.time else ''}"


def _contradictions(timeline: Timeline, moment: datetime | None) -> list[Statement]:
    """Drugs of which one entry says that they are in use and a later one that they are not."""
    found = []
    for group in same_name(current_medications(timeline, moment)):
        later = ended_later(timeline, group[0], moment)
        if later is not None:
            text = (
                f"{name_of(later.concept)}: an older entry is active{_of(group[0].time)}, "
                f"the newest is {later.status}{_of(later.time)}"
            )
            found.append(Statement(text=text, cites=(later.id, group[0].id)))
    if any(a.negated and a.verification != "refuted" for a in timeline.allergies):
        real = [a for a in timeline.allergies if not a.negated]
        none = [a for a in timeline.allergies if a.negated and a.verification != "refuted"]
        if real:
            text = f"The record states {name_of(none[0].concept)}, and also {name_of(real[0].concept)}"
            found.append(Statement(text=text, cites=(none[0].id, real[0].id)))
    return _first(found, SHOWN)


def _of(when: When | None) -> str:
    return f" (of {stamp(when)})" if when is not None else ""


def _missing_values(timeline: Timeline) -> list[Statement]:
    """Tests whose newest entry has no value, or a unit that is not known."""
    found = []
    for group in same_name(list(reversed(timeline.measurements))):
        m = group[0]
        if m.absent_reason and not value_of(m):
            text = f"{_named(m)}: no value ({m.absent_reason})"
            found.append(Statement(text=text, cites=(m.id,)))
        elif m.unit_problem and m.unit:
            found.append(Statement(text=f"{_named(m)}: {value_of(m)}; {m.unit_problem}", cites=(m.id,)))
    return _first(found, SHOWN)


def _missing(timeline: Timeline) -> list[Statement]:
    kinds = (
        ("Problems", timeline.conditions), ("Medications", timeline.medications), ("Allergies", timeline.allergies),
    )  # fmt: skip
    return [Statement(text=f"{name}: not documented in this record") for name, found in kinds if not found]
