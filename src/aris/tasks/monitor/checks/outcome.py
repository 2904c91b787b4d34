"""The outcome of one rule's check at one moment."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from aris.records import Record
from aris.tasks.monitor.facts import Value
from aris.tasks.monitor.results import Evidence
from aris.tasks.monitor.rule import Limit, Severity

_LONGEST = 120


@dataclass(frozen=True)
class Found:
    """A condition that holds: see `results.Flag`.

    `grade` tells stages of one severity apart: a higher one is worse. `aspects` tells apart what one rule can find: a
    value that is too high from one that is too low, one report from another. One that was not there before is told,
    though its severity is the same.
    """

    severity: Severity
    text: str
    since: datetime
    evidence: tuple[Evidence, ...]
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    grade: float = 0.0
    aspects: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Lacking:
    """A check that cannot be judged, and why."""

    kind: Literal["outside", "missing", "unread"]
    reason: str


Outcome = Found | Lacking | None


def evidence_of(value: Value, title: str) -> Evidence:
    """A value as evidence."""
    return Evidence(id=value.id, name=title, shown=clean(value.shown), at=value.at)


def evidence_in(record: Record, name: str) -> Evidence:
    """A record as evidence: its concept's words."""
    when = record.time or record.known
    return Evidence(id=record.id, name=name, shown=clean(record.concept.text), at=None if when is None else when.start)


def passes(value: Value, limit: Limit) -> bool:
    """Tell whether a value certainly passes a limit."""
    if limit.at_least is not None:
        return value.at_least(limit.at_least)
    if limit.above is not None:
        return value.above(limit.above)
    if limit.at_most is not None:
        return value.at_most(limit.at_most)
    assert limit.below is not None  # exactly one is given
    return value.below(limit.below)


def clean(text: str) -> str:
    """A piece of the record on one short line, without control characters: it is nobody's instruction."""
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+", " ", text).strip()[:_LONGEST]


def ago(moment: datetime) -> str:
    """A moment as a reader says it."""
    return moment.strftime("%Y-%m-%d %H:%M")


def lasting(hours: float) -> str:
    """A span as a reader says it."""
    if hours < 1:
        return f"{hours * 60:.0f} minutes"
    return f"{hours:.0f} hours" if hours < 72 else f"{hours / 24:.0f} days"
