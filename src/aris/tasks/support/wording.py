"""A statement's wording against that of a text: its words in one sentence there, with the same denial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aris.records.text import sentences, singular, tokens
from aris.tasks.support.facts import Fact
from aris.tasks.support.lexicon import plain_words
from aris.tasks.support.verdicts import Reason

_DENIALS = frozenset(
    ("no", "not", "never", "without", "denies", "denied", "denying", "negative", "none", "neither", "nor", "absence",
     "absent", "lack", "lacks", "cannot", "can't", "unlikely", "excluded", "fails", "failed")
)  # fmt: skip
_IN_ONE = 0.75  # of a statement's words of content must stand in one sentence of the source


class Wording(NamedTuple):
    """Wording of a statement in a text: the share of its words of content in the sentence that has most of them."""

    share: float
    denied: bool
    denies: bool


def stem(word: str) -> str:
    """A word without its ending, as a key to compare by: "diagnosed" and "diagnosis" have one."""
    word = singular(word.removesuffix("'s"))
    for end in ("ing", "ed", "ion", "ly", "al", "ic", "es", "is", "e"):
        if word.endswith(end) and len(word) > len(end) + 3:
            return word[: -len(end)]
    return word


def content(text: str) -> set[str]:
    """The stems of a text's words of content."""
    plain = plain_words()
    words = {token.word for token in tokens(text) if token.is_word}
    named = {word for word in words if len(word) > 2 and word.removesuffix("'s").isalpha() and word not in _DENIALS}
    return {stem(word) for word in named if singular(word) not in plain}


def denies(text: str) -> bool:
    """Return whether a text has a word of denial."""
    return any(token.word in _DENIALS or token.word.endswith("n't") for token in tokens(text))


def wording(text: str, passages: Sequence[Fact]) -> Wording:
    """Measure how far passages word a text."""
    words = content(text) - {word for fact in passages for name in (fact.name, *fact.aliases) for word in content(name)}
    best = Wording(0.0, False, denies(text))
    if not words:
        return best
    for fact in passages:
        for start, end in sentences(fact.text):
            said = fact.text[start:end]
            share = len(words & content(said)) / len(words)
            if share > best.share or (share == best.share and denies(said) == best.denies != best.denied):
                best = Wording(share, denies(said), best.denies)
    return best


def wording_reasons(text: str, facts: Sequence[Fact], mentions: bool) -> tuple[list[Reason], int]:
    """Return why the cited texts do not word a statement, and 1 if they were held against it; 0 where none is cited."""
    passages = [fact for fact in facts if fact.kind == "text" and fact.text]
    if not passages or len(passages) < len(facts) or not content(text):
        return [], 0
    found = wording(text, passages)
    if found.share < _IN_ONE:
        message = "its words do not stand in one sentence of what it cites"
        return [Reason("not checkable", "word", "", 0, 0, message)], 1
    if found.denied != found.denies and not mentions:
        what = "denies what it states" if found.denied else "states what it denies"
        return [Reason("contradicted", "negation", "", 0, 0, f"the source {what}")], 1
    return [], 1
