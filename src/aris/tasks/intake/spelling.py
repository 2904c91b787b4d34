"""Misspelt words taken for the words of a vocabulary, unless they are words of their own.

A word is another's misspelling if one letter was added, left out, changed or swapped with its neighbour, or if both
sound alike by their consonants and differ in few letters ("diarrea", "siezure", "unconshus"). The first letter must
agree, and words of four letters or fewer are taken as they stand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files

_SHORTEST = 5  # of the word that is meant
_VOWELS = frozenset("aeiouyhw")
_SOUNDS = (("ph", "f"), ("gh", ""), ("ck", "k"), ("sch", "sk"), ("ce", "se"), ("ci", "si"), ("cy", "sy"), ("sci", "si"),
           ("sh", "s"), ("tion", "sn"), ("cious", "s"), ("x", "ks"), ("q", "k"), ("c", "k"), ("z", "s"), ("dg", "g"),
           ("j", "g"))  # fmt: skip


def own_words() -> frozenset[str]:
    """Words of everyday English that stand close to words of illness and are no misspellings of them."""
    return frozenset((files(__package__) / "own_words.txt").read_text(encoding="utf-8").split())


def skeleton(word: str) -> str:
    """A word's consonants as they sound, without repeats; its first letter is kept."""
    sound = word
    for written, said in _SOUNDS:
        sound = sound.replace(written, said)
    kept: list[str] = []
    for letter in sound[1:]:
        if letter not in _VOWELS and (not kept or kept[-1] != letter):
            kept.append(letter)
    return word[:1] + "".join(kept)


def distance(one: str, other: str, limit: int = 3) -> int:
    """Edits between two words: a letter added, left out, changed, or swapped with its neighbour; above `limit` cut."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, last, row = row, before, [i] + [0] * len(other)
        for j, b in enumerate(other, 1):
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                row[j] = min(row[j], last[j - 2] + 1)
        if min(row) > limit:
            return limit + 1
    return row[-1]


class Speller:
    """The words of a vocabulary that a word may be meant for.

    Args:
        vocabulary: words in lower case, inflected ones among them.
        known: further words that are never misspellings.
    """

    def __init__(self, vocabulary: Iterable[str], known: Iterable[str] = ()) -> None:
        self._words = frozenset(vocabulary)
        self._known = frozenset(known) | self._words
        self._near: dict[str, set[str]] = defaultdict(set)
        self._sound: dict[str, set[str]] = defaultdict(set)
        for word in self._words:
            if len(word) >= _SHORTEST and word.isalpha():
                for cut in _cuts(word):
                    self._near[cut].add(word)
                self._sound[skeleton(word)].add(word)
        self.meant = lru_cache(maxsize=20_000)(self._meant)

    def _meant(self, word: str) -> frozenset[str]:
        """The words that a word is or is misspelt for; empty if there are none."""
        if word in self._words:
            return frozenset((word,))
        if len(word) < _SHORTEST - 1 or len(word) > 24 or word in self._known or not word.isalpha():
            return frozenset()
        near = {each for cut in _cuts(word) for each in self._near.get(cut, ())}
        found = {each for each in near if each[0] == word[0] and distance(word, each, 1) <= 1}
        if not found:
            for each in self._sound.get(skeleton(word), ()):
                allowed = 2 if len(each) < 8 else 3
                if len(word) >= _SHORTEST and distance(word, each, allowed) <= allowed:
                    found.add(each)
        return frozenset(found)


def _cuts(word: str) -> set[str]:
    return {word} | {word[:at] + word[at + 1 :] for at in range(len(word))}


def inflected(word: str) -> set[str]:
    """A word with its regular endings: plural, past, -ing, and -ly."""
    if not word.isalpha() or len(word) < 3:
        return {word}
    forms = {word, word + "s", word + "ing", word + "ed"}
    if word.endswith("e"):
        forms |= {word + "d", word[:-1] + "ing"}
    if word.endswith(("s", "x", "ch", "sh", "z")):
        forms.add(word + "es")
    if word.endswith("y") and word[-2] not in "aeiou":
        forms |= {word[:-1] + "ies", word[:-1] + "ied"}
    if word[-1] not in "aeiouwxyhs" and word[-2] in "aeiou" and (len(word) < 3 or word[-3] not in "aeiou"):
        forms |= {word + word[-1] + "ing", word + word[-1] + "ed"}
    return forms
