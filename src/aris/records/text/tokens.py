"""Words and marks of a text with their places; a length of text costs a length of time."""

from __future__ import annotations

import re
from typing import NamedTuple

# A number with its decimals is one word, as is a word with its apostrophe ("don't"). Marks stand alone.
_TOKEN = re.compile(r"\d+(?:[.,]\d+)+|[^\W_]+(?:['\u2019\u02bc][^\W_]+)*|[^\w\s]|_")
_HYPHENS = ("-", "\u2010", "\u2011")
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u02bc": "'"})
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:st|nd|rd|th)?\Z")
_NUMBER_WORDS = frozenset(
    ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
)
# Contractions that patients write without the apostrophe, where the bare letters are no other word.
_BARE = {
    word.replace("'", ""): word
    for word in (
        "don't", "doesn't", "didn't", "haven't", "hasn't", "hadn't", "isn't", "aren't", "wasn't", "weren't",
        "couldn't", "wouldn't", "shouldn't", "i'm", "i've", "that's", "there's", "can't", "won't", "ain't",
    )
} | {"dnt": "don't", "havnt": "haven't", "havent": "haven't", "doesnt": "doesn't", "cannot": "can't"}  # fmt: skip


class Token(NamedTuple):
    """A word or mark.

    Attributes:
        word: in lower case, apostrophes straight, contractions whole ("dont" is "don't").
        start: of it in the text.
        end: of it in the text.
    """

    word: str
    start: int
    end: int

    @property
    def is_word(self) -> bool:
        """Return whether it has letters or digits."""
        return self.word[0].isalnum()


def tokens(text: str, start: int = 0, end: int | None = None) -> list[Token]:
    """The words and marks of a stretch of text; places count from the text's beginning.

    A hyphen inside a word is left out ("x-ray" is two words), one with a space beside it is a mark.
    """
    found: list[Token] = []
    for match in _TOKEN.finditer(text, start, len(text) if end is None else end):
        word, at, to = match[0], match.start(), match.end()
        if word in _HYPHENS and at > 0 and to < len(text) and text[at - 1].isalnum() and text[to].isalnum():
            continue
        word = word.lower().translate(_APOSTROPHES)
        found.append(Token(_BARE.get(word, word), at, to))
    return found


def is_number(word: str) -> bool:
    """Return whether a word is a number in digits, or one of the small number words."""
    return word in _NUMBER_WORDS or bool(_NUMBER.match(word))


def singular(word: str) -> str:
    """A word without its plural ending and in American spelling of "ae" and "oe"; the same for equal words.

    It is a key to compare by, not a word to show: "pains" and "pain" have one, as have "oedema" and "edema".
    """
    if len(word) > 4:
        word = word.replace("ae", "e").replace("oe", "e")
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        if word.endswith("ies") and len(word) > 4:
            return word[:-3] + "y"
        if word.endswith(("ches", "shes", "sses", "xes")):
            return word[:-2]
        return word[:-1]
    return word
