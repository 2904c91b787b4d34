"""The checks that rules are made of: each judges a view of the facts at one moment."""

from __future__ import annotations

from aris.tasks.monitor.checks.combined import drug_allergy, drug_pair, together
from aris.tasks.monitor.checks.measured import change, limits, percentile, ranges
from aris.tasks.monitor.checks.outcome import Found, Lacking, Outcome
from aris.tasks.monitor.checks.over_time import overdue, slope
from aris.tasks.monitor.checks.scored import scored
from aris.tasks.monitor.checks.texts import note_contradiction, report_follow_up
from aris.tasks.monitor.facts import View
from aris.tasks.monitor.rule import (
    Change,
    DrugAllergy,
    DrugPair,
    Limits,
    NoteContradiction,
    Overdue,
    Percentile,
    Ranges,
    ReportFollowUp,
    Rule,
    Scored,
    Slope,
    Together,
)

__all__ = ["Found", "Lacking", "Outcome", "judge"]


def judge(rule: Rule, view: View) -> Outcome:
    """Judge one rule: its condition as it holds, why it cannot be judged, or None where nothing was found."""
    outside = _outside(rule, view)
    if outside:
        return Lacking("outside", outside)
    match rule.check:
        case Limits():
            return limits(view, rule.check)
        case Change():
            return change(view, rule.check)
        case Scored():
            return scored(view, rule.check)
        case Percentile():
            return percentile(view, rule.check)
        case Ranges():
            return ranges(view, rule.check)
        case Slope():
            return slope(view, rule.check)
        case Overdue():
            return overdue(view, rule.check)
        case Together():
            return together(view, rule.check)
        case DrugPair():
            return drug_pair(view, rule.check)
        case DrugAllergy():
            return drug_allergy(view, rule.check)
        case ReportFollowUp():
            return report_follow_up(view, rule.check)
        case NoteContradiction():
            return note_contradiction(view, rule.check)


def _outside(rule: Rule, view: View) -> str:
    """Say why a rule is not for the patient; "" where it is."""
    who = rule.applies
    if who.from_age is not None or who.below_age is not None:
        if view.age is None:
            return "the age is not documented"
        if who.from_age is not None and view.age < who.from_age:
            return f"below {who.from_age:g} years"
        if who.below_age is not None and view.age >= who.below_age:
            return f"from {who.below_age:g} years on"
    if who.sex is not None and view.sex != who.sex:
        return f"for {who.sex} patients" if view.sex else "the sex is not documented"
    if not who.pregnancy and view.pregnant:
        return "pregnancy"
    if not who.dialysis and view.chronic_dialysis:
        return "chronic dialysis"
    return ""
