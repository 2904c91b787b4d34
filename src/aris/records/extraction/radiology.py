"""Findings of a radiology report: stated, doubted or denied, their sizes, and the follow-up that it asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from aris.records.text import Mention, Span, Terms, find, sentences, tokens
from aris.records.text.triggers import words as trigger_words

Stated = Literal["present", "absent", "uncertain"]
_NEAR = 6  # words between "heart" and "enlarged"
_SIZE = re.compile(
    r"(?<![\w.])(\d{1,3}(?:\.\d{1,2})?)(?:\s?(?:x|by|\u00d7|-|to)\s?(\d{1,3}(?:\.\d{1,2})?)){0,2}\s?-?(mm|cm)\b",
    re.IGNORECASE,
)
_NUMBERS = re.compile(r"\d{1,3}(?:\.\d{1,2})?")
_ADVICE = re.compile(
    r"\b(?:recommend(?:ed|s|ation)?|suggest(?:ed)?(?= (?:follow|repeat|further|ct|chest|clinical))|advise[sd]?"
    r"|advisable|should be|follow[- ]?up|consider(?:ation)?|further evaluation|correlat(?:e|ion))\b",
    re.IGNORECASE,
)
_TEST = re.compile(
    r"\b(?:ct|mri?|pet|x-?ray|radiographs?|ultrasound|sonography|biopsy|imaging|scan|mammogra\w+|bronchoscopy"
    r"|echocardiogra\w+|films?|views?|study|examination)\b",
    re.IGNORECASE,
)
_NO_ADVICE = re.compile(
    r"\bno (?:further |additional |routine )?(?:follow[- ]?up|evaluation|imaging|workup)\b", re.IGNORECASE
)
_TIME = re.compile(
    r"\b(?:in|at|within|after)\s(?:about\s|approximately\s)?(\d{1,2})(?:\s?(?:-|to|\u2013)\s?(\d{1,2}))?[\s-](day|week|month|year)s?\b"
    r"|\b(\d{1,2})(?:\s?(?:-|to|\u2013)\s?(\d{1,2}))?[- ](day|week|month|year)s?[- ](?:follow|interval|repeat)",
    re.IGNORECASE,
)
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}


@dataclass(frozen=True)
class ReportFinding:
    """A finding that a report speaks of.

    Attributes:
        finding: by its name in the table, as "Nodule".
        stated: "present", "absent" or "uncertain".
        mention: the words, with their context.
        size_mm: the largest size in its sentence in millimetres; None where there is none.
        critical: whether somebody must be told at once, if it is there.
        follow_up: whether such a finding usually asks for imaging again.
    """

    finding: str
    stated: Stated
    mention: Mention
    size_mm: float | None = None
    critical: bool = False
    follow_up: bool = False


@dataclass(frozen=True)
class FollowUp:
    """Advice of a report to look again.

    Attributes:
        text: the sentence.
        start: of it in the report.
        end: of it in the report.
        test: what is advised, as "CT"; empty where the report does not say.
        days: until when at the latest ("in 3 to 6 months" is 180); None where the report does not say.
    """

    text: str
    start: int
    end: int
    test: str = ""
    days: int | None = None


@cache
def _table() -> dict[str, dict[str, Any]]:
    text = files("aris.records.extraction").joinpath("radiology.yaml").read_text(encoding="utf-8")
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
    "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia",
)  # fmt: skip
_NOTHING = "\0"  # the concept of words that only look like a finding
_ANCHOR = "\1"  # in front of the concept of an anchor, as "heart"
_WORDS = "\2"  # in front of the concept of words that need an anchor, as "enlarged"


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(";") if each.strip()]


@cache
def _terms() -> Terms:
    found: dict[str, str] = {}
    for name, row in _table().items():
        for phrase in _listed(row["words"]):
            other = found.get(phrase, _NOTHING)
            found[phrase] = name if other == _NOTHING else f"{other};{name}"  # a word may name two findings
        for phrase in _listed(row.get("not", "")):
            found.setdefault(phrase, _NOTHING)
        if "with" in row:
            anchors, words = row["with"]
            found |= {phrase: f"{_ANCHOR}{name}" for phrase in _listed(anchors) if phrase not in found}
            found |= {phrase: f"{_WORDS}{name}" for phrase in _listed(words) if phrase not in found}
    return Terms(found)


def report_findings(text: str) -> list[ReportFinding]:
    """The findings that a report speaks of, in order, without those of relatives, of the past and of warnings.

    Args:
        text: findings and impression, without the indication: what was asked for is no finding.
    """
    found: list[ReportFinding] = []
    anchors: dict[str, Mention] = {}
    for mention in find(text, _terms()):
        concept = mention.concept
        if concept == _NOTHING or mention.experiencer == "other" or mention.temporality == "hypothetical":
            continue
        if concept.startswith(_ANCHOR):
            anchors[concept[1:]] = mention
            continue
        if concept.startswith(_WORDS):
            anchor = anchors.get(concept[1:])
            if anchor is None or not _follows(text, anchor, mention):
                continue
            concept = concept[1:]
        if mention.temporality == "historical" and not mention.negated:
            continue
        stated: Stated = "absent" if mention.negated else "uncertain" if mention.certainty == "uncertain" else "present"
        for name in concept.split(";"):
            row = _table()[name]
            size = _size(text, mention) if stated != "absent" else None
            found.append(
                ReportFinding(name, stated, mention, size, bool(row.get("critical")), bool(row.get("follow_up")))
            )
    return found


def label_report(text: str) -> dict[str, Stated]:
    """Return the findings of `FINDINGS` that a report speaks of, with what it says of each on the whole.

    "present" goes before "uncertain", and that before "absent".
    """
    order: tuple[Stated, ...] = ("absent", "uncertain", "present")
    said: dict[str, Stated] = {}
    for each in report_findings(text):
        if each.finding in FINDINGS:
            said[each.finding] = max(said.get(each.finding, "absent"), each.stated, key=order.index)
    return said


def follow_ups(text: str) -> list[FollowUp]:
    """The sentences of a report that advise to look again."""
    found = []
    for start, end in sentences(text):
        said = text[start:end]
        if not _ADVICE.search(said) or _NO_ADVICE.search(said) or not (_TEST.search(said) or _TIME.search(said)):
            continue
        if re.search(r"\b(?:compar\w+|status post|on follow[- ]?up)\b", said, re.IGNORECASE) and not _TIME.search(said):
            continue
        test, time = _TEST.search(said), _TIME.search(said)
        days = None
        if time is not None:
            last, unit = (time[2] or time[1], time[3]) if time[3] else (time[5] or time[4], time[6])
            days = int(last) * _DAYS[unit.lower()]
        found.append(FollowUp(said, start, end, test[0] if test else "", days))
    return found


def _follows(text: str, anchor: Mention, mention: Mention) -> bool:
    """Return whether words stand after their anchor in its clause: "heart size is mildly enlarged"."""
    if anchor.sentence != mention.sentence or anchor.end > mention.start:
        return False
    between = [token.word for token in tokens(text, anchor.end, mention.start)]
    return len(between) <= _NEAR and not {";", ",", "but", "and"} & set(between) - trigger_words("list_words")


def _size(text: str, mention: Mention) -> float | None:
    """The largest size in a finding's sentence, in millimetres."""
    span: Span = mention.sentence
    best: float | None = None
    for match in _SIZE.finditer(text, span.start, span.end):
        scale = 10.0 if match[3].lower() == "cm" else 1.0
        largest = max(float(number) for number in _NUMBERS.findall(match[0]))
        best = max(best or 0.0, largest * scale)
    return best
