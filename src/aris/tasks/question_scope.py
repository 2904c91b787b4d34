"""A question about images against the model's scope: the same gate and facts as for its findings.

A model that declares findings is asked only about images on which they may be assessed. One whose own words to a
question do not rest on the image (`Scope.free_answers`), as aris-nano's, answers from its calibrated scores what these
can answer, and says of all else that it cannot.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aris.backends import Backend, Grammar
from aris.tasks.cases import Case
from aris.tasks.checks.film import not_a_film
from aris.tasks.findings import assess
from aris.tasks.results import FilmFindings, Finding
from aris.tasks.scope import FORCED, outside_scope, refusal, unknown_facts

TEXT_ALONE = (
    "{model} is a small language model: what it says of medicine is often wrong, whatever it sounds like; it is no "
    "advice"
)
_CANNOT = "{model} cannot answer this: "
_WORD = (
    r"(?:chest |frontal )*(?:x-?rays?|films?|images?|pictures?|radiographs?|scans?|photo(?:graph)?s?|tiles?|slides?"
    r"|slices?)"
)
_SHOWN = rf"(?:this|that|the|these|those|my|his|her|attached|above|given) (?:\w+ )?{_WORD}"
# What asks about an image, though none was given.
_OF_AN_IMAGE = re.compile(
    rf"\b{_SHOWN}\b|\bwhat (?:do|can) you see\b"
    r"|^(?:please )?(?:describe|interpret|read|report|caption) (?:it|this|that)\b"
    rf"|^(?:please )?(?:describe|interpret) an? {_WORD}\b|\b(?:seen|visible|shown) here\b"
    # "Is the heart enlarged?", "Does she have asthma?": yes or no about somebody who is not there to be seen.
    r"|^(?:is|are|was|were|does|do|did|has|have|can|could) "
    r"(?:the|this|that|these|those|there|it|he|she|my|his|her|any)\b"
)
_ANSWER = r"(?: answer.{{0,40}})?"
# "Is there (any sign of) pneumonia (in this chest X-ray)? Answer yes or no."
_ASKS_FOR = (
    r"^(?:please )?(?:tell me )?(?:(?:is|are|was) there|(?:do|can) you see"
    r"|(?:does|do) (?:{shown}|it|(?:the|this) (?:patient|child)|he|she) (?:show|have|demonstrate|suggest)|any)? ?"
    r"(?:(?:any|some|a|an|the|signs?|evidence|findings?|indications?|suspicion|features?|changes?) (?:of )?)*{finding}"
    r"(?: (?:here|present|visible|seen|shown|or not))*(?: (?:in|on|at) (?:it|{shown}))?(?: (?:here|present|visible))?"
    r"(?: please)?" + _ANSWER + "$"
)
_IS_SEEN = (
    r"^is (?:any )?{finding} (?:present|visible|seen|shown|there)(?: (?:in|on) (?:it|{shown}))?" + _ANSWER + "$"
)
_IS_FILM = re.compile(
    r"^is (?:this|it|that) an? (?:frontal )?chest (?:x-?ray|film|radiograph)(?: answer.{0,40})?$"
)
_DESCRIBE = re.compile(
    r"\b(?:describe|description|interpret|interpretation|analy[sz]e|summari[sz]e|caption|report|findings?|impression|"
    r"diagnos\w+|abnormal\w*|what (?:do|can) you see|what (?:is|are) (?:seen|shown|visible|wrong))\b"
    rf"|\bwhat (?:does|do) {_SHOWN} show\b|\bwhat is (?:in|on) {_SHOWN}"
)


@dataclass(frozen=True)
class Judgement:
    """Judgement on a question: the answer that may be given.

    Attributes:
        text: the whole answer, in place of the model's words; None where the model may answer.
        answered: False where `text` only says why there is no answer.
        warnings: what a reader must know before the answer, one line each.
        forced: the caller overrode the model's scope.
    """

    text: str | None = None
    answered: bool = True
    warnings: tuple[str, ...] = ()
    forced: bool = False


def judge(
    model: Backend,
    question: str,
    shown: Sequence[Case],
    *,
    force: bool = False,
    grammar: Grammar | None = None,
    adapter: bool = False,
) -> Judgement:
    """Return whether a model may answer a question, and what is said in its place where it may not.

    Args:
        model: to ask.
        question: the user's last text.
        shown: every examination of the conversation, those of earlier turns too, in order.
        force: let the model answer outside its scope; the answer is marked.
        grammar: what the answer must keep to. A text in the model's place keeps to a choice; to nothing else it can.
        adapter: whether an adapter changes the model, of which nothing is declared.

    Raises:
        ModelError: its scores are not numbers.
        CheckpointError: its calibration is malformed.
    """
    spec = model.spec
    if spec is None:
        return Judgement()
    if adapter or not spec.scope.findings:
        said = [each for case in shown for each in _facts(model, case)]
        if adapter and not spec.scope.free_answers:
            said.append(f"an adapter changes {spec.name}: nothing is declared of what it can answer")
        return Judgement(warnings=tuple(dict.fromkeys(said)))
    if not shown:
        return _without_image(model, question, force)
    assessed: list[FilmFindings] = []
    warnings: list[str] = []
    for case in shown:
        reason = refusal(model, "ask", case.kind)
        if reason is None and case.film is not None:
            found = assess(model, case.film, task="ask")
            assessed.append(found.result)
            warnings += found.result.warnings
            if not found.in_scope:
                notes = [each for each in found.result.warnings if each not in case.film.warnings]
                reason = notes[-1] if notes else "the image is outside the model's scope"
        elif reason is None:
            reason = "the image is no chest film"
        if reason is not None:
            warnings = list(dict.fromkeys([*warnings, reason]))
            return _refused(model, reason, warnings, force)
    warnings = list(dict.fromkeys(warnings))
    if spec.scope.free_answers:
        return Judgement(warnings=tuple(warnings))
    if len(shown) > 1:
        return _refused(model, f"it reads one film at a time, and {len(shown)} images were shown", warnings, force)
    if force:
        reason = f"the own words of {model.name} rest on the question and not on the film"
        return Judgement(warnings=(FORCED, reason, *warnings), forced=True)
    return _by_findings(model, question, shown[0], assessed[0].findings, warnings, grammar)


def _facts(model: Backend, case: Case) -> list[str]:
    """Return the scope's remarks on an examination, for a model whose answers are given all the same."""
    assert model.spec is not None
    if case.kind == "chest film" and case.film is not None:
        # The gate's score was calibrated without the adapter; what the pixels say needs no model.
        wrong = not_a_film(case.film.pixels) if model.spec.scope.findings else None
        said = [] if wrong is None else [f"not a chest film: {wrong}"]
        return [*said, *outside_scope(case.film, model.spec.scope)]
    reason = refusal(model, "ask", case.kind)
    return [] if reason is None else [reason]


def _refused(model: Backend, reason: str, warnings: Sequence[str], force: bool) -> Judgement:
    if force:
        return Judgement(warnings=tuple(dict.fromkeys((FORCED, reason, *warnings))), forced=True)
    return Judgement(_CANNOT.format(model=model.name) + reason + ".", False, tuple(dict.fromkeys(warnings)))


def _without_image(model: Backend, question: str, force: bool) -> Judgement:
    assert model.spec is not None
    scope = model.spec.scope
    if scope.free_answers:
        return Judgement()
    said = _plain(question)
    names = [each.name for each in scope.findings]
    if _OF_AN_IMAGE.search(said) or any(_asks_for(name, said) for name in names):
        return _refused(model, "it asks about an image or a patient, and no image was given", (), force)
    return Judgement(warnings=(TEXT_ALONE.format(model=model.spec.name),))


def _by_findings(
    model: Backend,
    question: str,
    case: Case,
    findings: Sequence[Finding],
    warnings: Sequence[str],
    grammar: Grammar | None,
) -> Judgement:
    """An answer from the calibrated scores, to what they can answer."""
    said = _plain(question)
    statement = f"{'; '.join(_statement(each) for each in findings)}. {_limits(model, case)}"
    asked = next((each for each in findings if _asks_for(each.name, said)), None)
    scored = [each for each in findings if each.assessed]
    if asked is not None and asked.assessed:
        word = {True: "Yes", False: "No", None: "Uncertain"}[asked.present]
        if grammar is None:
            return Judgement(f"{word}. {statement}", True, tuple(warnings))
        fitting = _chosen(grammar, word)
        if fitting is not None:
            return Judgement(fitting, True, tuple(warnings))
    elif _IS_FILM.match(said) and grammar is None:
        return Judgement(f"Yes: the gate takes it for a frontal chest X-ray. {statement}", True, tuple(warnings))
    elif scored and grammar is None and asked is None and _DESCRIBE.search(said):
        return Judgement(statement, True, tuple(warnings))
    why = "the answer's form has no place for what the scores say" if asked is not None and asked.assessed else (
        "its own words would rest on the question and not on the film"
    )
    return _refused(model, f"{why}. {statement.rstrip('.')}", warnings, force=False)


def _statement(each: Finding) -> str:
    if each.probability is None:
        return f"{each.name}: {each.note or 'not assessed'}"
    number = ">0.99" if each.probability > 0.99 else "<0.01" if each.probability < 0.01 else f"{each.probability:.2f}"
    return f"{each.name}: {each.word}, probability {number}"


def _limits(model: Backend, case: Case) -> str:
    assert model.spec is not None
    unknown = None if case.film is None else unknown_facts(case.film, model.spec.scope, model.name)
    known = "" if unknown is None else f"{unknown[0].upper()}{unknown[1:].split(':')[0]}. "
    never = "" if model.spec.patient_care else "; it is for trying and testing only, never for patient care"
    return f"{known}{model.name} says nothing else of a film{never}."


def _chosen(grammar: Grammar, word: str) -> str | None:
    """Find the text of a choice or regular expression that holds a word; None if none does, or two choices do."""
    if grammar.kind == "regex":
        # Not by Python's `re`: the expression is a caller's, in Rust's syntax, and may take `re` for ever.
        return next((each for each in (word, word.lower(), word.upper()) if grammar.allows(each)), None)
    if grammar.kind != "choice":
        return None
    same = {"Yes": ("yes", "y", "true", "present"), "No": ("no", "n", "false", "absent", "not seen")}.get(
        word, ("uncertain", "unsure", "unclear", "unknown")
    )
    fitting = [each for each in grammar.value if str(each).strip().lower() in same]
    return str(fitting[0]) if len(fitting) == 1 else None


def _asks_for(finding: str, said: str) -> bool:
    name = re.escape(finding.lower())
    patterns = (_ASKS_FOR.format(shown=_SHOWN, finding=name), _IS_SEEN.format(shown=_SHOWN, finding=name))
    return any(re.match(each, said) for each in patterns)


def _plain(question: str) -> str:
    """The question in lower case, without punctuation and in single spaces."""
    return " ".join(re.sub(r"[^\w\s-]", " ", question.lower()).split())
