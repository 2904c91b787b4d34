"""Omissions: active problems, current drugs, allergies, abnormal latest results that a summary leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from aris.records import Record, Timeline
from aris.tasks.summary import measurements, medications, problems
from aris.tasks.summary.results import Omission, Section, Statement


def omissions(timeline: Timeline, moment: datetime | None, sections: Sequence[Section]) -> list[Omission]:
    """Return what counts and that no statement of the sections cites."""
    cited = {id_ for section in sections for statement in section.statements for id_ in statement.cites}
    found: list[Omission] = []
    facts = {statement.cites: statement for statement in problems.problems(timeline, moment)}
    for group in problems.same_name(problems.active_conditions(timeline, moment)):
        found += _left_out("active problem", group, cited, facts)
    facts = {s.cites: s for s in medications.medications(timeline, moment, None)}
    for drugs in problems.same_name(medications.current_medications(timeline, moment)):
        found += _left_out("current medication", drugs, cited, facts)
    facts = {s.cites: s for s in problems.allergies(timeline)}
    for allergy in timeline.allergies:
        if not allergy.negated and allergy.status not in ("resolved", "inactive"):
            found += _left_out("allergy", [allergy], cited, facts)
    for series in measurements.abnormal_series(timeline):
        if series.latest.id not in cited:
            told = measurements.describe(series)
            found.append(Omission(kind="abnormal result", text=told.text, cites=told.cites))
    return found


def _left_out(
    kind: str, group: Sequence[Record], cited: set[str], facts: dict[tuple[str, ...], Statement]
) -> list[Omission]:
    ids = {record.id for record in group}
    if ids & cited:
        return []
    told = next((s for cites, s in facts.items() if ids & set(cites)), None)
    text = told.text if told else group[0].concept.text
    return [Omission(kind=kind, text=text, cites=told.cites if told else (group[0].id,))]
