"""Problems and allergies laid out by rule."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TypeVar

from aris.records import Allergy, Condition, Record, Timeline
from aris.tasks.summary.results import Statement
from aris.tasks.summary.words import name_of, stamp

R = TypeVar("R", bound=Record)

NO_PROBLEMS = "Problems are not documented in this record."
NO_ACTIVE = "No active problem is documented in this record."
NO_ALLERGIES = "Allergies are not documented in this record."


def active_conditions(timeline: Timeline, moment: datetime | None) -> list[Condition]:
    """Return the problems that are active, the newest first."""
    return [c for c in reversed(timeline.conditions) if c.active_at(moment) is True]


def problems(timeline: Timeline, moment: datetime | None) -> list[Statement]:
    """Lay out the active problems, then those of which the record does not say whether they are active."""
    found = [_condition(group) for group in same_name(active_conditions(timeline, moment))]
    open_ = [c for c in reversed(timeline.conditions) if c.active_at(moment) is None]
    found += [_unclear(group) for group in same_name(open_)]
    if found:
        return found
    return [Statement(text=NO_ACTIVE if timeline.conditions else NO_PROBLEMS)]


def same_name(records: list[R]) -> Iterator[list[R]]:
    """Group facts that are about the same thing, in the order of the first of each."""
    groups: dict[str, list[R]] = {}
    for record in records:
        groups.setdefault(identity(record), []).append(record)
    yield from groups.values()


def identity(record: Record) -> str:
    """Return what makes two facts be about the same thing: the words, else the code."""
    return name_of(record.concept).casefold()


def condition_words(c: Condition) -> str:
    """Return a problem's state in words: "active since 2019-03-04, provisional"."""
    state = c.status if c.status in ("recurrence", "relapse") else "active"
    if c.time is not None:
        state += f" since {stamp(c.time)}"
    elif c.onset_text:
        state += f", onset {c.onset_text}"
    parts = [state]
    if c.verification and c.verification != "confirmed":
        parts.append(f"{c.verification}, not confirmed")
    parts += [c.severity, c.stage, *(f"site: {site}" for site in c.sites)]
    return ", ".join(p for p in parts if p)


def _condition(group: list[Condition]) -> Statement:
    dated = [c for c in group if c.time is not None]
    first = min(dated, key=lambda c: c.time.start) if dated else group[0]  # type: ignore[union-attr]
    return Statement(text=f"{name_of(first.concept)}: {condition_words(first)}", cites=_ids([first, *group]))


def _unclear(group: list[Condition]) -> Statement:
    c = group[0]
    noted = f", noted {stamp(c.time)}" if c.time else f", recorded {stamp(c.known)}" if c.known else ""
    if c.abated and c.status != "unknown":
        ended = stamp(c.end) if c.end else c.end_text
        text = f"{name_of(c.concept)}{noted}: said to be {c.status}, and also to have ended ({ended})"
    else:
        text = f"{name_of(c.concept)}{noted}: whether it is active is not documented"
    return Statement(text=text, cites=_ids(group))


def allergies(timeline: Timeline) -> list[Statement]:
    """Lay out the allergies; what is resolved or refuted is said to be so."""
    found = [_allergy(a) for a in timeline.allergies if not a.negated and a.status not in ("resolved", "inactive")]
    for a in timeline.allergies:
        if a.verification == "refuted":
            found.append(Statement(text=f"{name_of(a.concept)}: refuted", cites=(a.id,)))
        elif a.negated:
            when = f" (recorded {stamp(a.known)})" if a.known else ""
            found.append(Statement(text=f"The record states: {name_of(a.concept)}{when}", cites=(a.id,)))
        elif a.status in ("resolved", "inactive"):
            found.append(Statement(text=f"{name_of(a.concept)}: {a.status}", cites=(a.id,)))
    return found or [Statement(text=NO_ALLERGIES)]


def _allergy(a: Allergy) -> Statement:
    parts = [a.type or "allergy or intolerance"]
    if a.criticality:
        parts.append(f"criticality {a.criticality}")
    if a.verification and a.verification != "confirmed":
        parts.append(f"{a.verification}, not confirmed")
    for reaction in a.reactions:
        words = ", ".join(reaction.manifestations)
        if words:
            parts.append(f"reaction: {words}" + (f" ({reaction.severity})" if reaction.severity else ""))
    if a.time is not None:
        parts.append(f"since {stamp(a.time)}")
    return Statement(text=f"{name_of(a.concept)}: {'; '.join(parts)}", cites=(a.id,))


def _ids(records: list[Condition]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(r.id for r in records))
