"""The caller's words for concepts, found in a text, misspelt ones too where the caller allows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from aris.records.text.tokens import Token, singular, tokens

# Little words that may stand inside a phrase ("pain in my chest" for "pain in chest"). At most two in a row.
_FILLERS = frozenset(
    ("a", "an", "the", "my", "his", "her", "your", "our", "their", "its", "some", "any", "this", "that", "really", "of")
)
_SHORTEST = 5  # letters of a term's word that may be misspelt; of four letters only two that are swapped
_TWO_ERRORS = 8  # letters from which two errors are taken for one misspelling
_LONGEST = 24
_WITHIN = 3  # candidates for one misspelt word


@cache
def common_words() -> frozenset[str]:
    """Words of everyday English close to words of illness, which are no misspellings of them: "never" is no fever."""
    text = files("aris.records.text").joinpath("common_words.txt").read_text(encoding="utf-8")
    return frozenset(text.split())


class Found(NamedTuple):
    """A term in a text: from token `first` up to token `last`; `exact` unless a word of it was misspelt."""

    concept: str
    first: int
    last: int
    exact: bool


class _Node:
    __slots__ = ("concept", "next")

    def __init__(self) -> None:
        self.next: dict[str, _Node] = {}
        self.concept: str | None = None


class Terms:
    """Phrases and the concepts that they name.

    Upper and lower case, plural endings, hyphens and British spelling make no difference, and small words may stand
    inside a phrase ("pain in my chest" is found by "pain in chest"). Where phrases overlap the longest counts.

    Args:
        phrases: each phrase with the name of its concept, which comes back as it is.
        misspellings: also find words with one wrong, missing, doubled or swapped letter, from five letters on, with two
            from eight letters on, with two swapped from four on; the first letter must be right except in words of
            seven letters or more. Common words of English are never taken for misspellings.

    Raises:
        ValueError: if a phrase has no word in it.
    """

    def __init__(self, phrases: Mapping[str, str], *, misspellings: bool = False) -> None:
        self.misspellings = misspellings
        self._root = _Node()
        self._words: set[str] = set()
        for phrase, concept in phrases.items():
            words = [singular(token.word) for token in tokens(phrase)]
            if not words:
                raise ValueError(f"the phrase {phrase!r} of the concept {concept!r} has no word in it")
            self._add(words, concept)
            if "can't" in words:
                at = words.index("can't")
                for spelt in (["can", "not"], ["could", "not"], ["couldn't"]):
                    self._add([*words[:at], *spelt, *words[at + 1 :]], concept)
            kept = [word for word in words if word not in _FILLERS]
            if misspellings and len(kept) == len(words) == 2 and len("".join(words)) >= 8:
                self._add(["".join(words)], concept)  # "chestpain"
        self._deletes: dict[str, list[str]] = {}
        if misspellings:
            for word in sorted(self._words):
                if len(word) >= _SHORTEST - 1 and word.isalpha():
                    for short in _shortened(word, 2 if len(word) >= _TWO_ERRORS else 1):
                        self._deletes.setdefault(short, []).append(word)
        self._known: dict[str, tuple[str, ...]] = {}

    def _add(self, words: Sequence[str], concept: str) -> None:
        node = self._root
        for word in words:
            self._words.add(word)
            node = node.next.setdefault(word, _Node())
        if node.concept is None:
            node.concept = concept

    def find(self, within: Sequence[Token]) -> list[Found]:
        """The terms among tokens, in order, none over another."""
        candidates = [self._candidates(token.word) for token in within]
        found: list[Found] = []
        at = 0
        while at < len(within):
            best = self._longest(within, candidates, at) if candidates[at] else None
            if best is None:
                at += 1
                continue
            found.append(best)
            at = best.last
        return found

    def _longest(self, within: Sequence[Token], candidates: Sequence[tuple[str, ...]], first: int) -> Found | None:
        best: Found | None = None
        reached = [(self._root, True)]
        at, fillers = first, 0
        while reached and at < len(within):
            stepped = []
            for node, exact in reached:
                for number, word in enumerate(candidates[at]):
                    if word in node.next:
                        stepped.append((node.next[word], exact and number == 0 and word == singular(within[at].word)))
            if stepped:
                fillers = 0
            elif at > first and within[at].word in _FILLERS and fillers < 2:
                fillers += 1
                at += 1
                continue
            reached = stepped[:_WITHIN]
            at += 1
            for node, exact in reached:
                if node.concept is not None and (best is None or at > best.last):
                    best = Found(node.concept, first, at, exact)
        return best

    def _candidates(self, word: str) -> tuple[str, ...]:
        key = singular(word)
        if key in self._words:
            return (key,)
        if not self.misspellings or not _SHORTEST - 1 <= len(word) <= _LONGEST:
            return ()
        if word in common_words() or key in common_words():
            return ()
        known = self._known.get(word)
        if known is None:
            either = tuple(self._misspelt(key)) or (tuple(self._misspelt(word)) if word != key else ())
            known = self._known[word] = either if key.isalpha() else ()
            if len(self._known) > 50_000:  # a text of nothing but new words must not fill the memory
                self._known.clear()
        return known

    def _misspelt(self, word: str) -> Iterator[str]:
        errors = 2 if len(word) >= _TWO_ERRORS - 2 else 1
        seen: set[str] = set()
        ranked: list[tuple[int, str]] = []
        for short in _shortened(word, errors):
            for other in self._deletes.get(short, ()):
                if other in seen:
                    continue
                seen.add(other)
                allowed = 2 if len(other) >= _TWO_ERRORS else 1
                if other[0] != word[0] and min(len(other), len(word)) < 7:
                    continue
                if len(other) < _SHORTEST and sorted(other) != sorted(word):
                    continue
                distance = _distance(word, other)
                if distance <= allowed:
                    ranked.append((distance, other))
        for _, other in sorted(ranked)[:_WITHIN]:
            yield other


def _shortened(word: str, errors: int) -> set[str]:
    """The word, and every word that is left when up to `errors` letters are taken out."""
    found = {word}
    edge = {word}
    for _ in range(errors):
        edge = {each[:at] + each[at + 1 :] for each in edge for at in range(len(each))}
        found |= edge
    return found


def _distance(one: str, other: str) -> int:
    """The letters to change, add, leave out or swap with the next (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        now = [i]
        for j, b in enumerate(other, 1):
            cost = min(row[j] + 1, now[j - 1] + 1, row[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            now.append(cost)
        before, row = row, now
    return row[-1]
