"""Agreement of a draft with itself and with the scores."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aris.tasks.checks.facts import Facts
from aris.tasks.results import Sections
from aris.tasks.text.assertion import assertions, contradiction
from aris.tasks.text.report import repetition, sentences

FINDINGS = (
    "pneumonia", "cardiomegaly", "pleural effusion", "atelectasis", "edema", "consolidation", "pneumothorax",
)  # fmt: skip
# What denies only a part: "no large effusion" does not deny a small one.
_PARTIAL = re.compile(
    r"\b(?:large|larger|sizable|focal|acute|new|definite|definitive|significant|other|additional|overt|tension|further"
    r"|lobar|discrete|confluent|gross|obvious|frank|convincing|air[- ]?space|typical|active|worsening"
    r"|alveolar|interstitial|loculated|layering|segmental|dense|large-volume|moderate|suspicious|superimposed|left|right"
    r"|residual|recurrent|associated|apical|subsegmental|prominent|enlarging|bilateral|post|change)\b",
    re.IGNORECASE,
)
_NORMAL = re.compile(
    r"^\W*(?:(?:normal|unremarkable|negative) (?:chest|study|exam\w*|examination|radiograph|x-?ray)"
    r"|(?:within )?normal(?: limits)?)\b[\w ,-]*\W*$",
    re.IGNORECASE,
)
_GRAVE = ("pneumonia", "pleural effusion", "edema", "consolidation", "pneumothorax")


def between_sections(sections: Sections) -> Iterator[str]:
    """A finding that one section states and the other denies, by name and by side."""
    for finding in FINDINGS:
        above, below = _plain(sections.findings, finding), _plain(sections.impression, finding)
        if above == {"present"} and below == {"absent"}:
            yield f"the findings state {finding}, the impression denies it"
        elif above == {"absent"} and below == {"present"}:
            yield f"the findings deny {finding}, the impression states it"
        one, other = _sides(sections.findings, finding), _sides(sections.impression, finding)
        if len(one) == len(other) == 1 and one != other:
            yield f"{finding} is on the {one.pop()} in the findings and on the {other.pop()} in the impression"
    if _NORMAL.match(sections.impression):
        stated = [name for name in _GRAVE if _plain(sections.findings, name) == {"present"}]
        if stated:
            yield f"the impression calls it normal, the findings state {', '.join(stated)}"


def _plain(text: str, finding: str) -> set[str]:
    """As `assertions`, without denials of only a part of it."""
    found: set[str] = set()
    for sentence in sentences(text):
        said = assertions(sentence, finding)
        if "absent" in said and _PARTIAL.search(sentence):
            said = said - {"absent"}
        found |= said
    return found


def _sides(text: str, finding: str) -> set[str]:
    """The sides on which a text states a finding; empty where a sentence names none, both, or is not sure."""
    found: set[str] = set()
    for sentence in sentences(text):
        said = assertions(sentence, finding)
        if "present" not in said:
            continue
        told = set(re.findall(r"\b(left|right)\b", sentence.lower()))
        several = re.search(r"\bbi(?:lateral|basilar|basal)|\bboth\b", sentence, re.IGNORECASE)
        if said != {"present"} or len(told) != 1 or several:
            return set()
        found |= told
    return found


def with_scores(text: str, facts: Facts) -> Iterator[str]:
    """The text against the scores' words."""
    for name, word in facts.words:
        said = contradiction(text, name, word)
        if said:
            yield said


def repeated(sections: Sections) -> Iterator[str]:
    """Sentences that come again in a section."""
    yield from dict.fromkeys(said for said in map(repetition, (sections.findings, sections.impression)) if said)
