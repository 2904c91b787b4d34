"""Passages of papers or notes as evidence: the same check, against words instead of coded facts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from aris.records.text import Terms, sentences, tokens
from aris.tasks.support.facts import Evidence, Fact, Value
from aris.tasks.support.lexicon import cues, synonyms
from aris.tasks.support.quantities import dates, numbers

_DIRECTIONS = ("rose", "fell", "steady")


def evidence_of_text(passages: Mapping[str, str]) -> Evidence:
    """Evidence of passages by their ids; numbers, dates, names and directions are read from their words."""
    facts = {}
    for id, text in passages.items():
        taken = [(date.start, date.end) for date in dates(text)]
        values = tuple(Value(number.value, number.unit) for number in numbers(text, taken))
        facts[id] = (Fact(id=id, kind="text", name="", values=values, text=text),)
    return Evidence(facts)


def directions_in(text: str, key: str | None) -> set[str]:
    """The directions ("rose", "fell", "steady") of a text's sentences that name a thing, or of all of them."""
    terms = _terms()
    named = {key, *synonyms(key)} if key else set()
    names = Terms({each: each for each in named if each}) if named else None
    found: set[str] = set()
    for start, end in sentences(text):
        words = tokens(text, start, end)
        if names is None or names.find(words):
            found |= {each.concept for each in terms.find(words)}
    return found


@cache
def _terms() -> Terms:
    return Terms({phrase: kind for kind in _DIRECTIONS for phrase in cues(kind)})
