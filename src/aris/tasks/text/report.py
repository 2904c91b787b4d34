"""The text of a draft: its sections, and what is wrong with it on its face."""

from __future__ import annotations

import re
from collections import Counter

from aris.tasks.results import Sections

_NAMES = {"finding": "findings", "findings": "findings", "impression": "impression", "impressions": "impression",
          "conclusion": "impression"}  # fmt: skip
# Sections that come from headers and the order. A model's own words for them are not taken over.
_FROM_HEADER = {"examination": "examination", "exam": "examination", "procedure": "examination",
                "indication": "indication", "clinical history": "indication", "history": "indication",
                "technique": "technique", "comparison": "comparison"}  # fmt: skip
HEADINGS = (*_NAMES, *_FROM_HEADER)
# A heading opens a line, bare or in markdown ("## Findings", "**IMPRESSION:**", "1. Findings:"), and ends in a colon or
# with its line. In running text it is upper case with a colon.
_HEADING = re.compile(
    r"^[ \t>#*_-]*(?:\d+[.)])?[ \t*_#]*"
    r"(?P<line>(?i:findings?|impressions?|conclusion|exam(?:ination)?|procedure|indication|clinical history|history"
    r"|technique|comparison))[ \t]*[*_]*[ \t]*"
    r"(?::[ \t]*[*_]*|(?=\n|\Z))"
    r"|(?<=[\s.])[*_]*(?P<inline>FINDINGS?|IMPRESSIONS?|CONCLUSION|EXAM(?:INATION)?|PROCEDURE|INDICATION"
    r"|CLINICAL HISTORY|HISTORY|TECHNIQUE|COMPARISON)[ \t]*[*_]*:[*_]*",
    re.MULTILINE,
)
_SHORTEST = 3  # words: shorter sentences ("No effusion.") may well come twice in a list


def parse_report(text: str) -> tuple[Sections, tuple[str, ...]]:
    """A report's text as sections, with a warning for each section that is missing.

    What stands before the first heading, and all text without headings, belongs to the findings. What a model writes
    under the headings of examination, indication, technique and comparison is left out, with a warning: those come
    from headers and the order, and what a model says of them is invented. No other words are lost.
    """
    parts: dict[str, list[str]] = {"findings": [], "impression": [], **{name: [] for name in _FROM_HEADER.values()}}
    current, start = "findings", 0
    for match in _HEADING.finditer(text):
        parts[current].append(text[start : match.start()])
        heading = (match["line"] or match["inline"]).lower()
        current = _NAMES.get(heading) or _FROM_HEADER[heading]
        start = match.end()
    parts[current].append(text[start:])
    joined = {name: "\n".join(piece.strip() for piece in pieces if piece.strip()) for name, pieces in parts.items()}
    sections = Sections(findings=joined.pop("findings"), impression=joined.pop("impression"))
    if not text.strip():
        return sections, ("the model wrote nothing",)
    warnings = [
        f"the model wrote {_an(name)} section of its own, which was left out" for name in joined if joined[name]
    ]
    if not sections.impression:
        warnings.append("the draft has no impression")
    if not sections.findings:
        warnings.append("the draft has no findings section")
    return sections, tuple(warnings)


def _an(name: str) -> str:
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


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
