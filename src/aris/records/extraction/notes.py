"""Statements of a note on drugs, allergies and problems: taken, stopped, held, allergic, present, absent."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import yaml

from aris.records.text import Mention, Terms, find, sentences, tokens

DrugState = Literal["taking", "started", "stopped", "held", "not taking", "planned", "mentioned"]
AllergyState = Literal["allergic", "not allergic", "no known allergies"]
ProblemState = Literal["present", "absent", "uncertain", "historical"]

_NO_ALLERGY = re.compile(
    r"\b(?:nkda|nka|no known (?:drug |medication |food |drug or food )?allerg\w+|no (?:drug |medication )?allergies"
    r"|denies (?:any |drug |medication |known )*allergies|allergies\s*[:-]\s*(?:none|nkda|nka|no\b))",
    re.IGNORECASE,
)
_HEADED = re.compile(r"\s*(?:\w+ ){0,2}(allergies|allergy|medications?|meds)(?: on \w+)?\s*:", re.IGNORECASE)
_CLAUSE = re.compile(r"[;\n]|\b(?:but|however|although|while|then)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Statement:
    """A thing that a note says of a drug, an allergy or a problem.

    Attributes:
        kind: "drug", "allergy" or "problem".
        concept: as the caller named it; empty for "no known allergies".
        state: of a drug, an allergy or a problem, as in `DrugState`, `AllergyState`, `ProblemState`.
        text: the sentence.
        start: of it in the note.
        end: of it in the note.
        mention: the words with their context; None for "no known allergies".
    """

    kind: Literal["drug", "allergy", "problem"]
    concept: str
    state: DrugState | AllergyState | ProblemState
    text: str
    start: int
    end: int
    mention: Mention | None = None


@cache
def _table() -> dict[str, str]:
    text = files("aris.records.extraction").joinpath("notes.yaml").read_text(encoding="utf-8")
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@cache
def _cues() -> Terms:
    return Terms({phrase.strip(): kind for kind, block in reversed(_table().items()) for phrase in block.split(";")})


@cache
def _terms(phrases: tuple[tuple[str, str], ...]) -> Terms:
    return Terms(dict(phrases))


def note_statements(
    text: str, drugs: Mapping[str, str], problems: Mapping[str, str] | None = None, *, patient: Collection[str] = ()
) -> list[Statement]:
    """Find the statements of a note on drugs, allergies and problems, in the note's order.

    What it says of relatives and what it only warns of is left out.

    Args:
        text: the note.
        drugs: names of drugs and substances, each with the concept that it stands for.
        problems: names of problems, likewise.
        patient: relatives who are the patient, as for `find`.
    """
    problems = problems or {}
    named = {phrase: f"drug\0{concept}" for phrase, concept in drugs.items()}
    named |= {phrase: f"problem\0{concept}" for phrase, concept in problems.items() if phrase not in named}
    mentions = find(text, _terms(tuple(named.items())), patient=patient) if named else []
    found: list[Statement] = []
    at = 0
    heading = ""
    before = 0
    for start, end in sentences(text):
        if text.count("\n", before, start) > 1:
            heading = ""
        before = end
        headed = _HEADED.match(text, start, end)
        if headed:
            heading = "allergic" if headed[1].lower().startswith("allerg") else "taking"
        elif re.match(r"[A-Z][A-Za-z /]{2,40}:", text[start : min(end, start + 50)]):
            heading = ""
        if _NO_ALLERGY.search(text, start, end):
            found.append(Statement("allergy", "", "no known allergies", text[start:end], start, end))
        here = []
        while at < len(mentions) and mentions[at].start < end:
            here.append(mentions[at])
            at += 1
        found += _of_sentence(text, start, end, here, heading)
    return found


def _of_sentence(text: str, start: int, end: int, mentions: list[Mention], heading: str) -> list[Statement]:
    words = tokens(text, start, end)
    cues = [(each.concept, words[each.first].start, words[each.last - 1].end) for each in _cues().find(words)]
    breaks = [match.start() for match in _CLAUSE.finditer(text, start, end)]
    found = []
    for number, mention in enumerate(mentions):
        if mention.experiencer == "other":
            continue
        kind, _, concept = mention.concept.partition("\0")
        if kind == "problem":
            if mention.temporality != "hypothetical":
                found.append(Statement("problem", concept, _problem(mention), text[start:end], start, end, mention))
            continue
        low = max([start, *(each for each in breaks if each < mention.start)])
        high = min([end, *(each for each in breaks if each >= mention.end)])
        following = mentions[number + 1].start if number + 1 < len(mentions) else high
        near = [cue for cue in cues if low <= cue[1] and cue[2] <= mention.start][-1:]
        after = [cue for cue in cues if mention.end <= cue[1] < min(high, following)]
        if after and near and number and _belongs_before(text, near[0], mentions[number - 1], mention):
            near = []
        kinds = [cue[0] for cue in (*near, *after)] or ([heading] if heading else [])
        state = _drug(mention, kinds)
        if state is not None:
            allergic = state in ("allergic", "not allergic")
            found.append(
                Statement("allergy" if allergic else "drug", concept, state, text[start:end], start, end, mention)
            )
    return found


def _belongs_before(text: str, cue: tuple[str, int, int], previous: Mention, mention: Mention) -> bool:
    """Return whether a cue after the drug before ends with that one: "warfarin was stopped and metformin continued"."""
    gap = text[cue[2] : mention.start].lower()
    return cue[1] >= previous.end and ("," in gap or " and " in gap)


def _problem(mention: Mention) -> ProblemState:
    if mention.negated:
        return "absent"
    if mention.certainty == "uncertain":
        return "uncertain"
    return "historical" if mention.temporality == "historical" else "present"


def _drug(mention: Mention, kinds: list[str]) -> DrugState | AllergyState | None:
    order = list(_table())
    kind = min(kinds, key=order.index, default="")
    if kind == "allergic":
        if mention.temporality == "hypothetical":
            return None
        return "not allergic" if mention.negated else "allergic"
    if mention.negated:
        ended = any("longer" in cue.text.lower() for cue in mention.cues)
        return "stopped" if ended or kind == "stopped" else "not taking"
    if mention.temporality == "hypothetical":
        return "planned" if kind == "planned" else "mentioned"
    return kind or "mentioned"  # type: ignore[return-value]
