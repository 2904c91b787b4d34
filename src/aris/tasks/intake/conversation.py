"""The conversation: a state and an answer go in, the next state comes out. Nothing is kept elsewhere.

    state = start()
    while (asked := question(state, site)) is not None:
        state = answer(state, ask_somehow(asked), site=site, model=model)

At every turn the rules are applied to all that was said. An emergency ends the questions at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from aris.backends import Backend
from aris.errors import DataError
from aris.tasks.intake import answers as read_answers
from aris.tasks.intake import measures
from aris.tasks.intake.answers import Read
from aris.tasks.intake.base import VERSION, base
from aris.tasks.intake.choosing import next_question
from aris.tasks.intake.lexicon import lexicon
from aris.tasks.intake.measures import DAYS
from aris.tasks.intake.raising import raised_by_model
from aris.tasks.intake.reading import Mention, read
from aris.tasks.intake.rules import assess_risk
from aris.tasks.intake.site import Site
from aris.tasks.intake.state import (
    MAX_QUESTIONS,
    STATE_VERSION,
    Answer,
    Fact,
    IntakeState,
    Option,
    Question,
    Reason,
    Risk,
)
from aris.tasks.intake.triage import triage

MAX_KEPT = 10_000  # characters of an answer that are kept; all of it is read
_BACKGROUND = frozenset(("history", "medications", "allergies"))
_NONE, _UNSURE = "none", "unknown"
_QUOTED = 200
_BEFORE = "an emergency was named before consent; the words were not kept"


def start() -> IntakeState:
    """A new intake, which begins by asking for consent."""
    return IntakeState(base_version=VERSION)


def resume(text: str | bytes) -> IntakeState:
    """An intake from what `IntakeState.model_dump_json` wrote.

    Raises:
        DataError: it is none, or of another version of the form or of the symptom base.
    """
    try:
        state = IntakeState.model_validate_json(text)
    except ValueError:
        raise DataError("saved intake: it is damaged or no intake; start anew") from None
    if state.version != STATE_VERSION or state.base_version != VERSION:
        raise DataError("saved intake: it was made by another version of Aris; start anew")
    unknown = set(state.facts) - set(lexicon().findings) | set(state.pending_findings) - set(lexicon().findings)
    if unknown or (state.complaint and state.complaint not in base().complaints) or not _askable(state):
        raise DataError("saved intake: it names what this version does not know; start anew")
    return state


def _askable(state: IntakeState) -> bool:
    item, _, part = state.pending.partition(".")
    if state.status not in ("consent", "asking"):
        return True
    return state.pending == "consent" or (item in base().questions and (item != "system" or part in base().systems))


def question(state: IntakeState, site: Site | None = None) -> Question | None:
    """The question that waits for an answer, the same each time; None if there is none."""
    site = site or Site()
    if state.status == "consent":
        options = [Option(code="agree", text="I agree"), Option(code="decline", text="I do not agree")]
        note = text("again_choice", site) if state.again else ""
        return Question(id="consent", text=text("consent", site), type="consent", options=options, number=0, note=note)
    if state.status != "asking":
        return None
    item = state.pending.partition(".")[0]
    shared = base().questions[item]
    words = shared.carer if state.carer and shared.carer else shared.text
    hint = text("unknown_hint", site) if shared.type not in ("list", "text") and item not in ("who", "sex") else ""
    note = "" if not state.again else "\n".join(text(name, site) for name in dict.fromkeys(("again", state.again)))
    if state.again == "again_rest":
        note = text("again_rest", site)
    return Question(
        id=state.pending,
        text=words,
        type=shared.type,
        options=_options(state),
        hint=hint,
        number=state.asked,
        note=note,
    )


def _options(state: IntakeState) -> list[Option]:
    item = state.pending.partition(".")[0]
    if state.pending_findings:
        findings = lexicon().findings
        return [Option(code=name, text=findings[name].ask) for name in state.pending_findings]
    if item == "quality":
        words = base().complaints[state.complaint or "other"].quality
        return [Option(code=word.replace(" ", "_"), text=word.capitalize()) for word in words]
    return [Option(code=code, text=words) for code, words in base().questions[item].options.items()]


def answer(state: IntakeState, said: str, *, site: Site | None = None, model: Backend | None = None) -> IntakeState:
    """The state after an answer. The one that was given is not changed.

    Args:
        state: before it.
        said: the answer, in the patient's own words, or the numbers of options; of any length.
        site: its settings.
        model: chooses the next question; None goes by the base's order.

    Raises:
        DataError: the intake has ended.
    """
    if state.status not in ("consent", "asking"):
        raise DataError("intake: it has ended; start a new one")
    site = site or Site()
    # Halves of surrogate pairs, which no file can hold, become marks of replacement.
    said = said.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", " ").strip()
    after = state.model_copy(deep=True)
    if state.status == "consent":
        return _after_consent(after, said, model)
    _take(after, said)
    _apply_rules(after)
    if after.risk.level == "emergency":
        return _ended(after, "emergency")
    if not after.again:
        _go_on(after, model, site)
    elif after.asked >= MAX_QUESTIONS:
        after.again = ""
        _finish(after, model, site)
    else:
        after.asked += 1
    return after


def text(name: str, site: Site) -> str:
    """A fixed text with the site's numbers in it."""
    return base().texts[name].strip().format(**site.model_dump(include=set(Site.model_fields)))


def advice(state: IntakeState, site: Site | None = None) -> str:
    """Return what the patient is told when the questions have ended; "" before."""
    site = site or Site()
    if state.status == "declined":
        return text("declined", site)
    if state.status == "emergency":
        kinds = [each.advice for each in state.risk.reasons if each.level == "emergency"] or ["emergency"]
        shown = [name for name in ("emergency", "crisis", "safeguarding") if name in kinds]
        if shown != ["emergency"] and "emergency" in shown:
            return "\n".join(text(name, site) for name in shown)
        return text(shown[0], site)
    if state.status != "finished":
        return ""
    told = [text(f"finished_{state.risk.level}" if state.risk.level != "emergency" else "emergency", site)]
    kinds = [each.advice for each in state.risk.reasons]
    told += [text(f"{name}_urgent", site) for name in ("crisis", "safeguarding") if name in kinds]
    return "\n".join(told)


def _after_consent(state: IntakeState, said: str, model: Backend | None) -> IntakeState:
    agreed = read_answers.consent(said)
    if agreed is not True:
        risk = triage(said)
        if risk.level == "emergency":
            # The advice is shown, and nothing else is kept: there is no consent.
            kinds = dict.fromkeys(each.advice for each in risk.reasons if each.level == "emergency")
            kept = [Reason(rule="before-consent", level="emergency", text=_BEFORE, advice=kind) for kind in kinds]
            state.risk = Risk(level="emergency", reasons=kept)
            return _ended(state, "emergency")
    if agreed is None and state.again:
        agreed = False  # twice unclear is no consent
    if agreed is None:
        state.again = "again_choice"
        return state
    if not agreed:
        return IntakeState(base_version=VERSION, status="declined", pending="")
    state.status, state.again = "asking", ""
    _note(state, read(said), said)  # "Yes, and I can't breathe"
    _apply_rules(state)
    if state.risk.level == "emergency":
        return _ended(state, "emergency")
    _go_on(state, model, None)
    return state


def _take(state: IntakeState, said: str) -> None:
    """Read the answer to the pending question into the state."""
    item = state.pending.partition(".")[0]
    options = _options(state)
    kind = base().questions[item].type
    mentions = read(said, carer=state.carer, background=item in _BACKGROUND)
    result = _read(kind, item, said, options, mentions)
    first = not state.again
    given_up = not result.fits and not first
    if item == "complaint" and result.fits and first and not mentions and len(said.split()) < 2:
        result, given_up = Read(False, again="again_text"), False
    _note(state, mentions, said)
    for code in result.codes if kind == "list" else ():
        _set(state, code, "present", "")
    if item == "age" and result.number is not None:
        # "I am 40, he is 3 months old": the child's counts too.
        others = [each for each in measures.ages(said) if each < 18 * DAYS["year"] and each != result.number]
        state.ages = [*state.ages, result.number, *others]
    if not result.fits and not given_up:
        state.again = result.again
        if kind == "list":  # what was picked up stays; the rest is asked again
            state.pending_findings = [name for name in state.pending_findings if name not in state.facts] or (
                state.pending_findings
            )
        return
    state.again = ""
    if kind == "list":
        rest = "absent" if result.fits and result.rest == "absent" else "unknown"
        for option in options:
            _set(state, option.code, rest, "")
    codes = result.codes if kind != "list" else [each.code for each in options if each.code in state.present()]
    state.answers.append(
        Answer(
            question=state.pending, asked=_asked(state), type=kind, options=[each.code for each in options],
            said=said[:MAX_KEPT], codes=codes, number=result.number, known=result.known and not given_up,
            chosen_by=state.pending_by,
        )
    )  # fmt: skip
    _settle(state, item, state.answers[-1])


def _asked(state: IntakeState) -> str:
    shared = base().questions[state.pending.partition(".")[0]]
    return shared.carer if state.carer and shared.carer else shared.text


def _read(kind: str, item: str, said: str, options: Sequence[Option], mentions: Sequence[Mention]) -> Read:
    if kind == "choice":
        return read_answers.choice(said, options, item)
    if kind == "age":
        return read_answers.age(said)
    if kind == "scale":
        return read_answers.scale(said)
    if kind == "duration":
        return read_answers.duration(said)
    if kind == "list":
        codes = {option.code for option in options}
        there = ("present", "past") if item in ("history", "system") else ("present",)
        named = [each.finding for each in mentions if each.finding in codes and each.status in there]
        denied = [each.finding for each in mentions if each.finding in codes and each.status == "absent"]
        return read_answers.checklist(said, options, named, denied)
    if read_answers.says_no(said) and item in ("medications", "allergies", "more"):
        return Read(True, [_NONE])
    return read_answers.free(said)


def _settle(state: IntakeState, item: str, given: Answer) -> None:
    """Draw what an answer means beyond itself."""
    code = given.codes[0] if given.codes else ""
    if item == "who":
        state.carer = code == "carer" if code else None
    elif item == "age":
        state.answered_age = given.number is not None
    elif item == "pregnancy":
        state.pregnancy = code or _UNSURE
    elif item == "complaint":
        state.complaint = _complaint(given.said, state.carer)
    elif item == "area" and code in base().complaints:
        state.complaint = code


def _complaint(said: str, carer: bool | None) -> str:
    """The complaint that the patient's words speak for: what they name first, conditions and habits last."""
    at: dict[str, int] = {}
    findings = lexicon().findings
    for each in read(said, carer=carer):
        if each.status == "present":
            later = MAX_KEPT if findings[each.finding].lasting else 0
            at.setdefault(each.finding, each.start + later)
    return base().complaint_for(at)


def _note(state: IntakeState, mentions: Sequence[Mention], said: str) -> None:
    """Keep what the text names, and the ages that it says of a child."""
    for each in mentions:
        if each.status in ("present", "absent"):
            _set(state, each.finding, each.status, said[each.start : each.end][:_QUOTED])
    if state.pending.partition(".")[0] != "age":
        # An age in the text counts beside the one that was answered if it is a child's: the carer may have given
        # their own. It can only add rules.
        state.ages += [each for each in measures.ages(said) if each < 18 * DAYS["year"] and each not in state.ages]


def _set(state: IntakeState, name: str, presence: str, quote: str) -> None:
    """Note a finding. What is present stays present; what was unknown may become known."""
    before = state.facts.get(name)
    if before is not None and before.presence == "present":
        if presence == "absent":
            before.denied = True
        return
    if before is not None and presence == "unknown":
        return
    state.facts[name] = Fact(presence=presence, question=state.pending, quote=quote)  # type: ignore[arg-type]


def _apply_rules(state: IntakeState) -> None:
    present = state.present()
    unknown = {name for name, fact in state.facts.items() if fact.presence == "unknown"}
    present |= {"pregnant"} & ({state.pregnancy} | ({"pregnant"} if "pregnant_said" in present else set()))
    present |= {"postpartum"} & ({state.pregnancy} | ({"postpartum"} if "postpartum_said" in present else set()))
    present |= {name for name in ("sudden", "severe") if f"{name}_said" in present}
    if state.pregnancy == _UNSURE:
        unknown |= {"pregnant"}
    severity, onset = state.answer("severity"), state.answer("onset")
    duration, course = state.answer("duration"), state.answer("course")
    if severity is not None and severity.number is not None and severity.number >= 8:
        present.add("severe")
    if onset is not None and onset.codes == ["sudden"]:
        present.add("sudden")
    if course is not None and course.codes == ["worse"]:
        present.add("worsening")
    if duration is not None and duration.number is not None and duration.number >= 21 * 24:
        present.add("long")
    risk = assess_risk(present, unknown=unknown, ages=state.ages, age_unknown=state.answered_age is False)
    if state.complaint:
        complaint = base().complaints[state.complaint]
        reason = Reason(
            rule="complaint", level=complaint.level, text=f"least level of the complaint: {complaint.title.lower()}",
            source=complaint.source.name, reviewed=complaint.source.read,
        )  # fmt: skip
        risk = risk.raised(Risk(level=complaint.level, reasons=[reason]))
    state.risk = state.risk.raised(risk)


def _go_on(state: IntakeState, model: Backend | None, site: Site | None) -> None:
    following = next_question(state, model)
    if following is None:
        _finish(state, model, site)
        return
    state.pending, state.pending_findings, state.pending_by = following.id, list(following.findings), following.by
    state.asked += 1
    if following.by == "model" and model is not None:
        state.model = model.name


def _finish(state: IntakeState, model: Backend | None, site: Site | None) -> None:
    if model is not None and site is not None and site.model_raises:
        state.risk = state.risk.raised(raised_by_model(state, model))
    _ended(state, "emergency" if state.risk.level == "emergency" else "finished")


def _ended(state: IntakeState, status: str) -> IntakeState:
    state.status = status  # type: ignore[assignment]
    state.pending, state.pending_findings, state.again = "", [], ""
    return state
