"""The pre-visit summary: what an intake found, in the order in which a clinician takes a history. All provisional."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from aris.tasks.intake.base import base
from aris.tasks.intake.choosing import missing
from aris.tasks.intake.lexicon import lexicon
from aris.tasks.intake.measures import DAYS
from aris.tasks.intake.state import Answer, IntakeState, Level, Reason

CAUTION = (
    "Collected by software from a patient's own answers; provisional, checked by nobody yet. The level is Aris's own "
    "and gives no diagnosis."
)


class Item(BaseModel):
    """A finding of the summary.

    Attributes:
        finding: its name in the symptom base.
        label: for the clinician.
        quote: the patient's words, "" where it was chosen from a list.
        denied: the patient also denied it.
    """

    model_config = ConfigDict(extra="forbid")
    finding: str
    label: str
    quote: str = ""
    denied: bool = False


class Said(BaseModel):
    """A question of free form with its answer."""

    model_config = ConfigDict(extra="forbid")
    item: str
    label: str
    value: str


class Summary(BaseModel):
    """A structured pre-visit summary.

    Attributes:
        status: finished, emergency (the questions ended at once), or asking (not finished yet).
        level: triage level, Aris's own.
        reasons: for it, the gravest first.
        answered_by: "patient", "carer" or "unknown".
        age: in words, "" if unknown.
        sex, pregnancy: as answered, "" if not asked.
        complaint: the symptom base's name for it.
        chief_complaint: in the patient's words.
        history_of_present_illness: onset, duration, place, quality, severity, course.
        positives: findings that are present.
        pertinent_negatives: findings that were asked for and are absent.
        not_known: findings that were asked for and are not known.
        red_flags: present ones of this complaint's red flags and danger signs.
        past_history: earlier conditions, medicines that matter, habits.
        medications, allergies, other: as answered, "" if not asked.
        not_asked: items that the questions did not reach.
        questions: how many were asked.
        model: that chose questions, None if none did.
        caution: what must stand with it.
    """

    model_config = ConfigDict(extra="forbid")
    status: str
    level: Level
    reasons: list[Reason]
    answered_by: str
    age: str
    sex: str
    pregnancy: str
    complaint: str
    chief_complaint: str
    history_of_present_illness: list[Said]
    positives: list[Item]
    pertinent_negatives: list[Item]
    not_known: list[Item]
    red_flags: list[Item]
    past_history: list[Item]
    medications: str
    allergies: str
    other: str
    not_asked: list[str]
    questions: int
    model: str | None
    caution: str = CAUTION


# Words that only help other findings; alone they tell a clinician nothing.
_HELPERS = frozenset(("pain_said", "severe_said", "sudden_said", "bleeding_said", "child_said", "infant_said"))
_HPI = {"onset": "Onset", "duration": "Duration", "place": "Place", "quality": "Quality", "severity": "Severity (0-10)",
        "course": "Course"}  # fmt: skip


def summarize(state: IntakeState) -> Summary:
    """The summary of an intake as it stands."""
    known = base()
    findings = lexicon().findings
    complaint = known.complaints[state.complaint or "other"]
    flags = set(complaint.red_flags) | {
        name
        for item in ("danger", "danger_child", "danger_pregnancy", "danger_harm")
        for name in known.questions[item].findings
    }
    flags |= {name for reason in state.risk.reasons if reason.level == "emergency" for name in reason.findings}
    items = {"present": [], "absent": [], "unknown": []}  # type: dict[str, list[Item]]
    past: list[Item] = []
    for name, fact in state.facts.items():
        if name in _HELPERS:
            continue
        item = Item(finding=name, label=findings[name].label, quote=_line_of(fact.quote), denied=fact.denied)
        if findings[name].lasting and fact.presence == "present":
            past.append(item)
        else:
            items[fact.presence].append(item)
    who = state.answer("who")
    ended = state.status in ("finished", "emergency")
    return Summary(
        status=state.status, level=state.risk.level, reasons=state.risk.reasons,
        answered_by=who.codes[0] if who is not None and who.codes else "unknown",
        age=_age(state), sex=_chosen(state, "sex"), pregnancy=_chosen(state, "pregnancy"),
        complaint=complaint.title if state.complaint else "", chief_complaint=_said(state, "complaint"),
        history_of_present_illness=[
            Said(item=item, label=label, value=_chosen(state, item))
            for item, label in _HPI.items() if state.answer(item) is not None
        ],
        positives=items["present"], pertinent_negatives=items["absent"], not_known=items["unknown"],
        red_flags=[each for each in items["present"] if each.finding in flags], past_history=past,
        medications=_said(state, "medications"), allergies=_said(state, "allergies"), other=_said(state, "more"),
        not_asked=[each.id for each in missing(state)] if ended else [], questions=state.asked, model=state.model,
    )  # fmt: skip


def _said(state: IntakeState, item: str) -> str:
    given = state.answer(item)
    if given is None:
        return ""
    said = _line_of(given.said)
    return said if given.known else f"not known (said: {said})" if said else "not known"


def _line_of(text: str) -> str:
    """A patient's words on one line, so that none of them looks like a line of the summary."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _chosen(state: IntakeState, item: str) -> str:
    """A choice in its words, with what was said where that is more."""
    given = state.answer(item)
    if given is None:
        return ""
    if not given.known:
        return "not known"
    if given.number is not None and item == "severity":
        return f"{given.number:g}"
    options = base().questions[item].options
    words = [options.get(code, code.replace("_", " ")) for code in given.codes]
    return "; ".join(words) or _line_of(given.said)


def _age(state: IntakeState) -> str:
    given = state.answer("age")
    if given is None or given.number is None:
        said = [_age_words(each) for each in state.ages]
        return f"not known ({', '.join(said)} named in the text)" if said else ""
    words = _age_words(given.number)
    others = [_age_words(each) for each in state.ages if each != given.number]
    return f"{words} (also named: {', '.join(others)})" if others else words


def _age_words(days: float) -> str:
    if days < 60:
        return f"{days:.0f} days"
    if days < 2 * DAYS["year"]:
        return f"{days / DAYS['month']:.0f} months"
    return f"{int(days / DAYS['year'])} years"


def as_text(summary: Summary) -> str:
    """The summary as plain text, a line an entry."""
    lines = [f"TRIAGE LEVEL: {summary.level.upper()} (Aris's own; {summary.status})"]
    lines += [
        f"  - {each.text} [{each.level}; {each.rule}; {each.source}{'' if each.reviewed else '; unreviewed'}"
        f"{'; possible' if each.possible else ''}]"
        for each in summary.reasons
    ]
    patient = ", ".join(filter(None, (summary.age, summary.sex, summary.pregnancy)))
    lines += [f"PATIENT: {patient or 'not known'}; answered by: {summary.answered_by}"]
    lines += [f"CHIEF COMPLAINT: {summary.chief_complaint} [{summary.complaint}]"]
    lines += [f"{each.label.upper()}: {each.value}" for each in summary.history_of_present_illness]
    for title, group in (
        ("RED FLAGS", summary.red_flags), ("PRESENT", summary.positives), ("ABSENT", summary.pertinent_negatives),
        ("NOT KNOWN", summary.not_known), ("PAST HISTORY", summary.past_history),
    ):  # fmt: skip
        lines.append(f"{title}: {'; '.join(_line(each) for each in group) or '-'}")
    lines += [f"MEDICATIONS: {summary.medications or '-'}", f"ALLERGIES: {summary.allergies or '-'}"]
    lines += [f"OTHER: {summary.other}"] if summary.other else []
    lines += [f"NOT ASKED: {', '.join(summary.not_asked)}"] if summary.not_asked else []
    return "\n".join([*lines, summary.caution])


def _line(item: Item) -> str:
    quote = f' ("{item.quote}")' if item.quote else ""
    return f"{item.label}{quote}{' [also denied]' if item.denied else ''}"


def answers_by_item(state: IntakeState) -> dict[str, Answer]:
    """The last answer of each question, by its id."""
    return {each.question: each for each in state.answers}
