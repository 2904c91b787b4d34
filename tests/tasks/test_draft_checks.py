"""Each check of a draft: what it must flag, and what it must let pass."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aris.tasks.checks import Facts, check_draft, priority
from aris.tasks.results import Finding, Region, Sections


def failed(findings: str, impression: str = "See above.", **facts: Any) -> list[str]:
    return [each.check for each in check_draft(Sections(findings=findings, impression=impression), Facts(**facts))]


KNEE = {"kind": "film", "body_part": "KNEE", "laterality": "L"}


@pytest.mark.parametrize(
    ("text", "facts", "flagged"),
    [
        ("The right knee shows an effusion.", KNEE, True),
        ("The left knee shows an effusion.", KNEE, False),
        ("Wider than the right knee.", KNEE, False),
        ("The right knee shows an effusion.", KNEE | {"laterality": "R"}, False),
        ("The right knee shows an effusion.", KNEE | {"laterality": None}, False),
        ("The right lung is clear.", {"body_part": "CHEST", "laterality": "L"}, False),
        ("Right eye: drusen.", {"kind": "fundus", "laterality": "L"}, True),
    ],
)
def test_a_side_that_was_not_imaged(text: str, facts: dict[str, Any], flagged: bool) -> None:
    assert ("laterality" in failed(text, **facts)) is flagged


def test_the_side_of_a_box_against_the_text() -> None:
    box = Region(label="pleural effusion", box=(10, 10, 60, 60))
    text = "There is a left pleural effusion. No right pleural effusion."
    assert "laterality" in failed(text, regions=(box,), sides=("right",))
    assert "laterality" not in failed(text, regions=(box,), sides=("left",))
    assert "laterality" not in failed(text, regions=(box,), sides=("midline",))
    # Unknown orientation is said where a side is told.
    sided = Region(label="left clavicle", box=(10, 10, 60, 60))
    (check,) = check_draft(Sections(findings="Clear."), Facts(regions=(sided,), sides=("",)))
    assert "cannot be checked" in check.message


@pytest.mark.parametrize(
    ("findings", "impression", "flagged"),
    [
        ("There is a right pleural effusion.", "No pleural effusion.", True),
        ("No evidence of pneumothorax.", "Pneumothorax.", True),
        ("There is a right pleural effusion.", "Left pleural effusion.", True),
        ("There is a pneumothorax.", "Normal chest.", True),
        ("There is a small pleural effusion.", "No large pleural effusion.", False),
        ("There is a right pleural effusion.", "Right pleural effusion.", False),
        ("Right pleural effusion. Left pleural effusion.", "Right pleural effusion.", False),
        ("Possible pneumonia.", "No pneumonia.", False),
        ("The lungs are clear.", "Normal chest.", False),
    ],
)
def test_sections_against_each_other(findings: str, impression: str, flagged: bool) -> None:
    assert ("sections" in failed(findings, impression)) is flagged


def test_the_text_against_the_score() -> None:
    assert "scores" in failed("No pneumonia.", words=[("pneumonia", "present")])
    assert "scores" not in failed("No pneumonia.", words=[("pneumonia", "not seen")])


@pytest.mark.parametrize(
    ("text", "facts", "flagged"),
    [
        ("The brain is normal.", {}, True),
        ("The knee is normal.", {}, True),
        ("The visualized upper abdomen and kidneys are normal.", {}, False),
        ("History of knee replacement.", {}, False),
        ("The lungs are clear.", {"kind": "ct", "body_part": "HEAD"}, True),
        ("The lungs are clear.", {"kind": "ct", "body_part": "ABDOMEN"}, False),
        ("The lungs are clear.", {"kind": "ct"}, False),
    ],
)
def test_parts_that_were_not_imaged(text: str, facts: dict[str, Any], flagged: bool) -> None:
    assert ("region" in failed(text, **facts)) is flagged


@pytest.mark.parametrize("length", ["3 cm", "2.5 x 3 cm", "12-mm", "5 millimeters"])
def test_lengths_need_a_scale(length: str) -> None:
    text = f"A nodule of {length}."
    assert "measurement" in failed(text)
    assert "measurement" not in failed(text, spacing="PixelSpacing")
    alone = Facts(spacing="PixelSpacing of unknown calibration")
    (check,) = check_draft(Sections(findings=text, impression="x"), alone)
    assert "does not say whether its scale is calibrated" in check.message
    (check,) = check_draft(Sections(findings=text, impression="x"), Facts(spacing="ImagerPixelSpacing"))
    assert "detector plane, uncalibrated" in check.message
    assert "measurement" not in failed("T5 mild scoliosis, 3 nodules.")


@pytest.mark.parametrize(
    ("text", "flagged"),
    [
        ("Unchanged from the prior study.", True),
        ("The effusion has increased.", True),
        ("No interval change.", True),
        ("The heart remains enlarged.", True),
        ("Compared to the previous film the lungs are clear.", True),
        ("No prior studies for comparison.", False),
        ("Increased interstitial markings.", False),
        ("Prior sternotomy.", False),
        ("Follow-up would show whether it has increased.", False),
    ],
)
def test_comparison_needs_a_prior(text: str, flagged: bool) -> None:
    assert ("prior" in failed(text)) is flagged
    assert "prior" not in failed(text, has_prior=True)


@pytest.mark.parametrize(
    ("text", "kind", "flagged"),
    [
        ("A mass of 40 HU.", "chest film", True),
        ("T2 hyperintense lesion.", "ct", True),
        ("T2 hyperintense lesion.", "mr", False),
        ("A hypodense lesion in the liver.", "ct", False),
        ("CT is recommended.", "chest film", False),
        ("A hypoechoic nodule.", "ct", True),
        ("This chest x-ray shows clear lungs.", "ct", True),
        ("Mitotic figures are frequent.", "pathology", False),
    ],
)
def test_words_of_another_modality(text: str, kind: Any, flagged: bool) -> None:
    assert ("modality" in failed(text, kind=kind)) is flagged


def test_repetition() -> None:
    assert "repetition" in failed("The lungs are clear. The heart is normal. The lungs are clear.")
    assert failed("The lungs are clear. The heart is normal.") == []


def _finding(name: str, over: bool, present: bool | None) -> Finding:
    return Finding(name=name, probability=0.5, assessed=True, present=present, over=over)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Acute pulmonary emboli in the right lower lobe.", "critical"),
        ("Free intraperitoneal air under the diaphragm.", "critical"),
        ("Subdural haematoma on the left.", "critical"),
        ("Subarachnoid hemorrhage.", "critical"),
        ("Extradural haematomas are not excluded.", "critical"),
        ("Dissection of the aorta.", "critical"),
        ("Small right-sided hydropneumothorax.", "critical"),
        ("Acute infarct in the left MCA territory.", "critical"),
        ("Multiple rib fractures.", "urgent"),
        ("Bilateral masses.", "urgent"),
        ("Pulmonary oedema.", "urgent"),
        ("Acute appendicitis.", "urgent"),
        ("Small bowel obstruction.", "urgent"),
        ("No pulmonary emboli. No fractures. No mass effect or midline shift.", "routine"),
        ("No acute fracture or dislocation. No pneumoperitoneum.", "routine"),
        ("Massive amount of stool. A dislocated line.", "routine"),
    ],
)
def test_priority_knows_how_findings_are_written(text: str, wanted: str) -> None:
    assert priority([], text) == wanted


def test_priority_is_only_raised() -> None:
    assert priority([], "The lungs are clear. No pneumothorax.") == "routine"
    assert priority([_finding("pneumonia", True, True)], "No pneumonia.") == "urgent"
    # Over the operating point, though too close to it to be called.
    assert priority([_finding("pneumonia", True, None)], "") == "urgent"
    assert priority([_finding("pneumonia", False, False)], "Pneumonia.") == "urgent"
    assert priority([_finding("pneumothorax", False, False)], "Possible pneumothorax.") == "critical"
    assert priority([_finding("pneumonia", False, False)], "Normal.", at_least="critical") == "critical"
    assert priority([Finding(name="pneumonia", assessed=False)], "Normal.") == "routine"


def test_real_reports_are_seldom_flagged(data_dir: Path) -> None:
    """Reports that radiologists signed; a quarter of them, scale and priors as on record."""
    path = data_dir / "chest_reports" / "indiana_reports.csv.gz"
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode())))[::4]
    flagged: Counter[str] = Counter()
    for row in rows:
        has_prior = not re.match(r"^\W*(?:none|no .*|n/?a)?\W*$", row["comparison"], re.IGNORECASE)
        facts = Facts(has_prior=has_prior, spacing="PixelSpacing")
        sections = Sections(findings=row["findings"], impression=row["impression"])
        flagged.update({each.check for each in check_draft(sections, facts)})
    shares = {name: count / len(rows) for name, count in flagged.items()}
    # Claims of change in reports without a prior on record are not false alarms; the others are.
    assert shares.pop("prior") < 0.08
    assert all(share < 0.01 for share in shares.values()), shares
