"""The text of a draft: its sections, and what is wrong with it on its face."""

from __future__ import annotations

import re
from collections import Counter

from aris.tasks.results import Sections

_NAMES = {"finding": "findings", "findings": "findings", "impression": "impression", "impressions": "impression",
          "conclusion": "impression"}  # fmt: skip
# A heading opens a line, bare or in markdown ("## Findings", "**IMPRESSION:**", "1. Findings:"), and ends in a colon or
# with its line. In running text it is upper case with a colon.
_HEADING = re.compile(
    r"^[ \t>#*_-]*(?:\d+[.)])?[ \t*_#]*(?P<line>(?i:findings?|impressions?|conclusion))[ \t]*[*_]*[ \t]*"
    r"(?::[ \t]*[*_]*|(?=\n|\Z))"
    r"|(?<=[\s.])[*_]*(?P<inline>FINDINGS?|IMPRESSIONS?|CONCLUSION)[ \t]*[*_]*:[*_]*",
    re.MULTILINE,
)
_SHORTEST = 3  # words: shorter sentences ("No effusion.") may well come twice in a list


def parse_report(text: str) -> tuple[Sections, tuple[str, ...]]:
    """A report's text as sections, with a warning for each section that is missing. No words are lost.

    What stands before the first heading, and all text without headings, belongs to the findings.
    """
    parts: dict[str, list[str]] = {"findings": [], "impression": []}
    current, start = "findings", 0
    for match in _HEADING.finditer(text):
        parts[current].append(text[start : match.start()])
        current = _NAMES[(match["line"] or match["inline"]).lower()]
        start = match.end()
    parts[current].append(text[start:])
    joined = {name: "\n".join(piece.strip() for piece in pieces if piece.strip()) for name, pieces in parts.items()}
    sections = Sections(**joined)
    if not text.strip():
        return sections, ("the model wrote nothing",)
    warnings = []
    if not sections.impression:
        warnings.append("the draft has no impression")
    if not sections.findings:
        warnings.append("the draft has no findings section")
    return sections, tuple(warnings)


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text, trimmed; decimals ("1.5 cm") are not cut."""
    found = re.split(r"(?<=[.!?])\s+|\n+", text)
    return [sentence.strip() for sentence in found if sentence.strip()]


def repetition(section: str) -> str | None:
    """A warning if a sentence of three words or more stands in a section more than once; else None."""
    keys = (re.sub(r"\W+", " ", sentence).strip().lower() for sentence in sentences(section))
    counts = Counter(key for key in keys if len(key.split()) >= _SHORTEST)
    repeated = [count for count in counts.values() if count > 1]
    if not repeated:
        return None
    plural = "s" if len(repeated) > 1 else ""
    return f"the draft repeats itself: {len(repeated)} sentence{plural}, up to {max(repeated)} times"
