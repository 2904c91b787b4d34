"""A statement taken apart: the things it names, numbers, dates, and the words that say state and direction."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from aris.records.text import Mention, Terms, Token, find, tokens
from aris.tasks.support.facts import Evidence
from aris.tasks.support.lexicon import cues, plain_words
from aris.tasks.support.quantities import Date, Number, dates, numbers

CUES = (
    "over",
    "current",
    "event",
    "planned",
    "allergy",
    "rose",
    "fell",
    "steady",
    "high",
    "low",
    "normal",
    "was",
    "has",
)
_CLAUSE_ENDS = re.compile(r"[;\n]|\.(?=\s)|\b(?:but|whereas|while|although|however)\b", re.IGNORECASE)
_NEAR = 3  # words between a number and the name that it belongs to
_RATE = re.compile(
    r"\b(?:every|q) ?\d{1,2}(?:\s?-\s?\d{1,2})? ?h(?:ours?|rs?)?\b|\b\w+ times? (?=a |per |daily|weekly|each )",
    re.IGNORECASE,
)
_OLD = re.compile(
    r"(\d{1,3})[- ]?(?:(?:years?|yrs?|y)[- ]?(?:old|/?o)\b|yo\b)|\b(?:aged?|age of|age:)\s*(\d{1,3})\b", re.IGNORECASE
)


class CueHit(NamedTuple):
    """A cue of one of the kinds of `CUES` in a statement."""

    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Statement:
    """A statement taken apart.

    Attributes:
        text: as written.
        words: its words and marks.
        mentions: the things that it names; `concept` is the name's key.
        dates: that it states.
        numbers: that it states, outside of dates, names and ages.
        ages: stated ages in years.
        cues: words of state and direction.
        clauses: where its clauses begin.
    """

    text: str
    words: tuple[Token, ...]
    mentions: tuple[Mention, ...]
    dates: tuple[Date, ...]
    numbers: tuple[Number, ...]
    ages: tuple[Number, ...]
    cues: tuple[CueHit, ...]
    clauses: tuple[int, ...]

    def clause(self, at: int) -> int:
        """The number of the clause that a place stands in."""
        return bisect_right(self.clauses, at) - 1

    def owner(self, start: int, end: int) -> Mention | None:
        """The thing that a number or date belongs to: the one before it in its clause, else the next one after it."""
        here = [mention for mention in self.mentions if self.clause(mention.start) == self.clause(start)]
        before = [mention for mention in here if mention.end <= start]
        after = [mention for mention in here if mention.start >= end]
        if before and after and self.between(before[-1].end, start) > _NEAR >= self.between(end, after[0].start):
            gap = self.text[before[-1].end : start]
            if "," in gap:
                return after[0]
        if before:
            return before[-1]
        if after:
            return after[0]
        return None

    def between(self, start: int, end: int) -> int:
        """The words between two places."""
        return sum(start <= token.start and token.end <= end and token.is_word for token in self.words)

    def around(self, mention: Mention, kinds: Sequence[str]) -> list[CueHit]:
        """The cues that speak of a thing: the last before it in its clause, and those after it up to the next thing."""
        clause = self.clause(mention.start)
        here = [cue for cue in self.cues if cue.kind in kinds and self.clause(cue.start) == clause]
        before = [cue for cue in here if cue.end <= mention.start]
        following = [
            each.start for each in self.mentions if each.start >= mention.end and self.clause(each.start) == clause
        ]
        until = following[0] if following else len(self.text)
        after = [cue for cue in here if mention.end <= cue.start < until]
        return [*before[-1:], *after]


@cache
def _cue_terms() -> Terms:
    return Terms({phrase: kind for kind in reversed(CUES) for phrase in cues(kind)})


def read(text: str, evidence: Evidence) -> Statement:
    """A statement taken apart with the names that the evidence and the lexicon know."""
    plain = plain_words()
    mentions = tuple(mention for mention in find(text, evidence.terms) if not set(mention.concept.split()) <= plain)
    names = [(mention.start, mention.end) for mention in mentions]
    said = [date for date in dates(text) if not any(start <= date.start and date.end <= end for start, end in names)]
    ages = []
    taken = [(date.start, date.end) for date in said] + [(mention.start, mention.end) for mention in mentions]
    for match in _OLD.finditer(text):
        group = 1 if match[1] else 2
        ages.append(Number(float(match[group]), 0, "years", match.start(group), match.end()))
        taken.append((match.start(), match.end()))
    taken += [match.span() for match in _RATE.finditer(text)]
    words = tokens(text)
    hits = []
    for found in _cue_terms().find(words):
        start, end = words[found.first].start, words[found.last - 1].end
        if not any(mention.start < end and start < mention.end for mention in mentions):
            hits.append(CueHit(found.concept, text[start:end], start, end))
    clauses = [0, *(match.end() for match in _CLAUSE_ENDS.finditer(text))]
    return Statement(
        text=text, words=tuple(words), mentions=mentions, dates=tuple(said), numbers=tuple(numbers(text, taken)),
        ages=tuple(ages), cues=tuple(hits), clauses=tuple(clauses),
    )  # fmt: skip
