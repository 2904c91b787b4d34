"""Tests of `aris.records.text.terms`, `tokens` and `sentences`."""

from __future__ import annotations

import pytest

from aris.records.text import Terms, sentences, tokens
from aris.records.text.terms import common_words

SYMPTOMS = (
    "chest pain", "diarrhea", "pneumonia", "seizure", "vomiting", "bleeding", "cough", "fever", "rash", "headache",
)  # fmt: skip


def found(text: str, *, misspellings: bool = True) -> list[str]:
    terms = Terms({each: each for each in SYMPTOMS}, misspellings=misspellings)
    return [each.concept for each in terms.find(tokens(text))]


@pytest.mark.parametrize(
    ("text", "concept"),
    [
        ("chst pain", "chest pain"), ("CHEST-PAINS", "chest pain"), ("chestpain", "chest pain"),
        ("chest  my pain", "chest pain"), ("diarrhoea", "diarrhea"), ("diarhea", "diarrhea"), ("diahrrea", "diarrhea"),
        ("neumonia", "pneumonia"), ("siezure", "seizure"), ("vommiting", "vomiting"), ("bleedin", "bleeding"),
        ("couhg", "cough"), ("feever", "fever"), ("rahs", "rash"), ("head ache", ""), ("headach", "headache"),
    ],
)  # fmt: skip
def test_words_as_patients_spell_them(text: str, concept: str) -> None:
    assert found(text) == ([concept] if concept else [])


@pytest.mark.parametrize(
    "text", ["never", "couch", "dash", "fewer", "breeding", "rough", "chess pain", "lever", "rush"]
)
def test_other_words_are_no_misspellings(text: str) -> None:
    assert found(text) == []


def test_misspellings_are_taken_on_request_only() -> None:
    assert found("chst pain and vommiting, fever", misspellings=False) == ["fever"]


def test_the_longest_phrase_counts() -> None:
    terms = Terms({"pain": "pain", "chest pain": "chest", "chest pain at rest": "rest"})
    assert [each.concept for each in terms.find(tokens("chest pain at night, chest pain at rest, pain"))] == [
        "chest", "rest", "pain"]  # fmt: skip


def test_a_phrase_without_words_is_refused() -> None:
    with pytest.raises(ValueError, match="no word"):
        Terms({"  ": "nothing"})


def test_common_words_are_in_lower_case() -> None:
    assert all(word == word.lower() and word.isalpha() for word in common_words())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Seen by Dr. Smith. BP 1.5 high.", ["Seen by Dr. Smith.", "BP 1.5 high."]),
        ("1. Cough\n2. Fever", ["1. Cough", "2. Fever"]),
        ("no fever\nno cough\nchest pain", ["no fever", "no cough", "chest pain"]),
        ("Chest pain? No. Cough? Yes.", ["Chest pain? No.", "Cough? Yes."]),
        ("Taken b.i.d. with food.", ["Taken b.i.d. with food."]),
        ("The patient was admitted with shortness of breath and chest\npain. Then home.",
         ["The patient was admitted with shortness of breath and chest\npain.", "Then home."]),
        ("Denies fever,\nchills.", ["Denies fever,\nchills."]),
        ("A\n\nB", ["A", "B"]),
        ("", []), (" \n ", []), ("...", ["..."]),
    ],
)  # fmt: skip
def test_sentences(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentences(text)] == expected


def test_tokens_keep_their_places() -> None:
    text = "Don\u2019t take x-rays at 1.5mg, \u0130 said"
    assert [token.word for token in tokens(text)] == [
        "don't", "take", "x", "rays", "at", "1.5", "mg", ",", "i\u0307", "said"]  # fmt: skip
    assert all(text[token.start : token.end].strip() for token in tokens(text))
