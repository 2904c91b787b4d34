"""The symptom base is complete, sourced and plain."""

from __future__ import annotations

import re

import pytest

from aris.tasks.intake import base, read_rules
from aris.tasks.intake.base import LISTS, Complaint
from aris.tasks.intake.lexicon import lexicon
from aris.tasks.intake.rules import DERIVED

BASE = base()
COMPLAINTS = list(BASE.complaints.values())


def test_there_are_many_complaints_and_one_for_what_is_none_of_them() -> None:
    named = [each for each in COMPLAINTS if each.starts]
    assert len(named) >= 40
    assert "other" in BASE.complaints
    assert set(BASE.questions["area"].options) <= set(BASE.complaints)


@pytest.mark.parametrize("complaint", COMPLAINTS, ids=lambda each: each.name)
def test_a_complaint_is_complete(complaint: Complaint) -> None:
    must = BASE.must_ask(complaint)
    assert {
        "who",
        "age",
        "sex",
        "pregnancy",
        "complaint",
        "red_flags",
        "onset",
        "severity",
        "history",
        "medications",
        "allergies",
    } <= set(must)
    for item in LISTS:
        names = complaint.findings(item)
        assert len(names) >= (3 if item == "history" else 4), item
        assert len(set(names)) == len(names), item
        for name in names:
            assert lexicon().findings[name].ask, f"{name} is asked for and has no words for it"
    # A symptom may be both asked beside the complaint and be an alarm; it is never asked twice in a conversation.
    assert set(complaint.systems) <= set(BASE.systems) and complaint.systems
    assert set(complaint.starts) <= set(lexicon().findings)
    assert complaint.kind != "pain" or len(complaint.quality) >= 2
    assert complaint.source.url.startswith("https://") and complaint.source.name


def test_each_finding_of_a_complaints_red_flags_raises_a_level() -> None:
    rules, _ = read_rules()
    used = {name for rule in rules for group in rule.groups for name in group}
    missing = {name for each in COMPLAINTS for name in each.red_flags} - used
    assert not missing


def test_each_complaint_can_be_reached_by_words_or_by_its_area() -> None:
    by_area = set(BASE.questions["area"].options)
    for complaint in COMPLAINTS:
        reached = [name for name in complaint.starts if lexicon().findings[name].phrases]
        assert reached or complaint.name in by_area, complaint.name


def test_rules_are_sourced_and_ask_for_what_can_be_found() -> None:
    rules, sources = read_rules()
    assert len(rules) > 150
    for rule in rules:
        assert rule.source in sources
        for group in rule.groups:
            assert group <= set(lexicon().findings) | DERIVED
            for name in group - DERIVED:
                assert lexicon().findings[name].phrases or lexicon().findings[name].ask, name
    used = {rule.source for rule in rules}
    assert "who_emcare" in used and sources["who_emcare"].read
    assert any(sources[name].read is None for name in used), "what could not be read is marked"


def test_no_rule_looks_at_sex_name_or_ethnicity() -> None:
    rules, _ = read_rules()
    assert set(type(rules[0]).model_fields) == {"id", "level", "when", "age", "reason", "source", "text"}


SYLLABLES = re.compile(r"[aeiouy]+")


def grade(text: str) -> float:
    """The Flesch-Kincaid grade."""
    sentences = max(1, len(re.findall(r"[.!?]+(?:\s|$)", text)))
    words = re.findall(r"[A-Za-z']+", text)
    syllables = sum(max(1, len(SYLLABLES.findall(re.sub(r"e\b", "", word.lower())))) for word in words)
    return 0.39 * len(words) / sentences + 11.8 * syllables / len(words) - 15.59


def test_questions_and_texts_read_at_about_grade_six() -> None:
    for name, asked in BASE.questions.items():
        assert len(asked.text.split()) <= 20, name
        assert grade(asked.text) <= 8, name
    all_questions = " ".join(asked.text for asked in BASE.questions.values())
    assert grade(all_questions) <= 6
    assert grade(re.sub(r"\{.*?\}", "112", " ".join(BASE.texts.values()))) <= 6
    asked_for = [finding.ask for finding in lexicon().findings.values() if finding.ask]
    assert grade(". ".join(asked_for) + ".") <= 7
    assert max(len(words.split()) for words in asked_for) <= 22


def test_the_fixed_texts_neither_diagnose_nor_reassure() -> None:
    told = " ".join(BASE.texts.values()).lower()
    wrong = (
        r"\b(don't worry|no need to worry|nothing serious|harmless|you (?:probably )?have|likely|diagnos\w+|"
        r"you are fine|all clear|take (?:aspirin|paracetamol))\b"
    )
    assert not re.search(wrong, told)
    assert "software, not a person" in told
