"""Entries that a question is about, found by its words: by topics ("which drugs ..."), names and common synonyms."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from aris.tasks.summary.entries import Entry

MOST = 40
_WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")
_STOP_WORDS = """
a an and any are as at be been being by can could current currently did do does doing done during ever first for
from get give given had has have having he her hers him his how i if in is it its last latest list many me more
most much my new no now of on or our patient patients patient's please previous record recorded recent recently
records s say show shows she should since so some tell than that the their them then there these they this those
time to us value values was we were what when where whether which while who whom whose why will with would year
years you your about after before between history known level levels measured documented date today day days ago
month months week weeks still also all other others up down high low abnormal normal number newest oldest
earliest trend change changed changes take takes taking took
"""
_STOP = frozenset(_STOP_WORDS.split())
# Words that ask for a kind of entry.
_TOPICS = {
    "medication":
        "medication medications medicine medicines drug drugs med meds prescription prescriptions prescribed pill "
        "pills tablet tablets treatment",
    "allergy":
        "allergy allergies allergic intolerance intolerances intolerant",
    "condition":
        "problem problems diagnosis diagnoses diagnosed condition conditions illness illnesses disease diseases",
    "measurement":
        "lab labs laboratory result results test tests vitals vital measurement measurements",
    "procedure":
        "procedure procedures surgery surgeries operation operations operated",
    "immunization":
        "vaccine vaccines vaccination vaccinations vaccinated immunization immunizations immunisation "
        "immunisations immunized shot shots",
    "encounter":
        "visit visits encounter encounters admission admissions admitted hospitalization hospitalized stay stays "
        "appointment seen",
    "report":
        "report reports imaging scan scans xray radiology study studies",
    "note":
        "note notes letter letters document documents",
    "plan":
        "plan plans goal goals careplan",
    "order":
        "order orders ordered referral referrals referred pending",
    "family history":
        "family relatives relative mother father sister brother parents",
    "patient":
        "name born birth birthday age old sex gender died dead death alive deceased",
}  # fmt: skip
_SYNONYMS = {
    "hemoglobin": "haemoglobin", "hb": "haemoglobin", "hgb": "haemoglobin", "hba1c": "a1c", "bp": "blood pressure",
    "pulse": "heart rate", "hr": "heart rate", "temp": "temperature", "fever": "temperature", "sugar": "glucose",
    "bun": "urea nitrogen", "egfr": "glomerular filtration rate", "gfr": "glomerular filtration rate",
    "wbc": "leukocytes", "platelet": "platelets", "k": "potassium", "na": "sodium", "bmi": "body mass index",
    "ldl": "cholesterol in ldl", "hdl": "cholesterol in hdl", "spo2": "oxygen saturation", "flu": "influenza",
    "hypertensive": "hypertension", "diabetic": "diabetes", "asthmatic": "asthma", "smoke": "smoking tobacco",
    "smoker": "smoking tobacco", "smokes": "smoking tobacco", "smoked": "smoking tobacco",
    "cigarettes": "tobacco smoking", "weigh": "weight", "weighs": "weight", "tall": "height", "anaemia": "anemia",
    "anemia": "anaemia", "mi": "myocardial infarction", "copd": "chronic obstructive",
    "ckd": "chronic kidney disease", "crp": "c reactive protein", "inr": "inr normalised", "tsh": "thyrotropin",
}  # fmt: skip
_TOPIC_OF = {word: topic for topic, words in _TOPICS.items() for word in words.split()}


@dataclass(frozen=True)
class Found:
    """Entries that the words of a question lead to.

    Attributes:
        entries: the best first; where the record has none of what is asked, those of the same kind.
        missing: words of the question that no entry has.
        hit: whether the entries are about what is asked, and not only of the same kind.
    """

    entries: tuple[Entry, ...]
    missing: tuple[str, ...]
    hit: bool


def find(entries: Sequence[Entry], question: str, most: int = MOST) -> Found:
    """Return the entries that a question is about.

    Args:
        entries: of the record, the newest first.
        question: in words.
        most: how many are returned.
    """
    asked = [w for w in _WORD.findall(question.lower()) if (w not in _STOP and len(w) > 1) or w in _SYNONYMS]
    topics = {_TOPIC_OF[w] for w in asked if w in _TOPIC_OF}
    terms = list(dict.fromkeys(w for w in asked if w not in _TOPIC_OF))
    words = [_stems(f"{e.name} {e.statement.text}") for e in entries]
    frequency = Counter(stem for each in words for stem in each)
    missing = tuple(t for t in terms if not any(frequency[s] for s in _wanted(t)))
    lost = bool(terms) and len(missing) == len(terms)
    wanted = {} if lost else {t: _wanted(t) for t in terms}
    scored = []
    for number, (entry, own) in enumerate(zip(entries, words, strict=True)):
        score = 0.0
        for stems in wanted.values():
            hits = [s for s in stems if s in own]
            if hits:
                score += max(math.log(1 + len(entries) / frequency[s]) for s in hits)
        if entry.topic in topics:
            score += 0.5 if wanted else 1.0
        elif topics and wanted:
            score *= 0.7
        if score and (not wanted or any(set(s) & own for s in wanted.values())):
            scored.append((-score, number, entry))
    scored.sort(key=lambda each: each[:2])
    return Found(tuple(entry for _, _, entry in scored[:most]), missing, bool(scored) and not lost)


def _stems(text: str) -> set[str]:
    return {_stem(word) for word in _WORD.findall(text.lower())}


def _stem(word: str) -> str:
    for end in ("'s", "ies", "es", "s", "ing", "ed"):
        if word.endswith(end) and len(word) - len(end) >= 3:
            return word[: -len(end)] + ("y" if end == "ies" else "")
    return word


def _wanted(term: str) -> tuple[str, ...]:
    """The stems that a word of a question is looked for by."""
    more = _SYNONYMS.get(term, "")
    weak = ("in", "rate", "c")
    return tuple(dict.fromkeys(_stem(w) for w in (term, *more.split()) if w not in _STOP and w not in weak))
