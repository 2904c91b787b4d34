"""The choice of the next question: danger signs first, then what is missing, in the base's order or a model's.

The model sees findings by their labels and questions by their words, never the patient's own text, and it may only name
one of the questions that are missing. What must be asked is asked whatever the model prefers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from aris.backends import Backend, GenerationOptions, Grammar
from aris.errors import ArisError
from aris.prompting import user
from aris.tasks.intake.base import LISTS, Base, Complaint, base
from aris.tasks.intake.lexicon import lexicon
from aris.tasks.intake.measures import DAYS
from aris.tasks.intake.state import MAX_QUESTIONS, IntakeState

CHUNK = 7  # options of one checklist, at most
_FIRST = ("who", "age", "complaint")
_CHILD, _TODDLER = 12 * DAYS["year"], 5 * DAYS["year"]
_FERTILE = (10 * DAYS["year"], 56 * DAYS["year"])


class Next(NamedTuple):
    """A question to ask: its id, the findings of a checklist, and who chose it."""

    id: str
    findings: tuple[str, ...] = ()
    by: Literal["order", "model"] = "order"


def next_question(state: IntakeState, model: Backend | None = None) -> Next | None:
    """The question to ask next; None if nothing is left to ask, or 20 have been asked."""
    left = MAX_QUESTIONS - state.asked
    if left <= 0:
        return None
    known = base()
    for item in _FIRST:
        if state.answer(item) is None:
            return Next(item)
    complaint = known.complaints[state.complaint or "other"]
    if state.complaint == "other" and state.answer("area") is None and state.answer("danger") is not None:
        return Next("area")
    first = _dangers(state, known) or _checklists(state, complaint, "red_flags")
    if first:
        return first[0]
    must = missing(state)
    others = _others(state, known, complaint)
    candidates = must if _needed(state) >= left else must + others
    if not candidates:
        return None
    if model is not None and len(candidates) > 1:
        chosen = _chosen(model, state, known, complaint, candidates)
        if chosen is not None:
            return chosen
    return candidates[0]


def missing(state: IntakeState) -> list[Next]:
    """Return what must be asked of this complaint and has not been, in the clinician's order."""
    known = base()
    complaint = known.complaints[state.complaint or "other"]
    found: list[Next] = []
    for item in known.must_ask(complaint):
        if item in LISTS:
            found += _checklists(state, complaint, item)
        elif item == "pregnancy":
            if state.answer("sex") is not None and asks_pregnancy(state) and state.answer(item) is None:
                found.append(Next(item))
        elif state.answer(item) is None:
            found.append(Next(item))
    return found


def _needed(state: IntakeState) -> int:
    """Return the number of questions that what must be asked can still take."""
    known = base()
    complaint = known.complaints[state.complaint or "other"]
    count = 0
    for item in known.must_ask(complaint):
        if item in LISTS:
            count += -(-len(_open(state, complaint.findings(item))) // CHUNK)
        elif state.answer(item) is None and (item != "pregnancy" or asks_pregnancy(state)):
            count += 1
    return count


def asks_pregnancy(state: IntakeState) -> bool:
    """Return whether pregnancy is asked for: at any age at which it can be, or unknown.

    Sex plays no part, so that no answer about sex lowers a level.
    """
    return not state.ages or any(_FERTILE[0] <= age < _FERTILE[1] for age in state.ages)


def _dangers(state: IntakeState, known: Base) -> list[Next]:
    found = []
    child = any(age < _TODDLER for age in state.ages) or (
        any(age < _CHILD for age in state.ages) and bool({"infant_said", "child_said"} & state.present())
    )
    # The age of somebody who is answered for may be a child's, and a pregnancy that is not known may be one.
    child = child or (state.answered_age is False and state.carer is True and not state.ages)
    born = state.pregnancy in ("pregnant", "postpartum", "unknown")
    born = born or bool({"pregnant_said", "postpartum_said"} & state.present())
    harm = bool({"abuse_partner", "forced", "child_harm", "sexual_assault"} & state.present())
    asked = (("danger", True), ("danger_child", child), ("danger_pregnancy", born), ("danger_harm", harm))
    for item, wanted in asked:
        if wanted and state.answer(item) is None:
            open_findings = _open(state, known.questions[item].findings)
            if open_findings:
                found.append(Next(item, open_findings))
    return found


def _open(state: IntakeState, findings: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in findings if name not in state.facts)


def _checklists(state: IntakeState, complaint: Complaint, item: str) -> list[Next]:
    """The checklists of an item that are left: its findings that nothing is known of, in portions."""
    left = _open(state, complaint.findings(item))
    done = sum(each.question.partition(".")[0] == item for each in state.answers)
    return [
        Next(f"{item}.{done + number + 1}", left[at : at + CHUNK])
        for number, at in enumerate(range(0, len(left), CHUNK))
    ][:1]  # the next portion is formed when this one is answered


def _others(state: IntakeState, known: Base, complaint: Complaint) -> list[Next]:
    found = [Next("course")] if complaint.kind != "injury" and state.answer("course") is None else []
    if complaint.quality and state.answer("quality") is None and "quality" not in known.must_ask(complaint):
        found.append(Next("quality"))
    for system in complaint.systems:
        left = _open(state, known.systems[system])
        if left and state.answer(f"system.{system}") is None:
            found.append(Next(f"system.{system}", left[:CHUNK]))
    if not found and state.answer("more") is None:
        found.append(Next("more"))
    return found


def _chosen(
    model: Backend, state: IntakeState, known: Base, complaint: Complaint, candidates: Sequence[Next]
) -> Next | None:
    """The model's choice among the candidates; None if it fails or names none of them."""
    findings = lexicon().findings
    words = {each.id: _topic(each, known, complaint) for each in candidates}
    here = ", ".join(sorted(findings[name].label for name in state.present())) or "none yet"
    gone = [findings[name].label for name, fact in state.facts.items() if fact.presence == "absent"]
    lines = [
        f"A patient has this problem: {complaint.title}.",
        f"Present: {here}.",
        f"Absent: {', '.join(sorted(gone)) or 'none yet'}.",
        "Which topic should the next question be about? Answer with one of these words:",
        *(f"{each.id}: {words[each.id]}" for each in candidates),
    ]
    try:
        options = GenerationOptions(max_tokens=24, grammar=Grammar.choice([each.id for each in candidates]))
        said = model.generate([user("\n".join(lines))], options).text.strip()
    except ArisError:
        return None
    return next((each._replace(by="model") for each in candidates if each.id == said), None)


def _topic(each: Next, known: Base, complaint: Complaint) -> str:
    item = each.id.partition(".")[0]
    if each.findings:
        return ", ".join(lexicon().findings[name].label for name in each.findings)
    return known.questions[item].text
