"""Relations that a statement claims between the things it names: causes, reasons, "the latest", and how often."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from aris.records.text import Mention
from aris.tasks.support.facts import Evidence, Fact
from aris.tasks.support.statement import Statement
from aris.tasks.support.verdicts import Reason

_CAUSE = re.compile(
    r"\b(?:because(?: of)?|due to|caused by|causing|secondary to|as a result of|resulting (?:from|in)"
    r"|(?:leads?|led) to|in response to|attributed to|attributable to|induced|triggered by|explains?|explained by"
    r"|consequence of)\b",
    re.IGNORECASE,
)
_FOR = re.compile(r"\A[^.;,]{0,40}?\b(?:for|to treat|as treatment of)\s+(?:the |her |his |a |an )?\Z", re.IGNORECASE)
_LATEST = re.compile(r"\b(?:latest|most recent|newest|last|current(?:ly)?)\b", re.IGNORECASE)
_IS = re.compile(r" (?:is|are|stands|remains)\b(?! (?:not|documented|recorded))", re.IGNORECASE)
_VALUE = re.compile(r"[\s:=(]*(?:of |at )?[<>~]?\s*\d")
_PAST = re.compile(
    r"\b(?:was|were|had|previous(?:ly)?|prior|earlier|initial(?:ly)?|admission|arrival|presentation|baseline|before|after"
    r"|then|past|formerly|once|peak(?:ed|ing)?|nadir|highest|lowest|maximum|minimum|rang(?:e|ed|ing)|between|from|to|rose"
    r"|fell|rising|falling|increased|decreased|improved|history|ago|first|reached)\b", re.IGNORECASE,
)  # fmt: skip
_OFTEN = re.compile(
    r"\b(?:(?P<times>once|twice|thrice|(?:one|two|three|four|five|six|\d{1,2}) times?)\s+(?:a |per |each |every )?"
    r"(?P<per>day|daily|week|weekly|month|monthly)"
    r"|every (?P<hours>\d{1,2})(?:\s?-\s?\d{1,2})? ?h(?:ours?|rs?)?|q ?(?P<q>\d{1,2}) ?h(?:ours?|rs?)?"
    r"|every (?:other|second) (?P<other>day)"
    r"|(?P<plain>daily|weekly|monthly|nightly|hourly|bid|b\.i\.d\.?|tid|t\.i\.d\.?|qid|q\.i\.d\.?|qd"
    r"|every day|each day|every week|every morning|every evening|every night))(?!\w)",
    re.IGNORECASE,
)
_TIMES = {"once": 1, "twice": 2, "thrice": 3, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_PER = {"day": 1.0, "daily": 1.0, "week": 7.0, "weekly": 7.0, "month": 30.0, "monthly": 30.0}
_PLAIN = {
    "daily": 1.0, "nightly": 1.0, "every day": 1.0, "each day": 1.0, "qd": 1.0, "every morning": 1.0,
    "every evening": 1.0, "every night": 1.0, "bid": 2.0, "tid": 3.0, "qid": 4.0, "weekly": 1 / 7, "every week": 1 / 7,
    "monthly": 1 / 30, "hourly": 24.0,
}  # fmt: skip


def relation_reasons(statement: Statement, facts: Sequence[Fact]) -> list[Reason]:
    """Return why a cause or reason cannot be held against the cited facts; empty where none is claimed."""
    found = []
    for match in _CAUSE.finditer(statement.text):
        inside = any(each.start <= match.start() and match.end() <= each.end for each in statement.mentions)
        if not inside and not any(match[0].lower() in fact.text.lower() for fact in facts):
            message = "no cited source tells a cause"
            found.append(_reason("not checkable", "word", statement, match.start(), match.end(), message))
    for first, second in pairwise(statement.mentions):
        if _FOR.match(statement.text[first.end : second.start]):
            drugs = [fact for fact in facts if fact.kind == "medication"]
            if drugs and not any(second.text.lower() in fact.text.lower() for fact in facts):
                message = f"no cited source says that it is for {second.text}"
                found.append(_reason("not checkable", "word", statement, first.start, second.end, message))
    return found


def latest_reason(
    statement: Statement, mention: Mention, facts: Sequence[Fact], evidence: Evidence
) -> Reason | None:
    """Return why a result told as the latest is not; None if it is."""
    before = statement.text[max(0, mention.start - 24) : mention.start]
    after = statement.text[mention.end :]
    told = _LATEST.search(before) or _LATEST.match(after.lstrip(" :(,-")) or (not statement.dates and _IS.match(after))
    # "Potassium 4.1 mmol/L." reads as how it is now.
    bare = not told and not statement.dates and _VALUE.match(after) and not _PAST.search(statement.text)
    measured = [fact for fact in facts if fact.kind == "measurement" and fact.days]
    if not (told or bare) or not measured:
        return None
    last = max(fact.days[0].start for fact in measured)
    later = [
        fact
        for fact in evidence.named.get(mention.concept, ())
        if fact.kind == "measurement" and fact.values and not fact.negated and fact.days and fact.days[0].start > last
    ]
    if not told:
        given = {value.normal for fact in measured for value in fact.values}
        later = [fact for fact in later if not given & {value.normal for value in fact.values}]
    if not later:
        return None
    if not told:
        message = f"without a date it reads as the latest, and {later[-1].id} is later and says otherwise"
        return _reason("unsupported", "date", statement, mention.start, mention.end, message)
    return _reason("contradicted", "date", statement, mention.start, mention.end, f"{later[-1].id} is later")


def often_reasons(statement: Statement, owners: dict[int, list[Fact]]) -> list[Reason]:
    """Return why a drug is not taken as often as told; empty where it is, or nothing is told."""
    found = []
    for match in _OFTEN.finditer(statement.text):
        owner = statement.owner(match.start(), match.end())
        drugs = [fact for fact in owners.get(owner.start, ()) if fact.kind == "medication"] if owner else []
        if not drugs:
            continue
        said = "\n".join(f"{fact.name}\n{fact.text}" for fact in drugs)
        known = [rate for each in _OFTEN.finditer(said) if (rate := _rate(each))]
        told = _rate(match)
        if told is None or any(abs(rate - told) < 0.01 for rate in known):
            continue
        outcome, message = ("contradicted", f"{drugs[0].id} says another frequency") if known else (
            "unsupported", f"{drugs[0].id} does not say how often")  # fmt: skip
        found.append(_reason(outcome, "number", statement, match.start(), match.end(), message))
    return found


def frequencies(text: str) -> list[tuple[int, int]]:
    """Return where a text tells how often."""
    return [match.span() for match in _OFTEN.finditer(text)]


def _rate(match: re.Match[str]) -> float | None:
    """Return the times a day."""
    if match["times"]:
        word = match["times"].lower().split()[0]
        times = _TIMES.get(word) or (float(word) if word.isdigit() else None)
        return None if times is None else times / _PER[match["per"].lower()]
    hours = match["hours"] or match["q"]
    if hours:
        return 24 / int(hours) if int(hours) else None
    if match["other"]:
        return 0.5
    return _PLAIN.get(match["plain"].lower().replace(".", ""))


def _reason(outcome: str, kind: str, statement: Statement, start: int, end: int, message: str) -> Reason:
    text = statement.text[start:end]
    return Reason(outcome, kind, text, start, end, f'"{text}": {message}')  # type: ignore[arg-type]
