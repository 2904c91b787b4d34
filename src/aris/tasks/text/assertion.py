"""Assertions of a report's text about a finding: present, absent, uncertain, or nothing.

After NegEx (Chapman et al., J Biomed Inform 2001; 34: 301): triggers before or after a mention reach it within one
clause; phrases that look like negations and are none are taken out first.
"""

from __future__ import annotations

import re
from typing import Literal

from aris.tasks.text.report import sentences

Assertion = Literal["present", "absent", "uncertain"]

# Words that name a finding in a report. Strict on purpose: "opacity" or "consolidation" need not be pneumonia.
_MENTIONS = {
    "pneumonia": ("pneumonia", "pneumonias", "bronchopneumonia", "pneumonic"),
    "cardiomegaly": ("cardiomegaly", "enlarged heart", "enlarged cardiac silhouette"),
    "pleural effusion": ("pleural effusion", "pleural effusions", "effusion", "effusions"),
    "atelectasis": ("atelectasis", "atelectases", "atelectatic"),
    "edema": ("edema", "oedema"),
    "consolidation": ("consolidation", "consolidations"),
    "pneumothorax": ("pneumothorax", "pneumothoraces"),
}
KNOWN_FINDINGS = tuple(_MENTIONS)
_PSEUDO = re.compile(
    r"\b(?:no (?:(?:significant|interval|appreciable|substantial) )*(?:change|increase|decrease|improvement|worsening)"
    r"(?: (?:in|of))?|not only|not necessarily|not (?:been )?(?:excluded|ruled out)"
    r"|without (?:significant )?change(?: in)?|not clear|less clear|no longer clear)\b"
)
_UNCERTAIN = re.compile(
    r"\b(?:possible|possibly|possibility|may|might|could|borderline|equivocal|indeterminate|uncertain|unclear|questionable"
    r"|suspicious (?:for|of)|suspicion|suspected|versus|vs|neither be shown nor excluded"
    r"|can(?:not| not) (?:be )?(?:excluded?|ruled? out)|not (?:been )?(?:excluded|ruled out)"
    r"|close to (?:its|the) threshold|query)\b|\?"
)
_BEFORE = re.compile(
    r"\b(?:no|not|without|absence of|absent|free of|free from|clear of|clear from|negative for|denies|nothing|none"
    r"|never|rather than|lack of|lacks|rules? out|ruled out|excludes?|excluding|resolved|resolution of|nor|neither)\b"
)
_AFTER = re.compile(
    r"\b(?:(?:is|are|was|were|be|been) (?:not|absent|excluded|ruled out|unlikely|resolved|no longer)"
    r"|not (?:seen|identified|present|evident|visible|visualized|demonstrated|found|noted|detected|shown)"
    r"|absent|unlikely|excluded|ruled out|resolved|has (?:cleared|resolved))\b"
)
# A clause ends where a contrast or a new statement begins; a comma does not end it ("no effusion, edema or pneumonia").
_CLAUSE = re.compile(
    r"[;:]|,? \b(?:but|however|although|though|except|apart from|while|whereas|yet)\b|, (?:there is|with)\b"
)


def mentions(finding: str) -> tuple[str, ...]:
    """The words that name a finding; its own name if it is not in the table."""
    return _MENTIONS.get(finding.lower(), (finding.lower(),))


def assertions(text: str, finding: str) -> set[Assertion]:
    """Every way in which a text speaks of a finding; empty if it does not mention it."""
    names = "|".join(re.escape(name) for name in sorted(mentions(finding), key=len, reverse=True))
    mention = re.compile(rf"\b(?:{names})\b")
    found: set[Assertion] = set()
    for sentence in sentences(text.lower()):
        clause_start = 0
        for end in [*(match.start() for match in _CLAUSE.finditer(sentence)), len(sentence)]:
            clause = sentence[clause_start:end]
            clause_start = end
            found.update(_assertion(clause, match.start(), match.end()) for match in mention.finditer(clause))
    return found


def _assertion(clause: str, start: int, end: int) -> Assertion:
    if _UNCERTAIN.search(clause):
        return "uncertain"
    before = _PSEUDO.sub(" ", clause[:start])
    if _BEFORE.search(before) or _AFTER.search(_PSEUDO.sub(" ", clause[end:])):
        return "absent"
    return "present"


def contradiction(text: str, finding: str, word: str) -> str | None:
    """A warning if the text and the scored word ("present", "not seen", "uncertain") disagree; else None."""
    said = assertions(text, finding)
    if {"present", "absent"} <= said:
        return f"the draft both states and denies {finding}"
    if word == "not seen" and "present" in said:
        return f"the draft states {finding}, its score says not seen"
    if word == "present" and "absent" in said:
        return f"the draft denies {finding}, its score says present"
    if word == "uncertain" and said & {"present", "absent"} and "uncertain" not in said:
        return f"the draft is sure about {finding}, its score is not"
    return None
