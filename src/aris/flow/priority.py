"""Priority: the order's own urgency, then findings over their operating point, then waiting time. Rules, no model.

A draft's words and scores raise a study's concern, and nothing lowers it below that of one without a finding: a study
that was not assessed stands as its order says. The reason is text, for whoever looks at the list.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from aris.store.reading.orders import Urgency
from aris.tasks import Draft

URGENCY: dict[Urgency, int] = {"routine": 0, "urgent": 1, "stat": 2}
_CONCERN = {"routine": 0, "urgent": 2, "critical": 3}


@dataclass(frozen=True)
class Concern:
    """Concern that a draft's findings raise.

    Attributes:
        level: 0 nothing; 1 a finding over its operating point; 2 an urgent, 3 a critical one.
        assessed: whether any finding was scored, or a text was written.
        reason: in words.
    """

    level: int
    assessed: bool
    reason: str


NOT_DRAFTED = Concern(0, False, "")


def concern_of(draft: Draft) -> Concern:
    """Return the concern that a draft raises."""
    scored = draft.assessment.findings if draft.assessment is not None else ()
    over = [each.name for each in scored if each.assessed and (each.present or each.over)]
    if not scored:
        over = [each.name for each in draft.findings if each.present]
    written = bool(draft.sections.findings or draft.sections.impression)
    assessed = written or any(each.probability is not None for each in draft.findings)
    level = max(_CONCERN[draft.priority], 1 if over else 0)
    if not assessed:
        return Concern(level, False, "not assessed: its place is its order's")
    said = {each.name: each.probability for each in draft.findings}
    parts = [_with_number(name, said.get(name)) for name in over]
    if parts:
        reason = f"{', '.join(parts)}: over the operating point"
    elif level:
        reason = f"the draft's text states what is {draft.priority}"
    else:
        reason = "no finding over its operating point"
    return Concern(level, True, f"{draft.priority}: {reason}" if parts and level > 1 else reason)


def reason_in_words(urgency: int, reason: str, arrived: datetime, due: datetime, now: datetime, *, waits: bool) -> str:
    """Return the reason for a study's rank, with its wait."""
    order = {2: "STAT order", 1: "urgent order"}.get(urgency, "")
    late = f"past the first-come limit of {told(due - arrived)}" if waits and due <= now else ""
    wait = f"waits {told(now - arrived)}" if waits else ""
    return "; ".join(each for each in (order, reason, late, wait) if each)


def told(span: timedelta) -> str:
    """A span in minutes, hours or days."""
    minutes = max(int(span.total_seconds() // 60), 0)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // (24 * 60)} days"


def _with_number(name: str, probability: float | None) -> str:
    if probability is None:
        return name
    return f"{name} {'>0.99' if probability > 0.99 else f'{probability:.2f}'}"
