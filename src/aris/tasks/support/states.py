"""States and denials: a stopped drug told as current, a resolved problem as active, what is denied, who has it."""

from __future__ import annotations

from collections.abc import Sequence

from aris.records.text import Mention
from aris.tasks.support.facts import Fact
from aris.tasks.support.sources import Basis
from aris.tasks.support.statement import Statement
from aris.tasks.support.verdicts import Reason

_STRONG = ("over", "current", "event", "planned", "allergy")
_WORDS = {
    "medication": ("in use", "stopped"), "problem": ("active", "resolved"), "allergy": ("active", "no longer active"),
    "immunization": ("given", "not given"), "procedure": ("done", "not done"),
}  # fmt: skip


def claim(statement: Statement, mention: Mention) -> str:
    """The state that a statement claims of a thing.

    "over", "current" (said), "planned", "allergy", "event" (no state is claimed) or "plain" (named and nothing else).
    """
    kinds = [cue.kind for cue in statement.around(mention, _STRONG)]
    if mention.negated and any(cue.kind == "negated" and "longer" in cue.text.lower() for cue in mention.cues):
        return "over"
    for kind in ("allergy", "over", "planned"):
        if kind in kinds:
            return kind
    if "current" in kinds:
        return "current"
    if "event" in kinds:
        return "event"
    if mention.temporality == "historical":
        return "over"
    weak = [cue.kind for cue in statement.around(mention, ("was", "has"))]
    return {"was": "event", "has": "current"}[weak[0]] if weak else "plain"


def state_reasons(statement: Statement, mention: Mention, basis: Basis) -> list[Reason]:
    """Return why a thing's state, denial or owner is not as the source says; empty if it is."""
    fact = basis.fact
    if basis.said is not None:
        return _against_text(mention, basis.said, fact)
    if fact.kind == "text":
        return []  # the document itself; what it says is held against its words
    found: list[Reason] = []
    said = claim(statement, mention)
    if mention.experiencer == "other" and fact.kind != "family":
        found.append(
            _reason("contradicted", "person", mention, f"{fact.id} is about the patient, not about a relative")
        )
    if fact.kind == "family" and mention.experiencer == "patient" and not _names_family(statement):
        found.append(
            _reason("contradicted", "person", mention, f"{fact.id} is about a relative, not about the patient")
        )
    found += _denials(mention, fact, said)
    if not found and not fact.negated:
        found += _states(statement, mention, fact, said)
    return found


def _names_family(statement: Statement) -> bool:
    return any(token.word in ("family", "familial", "relative", "relatives") for token in statement.words)


def _denials(mention: Mention, fact: Fact, said: str) -> list[Reason]:
    if fact.negated and not mention.negated and said != "over" and "no " not in f"{fact.name.lower()} ":
        what = "was not given" if fact.kind in ("medication", "immunization") else "does not hold"
        return [_reason("contradicted", "negation", mention, f"{fact.id} says that this {what}")]
    if not mention.negated or fact.negated or said == "over":
        return []
    if fact.kind == "measurement":
        return [
            _reason(
                "not checkable", "negation", mention, f"a denial of {mention.text} cannot be held against {fact.id}"
            )
        ]
    if fact.state in ("over", "not done") and fact.kind != "problem":
        return []
    return [_reason("contradicted", "negation", mention, f"{fact.id} states it: it is not absent")]


def _states(statement: Statement, mention: Mention, fact: Fact, said: str) -> list[Reason]:
    now, over = _WORDS.get(fact.kind, ("active", "over"))
    if fact.kind == "allergy" and said in ("current", "event", "planned") and not _names_allergy(statement):
        return [_reason("contradicted", "allergy", mention, f"{fact.id} is an allergy to it")]
    if said == "allergy":
        if fact.kind in ("allergy", "text"):
            said = "plain"
        elif fact.kind in ("medication", "problem", "immunization"):
            return [_reason("contradicted", "allergy", mention, f"{fact.id} is no allergy")]
    if fact.state in ("planned", "not done") and said in ("event", "current", "over", "plain") and fact.kind != "other":
        what = "planned, not done" if fact.state == "planned" else "was not done"
        if not (fact.state == "not done" and said == "over"):
            return [_reason("contradicted", "status", mention, f"{fact.id}: {what}")]
    if said == "planned" and fact.state != "planned":
        return [_reason("contradicted", "status", mention, f"{fact.id} is no plan")]
    if fact.state == "over" and (said == "current" or (said == "plain" and not _tells_its_time(statement, fact))):
        return [_reason("contradicted", "status", mention, f"{fact.id} is {over}, it is told as {now}")]
    if fact.state == "active" and said == "over":
        return [_reason("contradicted", "status", mention, f"{fact.id} is {now}, it is told as {over}")]
    if fact.state == "unknown" and said in ("current", "over"):
        return [_reason("unsupported", "status", mention, f"{fact.id} does not say whether it is {now} or {over}")]
    return []


def _names_allergy(statement: Statement) -> bool:
    return any(cue.kind == "allergy" for cue in statement.cues)


def _tells_its_time(statement: Statement, fact: Fact) -> bool:
    """Return whether a date of the statement is the fact's: "Sinusitis, 12 to 26 May 2012" claims no present state."""
    days = [*fact.days, *([fact.until] if fact.until else [])]
    return any(
        span.start <= day.end and day.start <= span.end
        for date in statement.dates
        for span in date.days
        for day in days
    )


def _against_text(mention: Mention, said: Mention, fact: Fact) -> list[Reason]:
    if said.negated != mention.negated:
        what = "denies it" if said.negated else "states it"
        return [_reason("contradicted", "negation", mention, f"{fact.id} {what}")]
    if said.experiencer != mention.experiencer:
        who = "a relative" if said.experiencer == "other" else "the patient"
        return [_reason("contradicted", "person", mention, f"{fact.id} says it of {who}")]
    if said.temporality == "hypothetical" != mention.temporality:
        return [_reason("contradicted", "status", mention, f"{fact.id} only warns of it")]
    if said.certainty == "uncertain" and mention.certainty == "certain" and not mention.negated:
        return [_reason("unsupported", "uncertain", mention, f"{fact.id} is not sure of it")]
    return []


def _reason(outcome: str, kind: str, mention: Mention, message: str) -> Reason:
    return Reason(outcome, kind, mention.text, mention.start, mention.end, f'"{mention.text}": {message}')  # type: ignore[arg-type]


def best(all_reasons: Sequence[list[Reason]]) -> list[Reason]:
    """The reasons of the source that fits best: none if one fits."""
    rank = {"contradicted": 2, "unsupported": 1, "not checkable": 0}
    return min(all_reasons, key=lambda reasons: (len(reasons) > 0, sum(rank[each.outcome] for each in reasons)))
