"""Checks of words: findings in reports without follow-up, and notes that contradict the lists.

What a text says of a word (denied, past, another's) is read by `aris.records.text`; no model is asked.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TypeVar

from aris.records import Note, Order, Procedure, Report
from aris.records.text import Terms, find
from aris.tasks.monitor.checks.outcome import Found, Lacking, Outcome, ago, clean, evidence_in, lasting
from aris.tasks.monitor.facts import View
from aris.tasks.monitor.results import Evidence
from aris.tasks.monitor.rule import NoteContradiction, ReportFollowUp
from aris.tasks.monitor.substances import classes
from aris.tasks.monitor.vocabulary import says, texts_of

T = TypeVar("T", Report, Note)
_HOUR = timedelta(hours=1)
# A question is no finding: "evaluate for pulmonary embolism" stands in most reports' indications.
_QUESTION = re.compile(r"^\s*(evaluat|rule|r/o|assess|exclude|query|\?|concern|question|to |for )", re.IGNORECASE)
_STOPPED = re.compile(
    r"\b(stopp(?:ed|ing)|discontinu\w+|d/c'?d?|ceas(?:ed|ing)|no longer|held|withh(?:eld|olding)|came off|quit|"
    r"not taking|has not (?:been taking|taken)|never (?:took|filled))\b", re.IGNORECASE,
)  # fmt: skip
_RESUMED = re.compile(r"\b(restart|resum|continu(?:e|es|ed|ing)\b(?! to hold)|start(?:ed)? again)", re.IGNORECASE)
_NO_ALLERGIES = re.compile(
    r"\b(nkda|nka|no known (?:drug |medication )?allerg\w+|denies (?:any )?allerg\w+)", re.IGNORECASE
)
_ALLERGIC = re.compile(r"\ballerg(?:y|ies|ic)\b|\banaphyla\w+", re.IGNORECASE)
# What parts a finding from other things that its sentence names.
_CLAUSE = re.compile(r";|[,.](?!\d)|\b(?:and|but|with|without|no)\b", re.IGNORECASE)
_CANCER = re.compile(r"\b\w+(?:\s+cell)?\s+(?:cancer|carcinoma|malignan|neoplas)\w*", re.IGNORECASE)
_LONGEST_TEXT = 200_000
_NEVER_DONE = ("cancelled", "revoked", "not-done", "stopped", "entered-in-error", "rejected", "failed", "preparation")


def report_follow_up(view: View, check: ReportFollowUp) -> Outcome:
    """Judge the newest reports: a finding that is affirmed, and nothing after it that looks like its follow-up."""
    terms = _terms(check.find)
    hits: list[tuple[Report, str, datetime]] = []
    reports = _recent(view.reports, view.now, check.look_back)
    for report, at in reports:
        words = _affirmed(report.text, terms, check, " ".join(texts_of(report.concept)))
        if words and view.now - at >= check.within and not _followed(view, check, at):
            hits.append((report, words, at))
    if not hits:
        return (
            None
            if reports
            else Lacking("missing", f"no report with text in the last {lasting(check.look_back / _HOUR)}")
        )
    evidence = tuple(
        Evidence(id=report.id, name="report", shown=clean(words), at=at) for report, words, at in hits
    )  # fmt: skip
    _, words, at = hits[-1]
    text = f"a report of {ago(at)} says: {clean(words)}; no follow-up is in the record"
    aspects = frozenset(report.id for report, _, _ in hits)
    return Found(check.severity, text, min(each[2] for each in hits) + check.within, evidence, aspects=aspects)


def _affirmed(text: str, terms: Terms, check: ReportFollowUp, title: str) -> str:
    """The sentence of the first finding that the text affirms of the patient and of now; "" where there is none."""
    for mention in find(text[:_LONGEST_TEXT], terms):
        if not mention.present or mention.experiencer != "patient" or mention.temporality != "recent":
            continue
        if any(_QUESTION.match(cue.text) for cue in mention.cues):
            continue
        sentence = text[mention.sentence.start : mention.sentence.end]
        beside = _beside(text[mention.sentence.start : mention.start], text[mention.end : mention.sentence.end])
        if _elsewhere(sentence, beside, title, check):
            continue
        return sentence
    return ""


def _beside(before: str, after: str) -> str:
    """The words of a finding's own clause, without cancers: those are the patient's history, and no place."""
    clause = f"{_CLAUSE.split(before)[-1]} {_CLAUSE.split(after)[0]}"
    return _CANCER.sub(" ", clause)


def _elsewhere(sentence: str, beside: str, title: str, check: ReportFollowUp) -> bool:
    """Tell whether a finding is where the rule does not look: the words beside it say, else the report's title."""
    for text, near in ((sentence, beside), (title, title)):
        if says(text, check.site):
            return False
        if says(near, check.elsewhere):
            return True
    return False


def _followed(view: View, check: ReportFollowUp, at: datetime) -> bool:
    """Tell whether a procedure or a report after the finding looks like its follow-up, or an order that is not overdue.

    An order that nobody carried out is how follow-up is lost.
    """
    if check.followed_by is None:
        return False
    wanted = view.facts.vocabulary.procedures[check.followed_by]
    later: list[Order | Procedure | Report] = [*view.orders, *view.all_procedures, *view.reports]
    for each in later:
        when = each.known or each.time
        if when is not None and when.start > at and each.status not in _NEVER_DONE:
            if isinstance(each, Order) and each.status != "completed" and not _still_due(each, view.now, check.within):
                continue
            texts = [*texts_of(each.concept)]
            if wanted.has(each.concept) or any(says(text, wanted.words) for text in texts):
                return True
    return False


def _still_due(order: Order, now: datetime, within: timedelta) -> bool:
    """Tell whether there is time yet for an order: until its own time, or for as long as the follow-up may take."""
    times = [each.end for each in (order.time, order.end) if each is not None]
    written = order.known or order.time
    return any(each >= now for each in times) or (written is not None and now - written.start < within)


def note_contradiction(view: View, check: NoteContradiction) -> Outcome:
    """Judge the newest notes against the list of allergies or of drugs."""
    notes = _recent(view.notes, view.now, check.look_back)
    if not notes:
        return Lacking("missing", f"no note with text in the last {lasting(check.look_back / _HOUR)}")
    against = _against_allergies if check.of == "allergies" else _against_drugs
    found: list[tuple[Note, datetime, str, tuple[Evidence, ...]]] = []
    for note, at in notes:
        for words, others in against(view, note.text[:_LONGEST_TEXT], at):
            found.append((note, at, words, others))
    if not found:
        return None
    texts = "; ".join(dict.fromkeys(words for _, _, words, _ in found))
    evidence: dict[str, Evidence] = {}
    for note, at, words, others in found:
        evidence[note.id] = Evidence(id=note.id, name="note", shown=clean(words), at=at)
        for each in others:
            evidence[each.id] = each
    # What a later note copies is nothing new; what it says otherwise is.
    aspects = frozenset(hashlib.sha256(words.encode()).hexdigest()[:16] for _, _, words, _ in found)
    since = min(at for _, at, _, _ in found)
    return Found(check.severity, texts, since, tuple(evidence.values()), aspects=aspects)


def _against_allergies(view: View, text: str, at: datetime) -> list[tuple[str, tuple[Evidence, ...]]]:
    standing = view.allergies
    found: list[tuple[str, tuple[Evidence, ...]]] = []
    if _NO_ALLERGIES.search(text) and standing:
        listed = ", ".join(clean(each.concept.text) for each in standing[:3])
        found.append(
            (f"a note says that no allergies are known; the list has {listed}",
             tuple(evidence_in(each, "allergy") for each in standing))
        )  # fmt: skip
    for mention in find(text, _substances()):
        sentence = text[mention.sentence.start : mention.sentence.end]
        if not mention.present or mention.experiencer != "patient" or not _ALLERGIC.search(sentence):
            continue
        group = classes()[mention.concept]
        listed_texts = [each for allergy in standing for each in texts_of(allergy.concept)]
        if any(says(each, (*group["allergy"], *group["drugs"])) for each in listed_texts):
            continue
        found.append((f"a note names an allergy ({clean(mention.text)}) that the list does not have", ()))
    return found


def _against_drugs(view: View, text: str, at: datetime) -> list[tuple[str, tuple[Evidence, ...]]]:
    found: list[tuple[str, tuple[Evidence, ...]]] = []
    for drug in view.current_drugs:
        begun = drug.known or drug.time
        if drug.role not in ("request", "statement") or (begun is not None and begun.start > at):
            continue
        names = _names(*(text for concept in (drug.concept, *drug.ingredients) for text in texts_of(concept)))
        if not names:
            continue
        for mention in find(text, _terms(names)):
            sentence = text[mention.sentence.start : mention.sentence.end]
            stopped = _STOPPED.search(sentence) and not _RESUMED.search(sentence) and not _intended(mention.temporality)
            denied = mention.negated and re.search(r"\b(tak(?:e|es|ing)|on|use|using)\b", sentence, re.IGNORECASE)
            if mention.experiencer == "patient" and (stopped or denied) and "allerg" not in sentence.lower():
                words = f"a note says: {clean(sentence)}; the list has {clean(drug.concept.text)} as current"
                found.append((words, (evidence_in(drug, "drug"),)))
                break
    return found


def _intended(temporality: str) -> bool:
    return temporality == "hypothetical"


@lru_cache(maxsize=512)
def _terms(words: tuple[str, ...]) -> Terms:
    return Terms({word: word for word in words})


@lru_cache(maxsize=1)
def _substances() -> Terms:
    found: dict[str, str] = {}
    for name, each in classes().items():
        for word in (*each["allergy"], *each["drugs"]):
            if len(word) > 4:
                found.setdefault(word, name)
    return Terms(found)


@lru_cache(maxsize=2048)
def _names(*texts: str) -> tuple[str, ...]:
    """Names of substances in drugs' names: words of letters, without doses, forms and salts."""
    words: dict[str, None] = {}
    for text in texts:
        for word in re.findall(r"[A-Za-z]{5,}", text):
            if word.lower() not in _FORMS:
                words[word.lower()] = None
    return tuple(words)


_FORMS = frozenset((
    "tablet", "tablets", "capsule", "capsules", "solution", "injection", "injectable", "suspension", "extended",
    "release", "delayed", "hydrochloride", "sodium", "potassium", "calcium", "sulfate", "phosphate", "acetate",
    "chloride", "maleate", "tartrate", "succinate", "citrate", "besylate", "mesylate", "prefilled", "syringe",
    "inhaler", "inhalation", "topical", "cream", "ointment", "ophthalmic", "powder", "liquid", "chewable",
    "disintegrating", "medication", "actuat", "metered", "oral", "daily", "twice", "product", "twenty", "hours",
    "units", "human", "vaccine"
))  # fmt: skip


def _recent(records: list[T], now: datetime, within: timedelta) -> list[tuple[T, datetime]]:
    found = []
    for each in records:
        when = each.known or each.time
        if each.text and when is not None and now - within <= when.start <= now:
            found.append((each, when.start))
    return sorted(found, key=lambda pair: pair[1])
