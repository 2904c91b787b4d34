"""Passages of a text: whole sentences together, up to a length, each known by its place in the text."""

from __future__ import annotations

import re
from collections.abc import Iterator

# About 250 pieces of a word, which MiniLM reads at once.
CHARACTERS = 1200
_END = re.compile(r"[.!?][\"')\]’”]*(?=\s+[\"'(\[‘“]*[A-Z0-9À-Þ])|\n+")
# Not ends of sentences, nor are single capitals, as in "E. coli".
_ABBREVIATIONS = re.compile(
    r"(?:\b(?:e\.g|i\.e|vs|al|cf|ca|approx|fig|figs|tab|eq|ref|refs|no|nos|vol|dr|prof|mr|mrs|ms|st|jr|sr|inc|ltd|resp|incl"
    r"|sp|spp|subsp|var|dept|univ|etc|min|max|est)|(?<![\w.])[A-Z]|\b[A-Z]\.[A-Z])\.$",
    re.IGNORECASE,
)
_SINGLE = re.compile(r"(?<![\w.])[A-Z]\.$")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Find where each sentence begins and ends; spaces between them belong to none."""
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _END.finditer(text):
        breaks = match[0].isspace()
        end = match.start() if breaks else match.end()
        if not breaks and _goes_on(text[max(start, end - 12) : end]):
            continue
        _append(spans, text, start, end)
        start = match.end()
    _append(spans, text, start, len(text))
    return spans


def _goes_on(end: str) -> bool:
    match = _ABBREVIATIONS.search(end)
    # A single letter is an initial only as a capital: "vitamin c." ends a sentence.
    return match is not None and (len(match[0]) > 2 or _SINGLE.search(end) is not None)


def _append(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    if body := piece.strip():
        first = start + len(piece) - len(piece.lstrip())
        spans.append((first, first + len(body)))


def passage_spans(text: str, most: int = CHARACTERS) -> Iterator[tuple[int, int]]:
    """Find where each passage begins and ends: whole sentences, unless one alone is longer than `most` characters."""
    start = end = -1
    for first, last in sentence_spans(text):
        if start >= 0 and last - start > most:
            yield start, end
            start = -1
        if start < 0:
            start = first
        while last - start > most:  # a sentence without end
            cut = text.rfind(" ", start + most // 2, start + most)
            cut = start + most if cut < 0 else cut
            yield start, cut
            start = cut + (text[cut : cut + 1] == " ")
        end = last
        if start >= end:
            start = -1
    if start >= 0:
        yield start, end
