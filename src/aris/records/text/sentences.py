"""Sentences of clinical text: notes, reports, lists, and what patients type."""

from __future__ import annotations

import re
from typing import NamedTuple


class Span(NamedTuple):
    """A stretch of a text, from `start` up to `end`."""

    start: int
    end: int


# Words whose full stop ends no sentence.
_ABBREVIATIONS = frozenset(
    (
        "dr", "mr", "mrs", "ms", "prof", "st", "vs", "approx", "dept", "fig", "figs", "al", "pt", "pts", "etc",
        "dx", "hx", "tx", "rx", "sx", "fx", "e.g", "i.e", "a.m", "p.m", "eg", "ie", "ca", "cf", "incl", "resp",
        "q.d", "b.i.d", "t.i.d", "q.i.d", "p.o", "p.r.n", "i.v", "i.m", "s.c", "b.p", "h.o", "s.p", "w.o", "no",
        "nos", "inc", "jr", "sr", "min", "max", "temp", "wt", "ht", "lab", "labs", "ext", "jan", "feb", "mar",
        "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "mon", "tue", "wed", "thu", "fri",
        "sat", "sun",
    )
)
_NEVER_ENDS = frozenset(("dr", "mr", "mrs", "ms", "prof", "vs", "approx", "fig", "e.g", "i.e", "eg", "ie", "cf"))
_END = re.compile(r"(?<![.!?])[.!?]++[\"')\]]*+(?=\s|\Z)|\n(?:[ \t\r]*\n)*")
_INITIALS = re.compile(r"(?:[a-z]\.)+[a-z]\Z")  # "U.S."
_WORD_BEFORE = re.compile(r"[\w.]*\Z")
_ITEM = re.compile(r"[ \t]*(?:[-*\u2022\u25cf\u25aa\u2013\u2014>+]\s|\(?\d{1,3}[.):]\s|[a-zA-Z][.)]\s|\[[ xX]?\]|#)")
_HEADING = re.compile(r"[ \t]*[A-Z][A-Za-z /&()'-]{0,48}:")
# "Chest pain? No." is one statement.
_ANSWER = re.compile(
    r"[\"')\]]*\s*(?:-\s*)?(?:no|none|nope|nah|never|denie[sd]|negative|yes|yeah|yep|not)\b", re.IGNORECASE
)
_SHORT_LINE = 50  # characters: a shorter line was ended by hand, a longer one may have been wrapped
_OPEN_END = re.compile(
    r"(?:,|\b(?:and|or|nor|no|not|of|with|without|the|a|an|for|to|in|on|denies|is|was|are|were))\s*\Z", re.IGNORECASE
)
_LOOK_BACK = 32  # characters before a full stop or a line's end that can matter


def sentences(text: str) -> list[Span]:
    """The sentences, list items and headed lines of a text, in order, without the space around them.

    Decimals, abbreviations and numbers of lists do not end a sentence; a line's end does where the line was short,
    or where the next one starts an item or a heading. A question and its short answer are one ("Fever? No.").
    """
    found: list[Span] = []
    start = line_start = 0
    for match in _END.finditer(text):
        at, end = match.start(), match.end()
        if text[at] == "\n":
            ends = _line_ends(text, start, line_start, at, end)
            line_start = end
        else:
            ends = text[at] == "!" or (text[at] == "?" and not _ANSWER.match(text, end)) or (
                text[at] == "." and _stop_ends(text, start, at, end)
            )
        if ends:
            _add(found, text, start, end)
            start = end
    _add(found, text, start, len(text))
    return found


def _add(found: list[Span], text: str, start: int, end: int) -> None:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    if start < end:
        found.append(Span(start, end))


def _line_ends(text: str, start: int, line_start: int, at: int, end: int) -> bool:
    if text.count("\n", at, end) > 1:
        return True
    if _ITEM.match(text, end) or _HEADING.match(text, end):
        return True
    before = text[max(start, at - _LOOK_BACK) : at]
    if _OPEN_END.search(before):
        return False
    return at - line_start < _SHORT_LINE or before.rstrip()[-1:] in (".", "!", "?", ":", ";")


def _stop_ends(text: str, start: int, at: int, end: int) -> bool:
    found = _WORD_BEFORE.search(text, max(start, at - _LOOK_BACK), at)
    word = found[0].lower() if found else ""
    following = text[end : end + 1 + 40].lstrip()[:1]
    if word in _NEVER_ENDS or (len(word) == 1 and word.isalpha() and word != "i" and following.isupper()):
        return False  # "Dr.", an initial
    if _INITIALS.match(word):
        return following == "" or following.isupper()
    if word in ("no", "nos"):
        return not following.isdigit()
    if word in _ABBREVIATIONS:
        return following == "" or (following.isupper() and word not in ("st", "pt"))
    numbers_item = word.isdigit() and len(word) <= 3 and not text[start : at - len(word)].strip()
    return not numbers_item  # "1. Chest pain"
