"""Medications laid out by rule: what is in use, what changed, what was given."""

from __future__ import annotations

from datetime import datetime, timedelta

from aris.records import Medication, Timeline
from aris.tasks.summary.problems import same_name
from aris.tasks.summary.results import Statement
from aris.tasks.summary.words import name_of, on, stamp

NO_MEDICATIONS = "Medications are not documented in this record."
NO_CURRENT = "No current medication is documented in this record."
CHANGES = timedelta(days=180)  # how far back a change is still told
GIVEN = timedelta(days=7)
_NOT_DISPENSED = ("preparation", "cancelled", "on-hold", "stopped", "declined")


def current_medications(timeline: Timeline, moment: datetime | None) -> list[Medication]:
    """Return the requests and statements that are in use, the newest first."""
    return [m for m in reversed(timeline.medications) if m.current_at(moment) is True]


def medications(timeline: Timeline, moment: datetime | None, reference: datetime | None) -> list[Statement]:
    """Lay out the drugs in use, on hold, stopped lately, given lately, and of unknown use.

    Args:
        timeline: the record.
        moment: the moment that statuses are asked of, or `None` for the record as it stands.
        reference: the record's last moment, from which "lately" counts back.
    """
    current = list(same_name(current_medications(timeline, moment)))
    named = {name_of(group[0].concept).casefold() for group in current}
    found = [_current(group, ended_later(timeline, group[0], moment)) for group in current]
    found += _others(timeline, moment, reference, named)
    found += _given(timeline, reference)
    if found:
        return found
    return [Statement(text=NO_CURRENT if timeline.medications else NO_MEDICATIONS)]


def ended_later(timeline: Timeline, drug: Medication, moment: datetime | None) -> Medication | None:
    """Return the newest request or statement of the same drug, if it is later and says that the drug is not in use."""
    name = name_of(drug.concept).casefold()
    for m in reversed(timeline.medications):
        if m.role not in ("request", "statement") or m.time is None or name_of(m.concept).casefold() != name:
            continue
        after = drug.time is None or m.time.start > drug.time.start
        return m if after and m.current_at(moment) is False and m.status != "draft" else None
    return None


def _current(group: list[Medication], later: Medication | None) -> Statement:
    """Lay out a drug in use; `later` is an entry after it that says otherwise."""
    newest = group[0]
    parts = []
    if newest.status == "active" and newest.role == "request":
        parts.append("active order" + (f" of {stamp(newest.time)}" if newest.time else ""))
    else:
        parts.append("active" + (f" since {stamp(newest.time)}" if newest.time else ""))
    if newest.dosage:
        parts.append(newest.dosage)
    elif newest.as_needed:
        parts.append("as needed")
    if newest.end is not None:
        parts.append(f"until {stamp(newest.end)}")
    if newest.reasons:
        parts.append("for " + ", ".join(name_of(r) for r in newest.reasons))
    cites = (newest.id, *(m.id for m in group[1:] if m.role != newest.role))
    told = {newest.dosage}
    for m in group[1:]:
        if m.dosage and m.dosage not in told:  # which of them holds is for a clinician to find out
            told.add(m.dosage)
            parts.append(f"also active: {m.dosage}" + (f" ({stamp(m.time)})" if m.time else ""))
            cites = (*cites, m.id)
    if later is not None:
        parts.append(f"but a later entry is {later.status} ({stamp(later.time) if later.time else 'undated'})")
        cites = (*cites, later.id)
    return Statement(text=f"{name_of(newest.concept)}: {'; '.join(parts)}", cites=tuple(dict.fromkeys(cites)))


def _others(
    timeline: Timeline, moment: datetime | None, reference: datetime | None, named: set[str]
) -> list[Statement]:
    """On hold, not to be given and of unknown use (always); stopped (lately). Drugs in use are told already."""
    rest = [
        m
        for m in reversed(timeline.medications)
        if m.role in ("request", "statement") and m.current_at(moment) is not True
        and name_of(m.concept).casefold() not in named
    ]  # fmt: skip
    found = []
    for group in same_name(rest):
        m = group[0]
        name = name_of(m.concept)
        ordered = f" ({'ordered' if m.role == 'request' else 'taken from'} {stamp(m.time)})" if m.time else ""
        why = f"; {m.stop_reason}" if m.stop_reason else ""
        if m.forbidden:
            text = f"{name}: must not be given{why}"
        elif m.status == "not-taken":
            text = f"{name}: not taken{why}"
        elif m.status == "on-hold":
            text = f"{name}: on hold{ordered}{why}"
        elif m.intent in ("proposal", "plan", "option") and m.status in ("active", "draft", "unknown"):
            text = f"{name}: planned{ordered}"
        elif m.status in ("stopped", "completed", "cancelled"):
            if not _lately(m, reference):
                continue
            ended = f", ended {stamp(m.end)}" if m.end else ""
            text = f"{name}: {m.status}{ordered}{ended}{why}"
        elif m.current_at(moment) is None:
            text = f"{name}: whether it is in use is not documented{ordered}"
        else:
            continue
        found.append(Statement(text=text, cites=(m.id,)))
    return found


def _given(timeline: Timeline, reference: datetime | None) -> list[Statement]:
    """The last administration of each drug in the last week; the last dispense where nothing else names the drug."""
    told = {name_of(m.concept).casefold() for m in timeline.medications if m.role in ("request", "statement")}
    found = []
    for role, words, span in (("administration", "last given", GIVEN), ("dispense", "last dispensed", CHANGES)):
        events = [
            m
            for m in reversed(timeline.medications)
            if m.role == role and m.time is not None and not (role == "dispense" and m.status in _NOT_DISPENSED)
        ]
        for group in same_name(events):
            last = next((m for m in group if not m.negated), group[0])
            assert last.time is not None
            refused = group[0] if group[0].negated and group[0] is not last else None
            if reference is not None and last.time.end < reference - span:
                continue
            name = name_of(last.concept)
            if role == "dispense" and name.casefold() in told:
                continue
            if last.negated:
                why = f"; {last.stop_reason}" if last.stop_reason else ""
                text = f"{name}: not given {on(last.time, clock=True)}{why}"
            else:
                dose = f", {last.dosage}" if last.dosage else ""
                text = f"{name}: {words} {on(last.time, clock=role == 'administration')}{dose}"
            cites: tuple[str, ...] = (last.id,)
            if refused is not None:
                why = f", {refused.stop_reason}" if refused.stop_reason else ""
                text += f"; not given {on(refused.time, clock=True)}{why}"
                cites = (last.id, refused.id)
            found.append(Statement(text=text, cites=cites))
    return found


def _lately(m: Medication, reference: datetime | None) -> bool:
    when = m.end or m.time or m.known
    return when is None or reference is None or when.end >= reference - CHANGES
