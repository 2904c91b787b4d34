"""Tests of `aris.records.text.context` on sentences of our own."""

from __future__ import annotations

import pytest

from aris.records.text import Terms, assess, find

TERMS = Terms(
    {
        "chest pain": "chest pain", "pain in chest": "chest pain", "fever": "fever", "chills": "chills",
        "cough": "cough", "shortness of breath": "dyspnea", "can't breathe": "dyspnea", "pneumonia": "pneumonia",
        "effusion": "effusion", "pneumothorax": "pneumothorax", "diabetes": "diabetes", "breast cancer": "cancer",
        "headache": "headache", "vomiting": "vomiting", "asthma": "asthma", "tumor": "tumor", "rales": "rales",
        "bleeding": "bleeding",
    },
    misspellings=True,
)  # fmt: skip


def said(text: str, **more: object) -> dict[str, str]:
    """Each concept with the marks of its meaning: "-" negated, "?" uncertain, "h", "if", "other"."""
    found = {}
    for mention in find(text, TERMS, **more):  # type: ignore[arg-type]
        marks = "-" * mention.negated + "?" * (mention.certainty == "uncertain")
        marks += {"recent": "", "historical": "h", "hypothetical": "if"}[mention.temporality]
        found[mention.concept] = marks + "other" * (mention.experiencer == "other") or "+"
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # lists, their ends and what opens a new statement
        ("No fever, chills or cough.", {"fever": "-", "chills": "-", "cough": "-"}),
        ("Denies relief of chest pain with nitroglycerin.", {"chest pain": "+"}),
        ("Without medication, fever rises.", {"fever": "+"}),
        ("Without paracetamol, the fever returns at night.", {"fever": "+"}),
        ("Without fever, chills or cough.", {"fever": "-", "chills": "-", "cough": "-"}),
        ("Chest pain absent yesterday, present now.", {"chest pain": "+"}),
        ("Chest pain absent on admission, now present again.", {"chest pain": "+"}),
        ("Chest pain absent yesterday and today.", {"chest pain": "-"}),
        ("Denies any improvement in cough.", {"cough": "+"}),
        ("Denies chest pain but reports cough.", {"chest pain": "-", "cough": "+"}),
        ("She denies chest pain; cough since Monday.", {"chest pain": "-", "cough": "+"}),
        ("No effusion, pneumonia is present.", {"effusion": "-", "pneumonia": "+"}),
        ("No fever and he has a cough.", {"fever": "-", "cough": "+"}),
        ("No evidence of pneumonia, effusion, or pneumothorax.",
         {"pneumonia": "-", "effusion": "-", "pneumothorax": "-"}),
        ("No fever, however cough and chills.", {"fever": "-", "cough": "+", "chills": "+"}),
        ("No relief; chest pain due to pneumonia.", {"chest pain": "+", "pneumonia": "+"}),
        ("No asthma as a cause of cough.", {"asthma": "-", "cough": "+"}),
        ("54 yo without fever, female with cough", {"fever": "-", "cough": "+"}),
        # answers
        ("Fever: No", {"fever": "-"}),
        ("Fever: No Cough: Yes", {"fever": "-", "cough": "+"}),
        ("Fever: yes, cough: no", {"fever": "+", "cough": "-"}),
        ("Chest pain? No.", {"chest pain": "-"}),
        ("Lungs: no rales", {"rales": "-"}),
        ("Chest pain - no radiation, cough", {"chest pain": "+", "cough": "-"}),
        ("fever (-), cough (+)", {"fever": "-", "cough": "+"}),
        ("The culture is negative for pneumonia.", {"pneumonia": "-"}),
        # what only looks like negation
        ("No increase in effusion.", {"effusion": "+"}),
        ("There is no significant interval change in the effusion.", {"effusion": "+"}),
        ("Not only fever but chills.", {"fever": "+", "chills": "+"}),
        ("Asthma is not well controlled.", {"asthma": "+"}),
        ("Without relief of chest pain.", {"chest pain": "+"}),
        # after the finding
        ("Pneumonia was ruled out.", {"pneumonia": "-"}),
        ("Fever, and pneumonia was ruled out.", {"fever": "+", "pneumonia": "-"}),
        ("Fever and chills were denied.", {"fever": "-", "chills": "-"}),
        ("Effusion is not seen.", {"effusion": "-"}),
        ("Pneumonia unlikely.", {"pneumonia": "-"}),
        # twice denied
        ("Not without chest pain.", {"chest pain": "+"}),
        ("He does not deny chest pain.", {"chest pain": "+"}),
        ("She is not free of cough.", {"cough": "+"}),
        # uncertain
        ("Possible pneumonia.", {"pneumonia": "?"}),
        ("Pneumonia has not been ruled out.", {"pneumonia": "?"}),
        ("Cannot exclude pneumonia.", {"pneumonia": "?"}),
        ("No definite pneumonia.", {"pneumonia": "-?"}),
        # time
        ("History of diabetes, presents with chest pain.", {"diabetes": "h", "chest pain": "+"}),
        ("2 day history of cough", {"cough": "+"}),
        ("Pneumonia 5 years ago.", {"pneumonia": "h"}),
        ("Return if fever or vomiting.", {"fever": "if", "vomiting": "if"}),
        ("History of present illness: cough", {"cough": "+"}),
        ("Chest pain if I walk.", {"chest pain": "+"}),
        # somebody else
        ("My mom had breast cancer", {"cancer": "other"}),
        ("Breast cancer in her mother, she has asthma", {"cancer": "other", "asthma": "+"}),
        ("Mother reports fever and cough.", {"fever": "+", "cough": "+"}),
        ("Lives with his wife and has asthma.", {"asthma": "+"}),
        ("Family history: breast cancer, diabetes.", {"cancer": "other", "diabetes": "other"}),
        # as patients write
        ("I dont have chest pain", {"chest pain": "-"}),
        ("i haven't had any fever", {"fever": "-"}),
        ("I don\u2019t have a fever and I have a cough", {"fever": "-", "cough": "+"}),
        ("nope no fever", {"fever": "-"}),
        ("No, I have chest pain", {"chest pain": "+"}),
        ("no fever, just chest pain", {"fever": "-", "chest pain": "+"}),
        ("never had chest pain like this before", {"chest pain": "+"}),
        ("I have never had such a bad headache", {"headache": "+"}),
        ("headache that won't go away", {"headache": "+"}),
        ("the chest pain is gone", {"chest pain": "-"}),
        ("cant breathe", {"dyspnea": "+"}),
        ("the pain in my chest isn't going away", {"chest pain": "+"}),
        ("cannot stop vomiting", {"vomiting": "+"}),
    ],
)  # fmt: skip
def test_what_a_sentence_says(text: str, expected: dict[str, str]) -> None:
    assert said(text) == expected


def test_a_carer_writes_of_the_patient() -> None:
    assert said("my son has a fever") == {"fever": "other"}
    assert said("my son has a fever and my sister has asthma", patient=("son",)) == {"fever": "+", "asthma": "other"}


def test_headings_reach_over_their_section() -> None:
    text = "FAMILY HISTORY:\nMother: breast cancer\n\nHOSPITAL COURSE:\nfever\n\nDenies:\n- cough\n- chills\n\nheadache"
    assert said(text) == {"cancer": "other", "fever": "+", "cough": "-", "chills": "-", "headache": "+"}


def test_cues_and_places_are_those_of_the_text() -> None:
    text = "  Patient DENIES any Fever today."
    [mention] = find(text, TERMS)
    [cue] = mention.cues
    assert text[mention.start : mention.end] == mention.text == "Fever"
    assert text[cue.start : cue.end] == cue.text == "DENIES any"
    assert cue.kind == "negated"
    assert not mention.present


def test_places_of_the_caller_are_assessed_in_their_order() -> None:
    text = "No lung mass. Nodule in the left lobe."
    nodule, mass, nothing = text.index("Nodule"), text.index("lung mass"), len(text)
    found = assess(text, [(nodule, nodule + 6), (mass, mass + 9), (nothing, nothing)])
    assert [mention.negated for mention in found] == [False, True, False]
    assert assess("", []) == []


@pytest.mark.parametrize(
    "piece",
    ["no fever and ", "chest pain? ", "mother in ", ".", "? no ", "feverrr xyzabc ", "((", "not ", "\n - ", ", is ",
     "no", " ", "\n", ":", "'", "1.", "1,1", "\u0130", "-"],
)  # fmt: skip
def test_any_text_of_any_length(piece: str) -> None:
    short, long = find(piece * 50, TERMS), find(piece * 5000, TERMS)
    assert all(mention.start < mention.end for mention in long)
    assert (len(long) == 0) == (len(short) == 0)


def test_cost_grows_with_the_length_only() -> None:
    """Counted in steps of the interpreter, which a busy machine does not change."""
    import sys

    def steps(text: str) -> int:
        count = 0

        def trace(*_: object) -> None:
            nonlocal count
            count += 1

        find(text, TERMS)  # the second time no misspelling is new
        sys.setprofile(trace)
        try:
            find(text, TERMS)
        finally:
            sys.setprofile(None)
        return count

    for piece in ("no fever and ", "mother in ", "? no ", "((", ", is "):
        assert steps(piece * 800) < 9 * steps(piece * 100) + 2000
