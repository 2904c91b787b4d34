"""Sections of a report however a model spells its headings, and sentences that come again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aris.tasks.text.report import parse_report, repetition, sentences


@pytest.mark.parametrize(
    "text",
    [
        "FINDINGS: Clear lungs.\nIMPRESSION: Normal.",
        "FINDINGS: Clear lungs. IMPRESSION: Normal.",
        "Findings:\nClear lungs.\n\nImpression:\nNormal.",
        "## Findings\n\nClear lungs.\n\n## Impression\n\nNormal.",
        "**FINDINGS:** Clear lungs.\n\n**IMPRESSION:** Normal.",
        "**Findings**\nClear lungs.\n**Impression**\nNormal.",
        "**Findings**:\nClear lungs.\n\n**Impression**: Normal.",
        "1. Findings: Clear lungs.\n2. Impression: Normal.",
        "Clear lungs.\n### IMPRESSION\nNormal.",
        "  FINDINGS :\r\n Clear lungs.\n * Impression : Normal.\n",
        "FINDINGS: Clear lungs.\nCONCLUSION: Normal.",
        "Clear lungs. **IMPRESSION:** Normal.",
    ],
)
def test_headings_of_many_kinds(text: str) -> None:
    sections, warnings = parse_report(text)
    assert sections.findings == "Clear lungs."
    assert sections.impression == "Normal."
    assert warnings == ()


def test_a_missing_impression_is_a_warning_and_no_word_is_lost() -> None:
    sections, warnings = parse_report("The lungs are clear.\nFindings in keeping with health.")
    assert sections.findings == "The lungs are clear.\nFindings in keeping with health."
    assert sections.impression == ""
    assert warnings == ("the draft has no impression",)


def test_findings_in_running_text_is_no_heading() -> None:
    text = "FINDINGS: The findings are subtle. Findings in keeping with pneumonia.\nIMPRESSION: My impression is this."
    sections, _ = parse_report(text)
    assert sections.findings == "The findings are subtle. Findings in keeping with pneumonia."
    assert sections.impression == "My impression is this."


def test_a_heading_that_comes_twice_joins_its_parts() -> None:
    sections, _ = parse_report("FINDINGS: One.\nIMPRESSION: Two.\nFINDINGS: Three.")
    assert (sections.findings, sections.impression) == ("One.\nThree.", "Two.")


def test_nothing_written_is_a_warning() -> None:
    sections, warnings = parse_report(" \n")
    assert (sections.findings, sections.impression) == ("", "")
    assert warnings == ("the model wrote nothing",)


def test_an_impression_alone_is_a_warning() -> None:
    assert parse_report("IMPRESSION: Normal.")[1] == ("the draft has no findings section",)


@given(st.text(max_size=300))
def test_any_text_is_parsed_and_keeps_its_words(text: str) -> None:
    sections, _ = parse_report(text)
    kept = (sections.findings + sections.impression).split()
    headings = {"finding", "findings", "impression", "impressions", "conclusion"}
    if not any(name in text.lower() for name in headings):
        assert kept == text.split()


def test_sentences_keep_decimals_whole() -> None:
    assert sentences("A nodule of 1.5 cm. It is round!\n- Next line") == [
        "A nodule of 1.5 cm.", "It is round!", "- Next line",
    ]  # fmt: skip


def test_repeated_sentences_are_counted_whatever_their_case_and_marks() -> None:
    warning = repetition("The lungs are clear. Heart normal.\n* the lungs are clear\nThe lungs, are clear!")
    assert warning is not None and "1 sentence," in warning and "3 times" in warning
    assert repetition("No effusion. No effusion. The lungs are clear.") is None
