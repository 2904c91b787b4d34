"""The forms of a summary: which sections, in which order, each laid out by rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from aris.records import Condition, Encounter, Measurement, Timeline
from aris.records.when import When
from aris.tasks.summary import events, gaps, measurements, medications, problems
from aris.tasks.summary.results import Form, Statement
from aris.tasks.summary.words import name_of, stamp, value_of

NAMED = 6  # problems in the one-liner
NO_QUESTION = "The question of the referral is not documented; add it."
NO_PENDING = "No pending order, report or result is documented in this record."
SEVERITY = "Not documented in this record; the person who hands over says it: stable, watcher, unstable."
TITLES = {
    "summary": "Summary of the record",
    "ipass": "I-PASS handoff",
    "discharge": "Discharge summary",
    "referral": "Referral",
}


@dataclass(frozen=True)
class Draft:
    """A section before any model: its title, its facts, and what a model is told that it is for.

    Attributes:
        title: as in `Section`.
        statements: the facts, by rule.
        purpose: the section's purpose in words, for a model; empty for a section that no model words.
    """

    title: str
    statements: tuple[Statement, ...]
    purpose: str = ""


def reference_moment(timeline: Timeline, moment: datetime | None) -> datetime | None:
    """Return the moment that "lately" counts back from: the one asked for, else the record's last entry up to now."""
    if moment is not None:
        return moment
    now = datetime.now(UTC)
    times = [t.start for r in timeline.records for t in (r.time, r.end, r.known) if t is not None and t.start <= now]
    if timeline.patient.death is not None:
        times.append(timeline.patient.death.start)
    return max(times, default=None)


def drafts(timeline: Timeline, form: Form, moment: datetime | None, question: str = "") -> list[Draft]:
    """Lay out the sections of a form.

    Args:
        timeline: the record, as it is to be seen.
        form: which.
        moment: the moment that it is seen from, or `None` for the record as it stands.
        question: what a referral asks; empty for none.
    """
    reference = reference_moment(timeline, moment)
    line = Draft("One-liner", one_liner(timeline, moment, reference), "the patient in one sentence")
    active = Draft("Active problems", tuple(problems.problems(timeline, moment)), "the active problems")
    drugs = Draft(
        "Medications", tuple(medications.medications(timeline, moment, reference)), "current drugs, and what changed"
    )
    allergies = Draft("Allergies", tuple(problems.allergies(timeline)), "the allergies")
    results = Draft("Results", tuple(measurements.results(timeline, reference)), "results that matter, and their trend")
    recent = Draft("Recent events", tuple(events.events(timeline, reference)), "what happened lately")
    open_ = Draft("Open questions", tuple(gaps.open_questions(timeline, moment)))
    if form == "summary":
        return [line, active, drugs, allergies, results, recent, open_]
    if form == "ipass":
        return _ipass(timeline, line, active, drugs, allergies, results, recent, open_)
    if form == "discharge":
        return _discharge(timeline, reference, line, active, drugs, allergies, results, recent, open_)
    asked = Statement(text=f"Asked: {question}" if question else NO_QUESTION)
    more = _family_and_social(timeline)
    return [Draft("Question", (asked,)), line, active, drugs, allergies, results, recent, more, open_]


def one_liner(timeline: Timeline, moment: datetime | None, reference: datetime | None) -> tuple[Statement, ...]:
    """Lay out who the patient is, with the active problems by name and the last contact."""
    person = timeline.patient
    parts, cites = [], []
    exact = person.birth is not None and person.birth.precision == "day"
    age = person.age_at(reference) if reference is not None and exact else None
    if person.death is not None and reference is not None and person.death.start <= reference:
        age = person.age_at(person.death.start) if age is not None else None
    who = {"female": "female", "male": "male"}.get(person.gender, "patient")
    parts.append(f"{int(age)}-year-old {who}" if age is not None else who[0].upper() + who[1:])
    if person.birth is not None:
        parts.append(f"born {stamp(person.birth)}")
    if person.deceased:
        parts.append(f"died {stamp(person.death)}" if person.death else "has died")
    if person.id:
        cites.append(person.id)
    groups = problems.same_name(problems.active_conditions(timeline, moment))
    active = [group[0] for group in groups if group[0].confirmed]
    sentence = ", ".join(parts)
    if active:
        shown = active[:NAMED]
        sentence += "; active problems: " + ", ".join(name_of(c.concept) for c in shown)
        sentence += " and others" if len(active) > NAMED else ""
        cites += [c.id for c in shown]
    last = next((e for e in reversed(timeline.encounters) if _has_been(e, reference)), None)
    if last is not None and last.time is not None:
        sentence += f"; last contact {stamp(last.time)}: {name_of(last.concept)}"
        cites.append(last.id)
    return (Statement(text=sentence, cites=tuple(dict.fromkeys(cites))),)


def _has_been(e: Encounter, reference: datetime | None) -> bool:
    """Return whether an encounter took place: not planned, not cancelled, not to come."""
    if e.time is None or e.status in ("planned", "cancelled"):
        return False
    return reference is None or e.time.by(reference)


def _ipass(timeline: Timeline, *parts: Draft) -> list[Draft]:
    line, active, drugs, allergies, results, recent, open_ = parts
    severity = Statement(text=SEVERITY)
    todo = gaps.pending(timeline) or [Statement(text=NO_PENDING)]
    code = _code_status(timeline)
    later = (
        *code, *(s for s in open_.statements if s not in todo),
        Statement(text="Contingency plans are not documented in a form that is read here; add them."),
    )  # fmt: skip
    receiver = Statement(text="To be said back by the person who takes over.")
    return [
        Draft("Illness severity", (severity,)),
        Draft("Patient summary", (*line.statements, *recent.statements[:6]), "who the patient is, and what happened"),
        active, drugs, allergies, results,
        Draft("Action list", tuple(todo)),
        Draft("Situation awareness and contingency planning", later),
        Draft("Synthesis by receiver", (receiver,)),
    ]  # fmt: skip


def _discharge(timeline: Timeline, reference: datetime | None, *parts: Draft) -> list[Draft]:
    line, active, drugs, allergies, results, recent, open_ = parts
    stay = events.last_stay(timeline)
    if stay is None or stay.time is None:
        none = Draft("Stay", (Statement(text="A stay is not documented in this record."),))
        return [none, line, active, drugs, allergies, results, recent, open_]
    start = stay.time.start
    named = set(stay.diagnoses)
    own = [c for c in timeline.conditions if not c.negated and (c.encounter == stay.id or c.id in named)]
    diagnoses = [
        Statement(text=f"{name_of(c.concept)} ({_state(c)})", cites=(c.id,)) for c in own
    ] or [Statement(text="Diagnoses of the stay are not documented in this record.")]
    course = [s for s in events.events(timeline, reference, start=start, limit=30) if stay.id not in s.cites]
    course = course or [Statement(text="Events of the stay are not documented in this record.")]
    pending = gaps.pending(timeline) or [Statement(text=NO_PENDING)]
    rest = tuple(s for s in open_.statements if s not in pending)
    own_results = tuple(measurements.results(timeline, reference, start=start))
    return [
        Draft("Stay", (*line.statements, events.describe(stay)), "who the patient is, and why the stay was"),
        Draft("Diagnoses of the stay", tuple(diagnoses), "the diagnoses of the stay"),
        Draft("Course", tuple(course), "what happened in the stay, in order"),
        active,
        Draft("Results of the stay", own_results, "results that matter, and their trend"),
        drugs, allergies,
        Draft("Pending", tuple(pending)),
        Draft("Follow-up", tuple(gaps.follow_up(timeline))),
        Draft(open_.title, rest or (Statement(text=gaps.NOTHING_OPEN),)),
    ]  # fmt: skip


def _state(c: Condition) -> str:
    return "status not documented" if c.status == "unknown" else c.status


def _family_and_social(timeline: Timeline) -> Draft:
    found = [
        Statement(
            text=f"Family history, {name_of(f.concept)}: {', '.join(name_of(c) for c in f.conditions)}", cites=(f.id,)
        )
        for f in timeline.family_history
        if f.conditions
    ]
    social: dict[str, Measurement] = {}
    for m in timeline.measurements:
        if "social-history" in m.categories and value_of(m):
            social[name_of(m.concept)] = m
    for name, m in social.items():
        when: When | None = m.time
        found.append(Statement(text=f"{name}: {value_of(m)}{f' ({stamp(when)})' if when else ''}", cites=(m.id,)))
    nothing = Statement(text="Family and social history are not documented in this record.")
    return Draft("Family and social history", tuple(found) or (nothing,))


def _code_status(timeline: Timeline) -> list[Statement]:
    """The last code status (LOINC 75320-2, 45473-6, 81351-9), or that it is not documented."""
    last = timeline.latest("75320-2", "45473-6", "81351-9")
    if last is None or last.time is None:
        return [Statement(text="Code status is not documented in this record.")]
    return [Statement(text=f"{name_of(last.concept)}: {value_of(last)} ({stamp(last.time)})", cites=(last.id,))]
