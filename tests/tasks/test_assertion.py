"""What a text asserts of a finding: negation, doubt, clauses; and where it contradicts the score."""

from __future__ import annotations

import random

import pytest

from aris.tasks.text.assertion import assertions, contradiction
from aris.tuning.nano import reports

PRESENT = [
    "Findings in keeping with pneumonia.",
    "There is bronchopneumonia in both lower lobes.",
    "No pleural effusion, but pneumonia in the right lower lobe.",
    "No effusion; pneumonia on the left.",
    "The lungs are not clear: pneumonia is present.",
    "No significant interval change in the pneumonia.",
    "The lungs are not clear of pneumonia.",
    "No pneumothorax. Pneumonia is seen.",
    "Pneumonia of the middle lobe, without effusion.",
    "PNEUMONIA",
    "No effusion, with pneumonia in the lingula.",
]
ABSENT = [
    "No pneumonia.",
    "No effusion, pneumothorax, or pneumonia.",
    "Neither effusion nor pneumonia.",
    "Pneumonia is not seen.",
    "The lungs are free of pneumonia.",
    "The lungs are clear of effusion, pneumothorax or pneumonia.",
    "No focal consolidation, suspicious opacity, effusion, or pneumonia.",
    "The film shows nothing that suggests pneumonia.",
    "There is no radiographic evidence of\npneumonia.".replace("\n", " "),
    "Negative for pneumonia.",
    "Pneumonia has resolved.",
    "Pneumonia is unlikely.",
    "Cardiomegaly but no pneumonia.",
    "Without findings of pneumonia or edema.",
]
UNCERTAIN = [
    "Possible pneumonia.",
    "An opacity that is suspicious for pneumonia.",
    "Pneumonia cannot be excluded.",
    "Findings may represent pneumonia.",
    "Atelectasis versus pneumonia.",
    "Pneumonia can neither be shown nor excluded.",
    "The lung markings are equivocal for pneumonia.",
    "Pneumonia is not excluded.",
]


@pytest.mark.parametrize(
    ("text", "said"),
    [*((t, "present") for t in PRESENT), *((t, "absent") for t in ABSENT), *((t, "uncertain") for t in UNCERTAIN)],
)
def test_assertion_of_a_sentence(text: str, said: str) -> None:
    assert assertions(text, "pneumonia") == {said}


def test_a_text_that_does_not_name_the_finding_asserts_nothing() -> None:
    assert assertions("The lungs are clear. The heart is of normal size. Pneumoconiosis.", "pneumonia") == set()


def test_a_finding_outside_the_table_is_matched_by_its_own_name() -> None:
    assert assertions("No rib fracture.", "rib fracture") == {"absent"}


def test_negation_does_not_reach_into_the_next_sentence() -> None:
    assert assertions("There is no effusion. Right lower lobe pneumonia.", "pneumonia") == {"present"}


@pytest.mark.parametrize(
    ("text", "word", "expected"),
    [
        ("Pneumonia is likely.", "not seen", "states"),
        ("No pneumonia.", "present", "denies"),
        ("Right lower lobe pneumonia.", "uncertain", "is sure"),
        ("There is pneumonia.\nNo evidence of pneumonia.", "present", "both states and denies"),
        ("Pneumonia is likely.", "present", None),
        ("No pneumonia.", "not seen", None),
        ("Possible pneumonia.", "uncertain", None),
        ("Possible pneumonia.", "not seen", None),
        ("The lungs are clear.", "present", None),
    ],
)
def test_contradiction_with_the_score(text: str, word: str, expected: str | None) -> None:
    said = contradiction(text, "pneumonia", word)
    assert said is None if expected is None else said is not None and expected in said


@pytest.mark.parametrize("label", ["normal", "bacterial pneumonia", "viral pneumonia"])
@pytest.mark.parametrize(
    ("scored", "said"), [("present", "present"), ("not seen", "absent"), ("uncertain", "uncertain")]
)
def test_every_wording_that_aris_nano_is_taught_is_understood(
    label: str, scored: reports.Scored, said: str
) -> None:
    source = random.Random(5)
    for _ in range(150):
        text = reports.report(label, scored, source)
        assert assertions(text, "pneumonia") == {said}, text
        assert contradiction(text, "pneumonia", scored) is None
