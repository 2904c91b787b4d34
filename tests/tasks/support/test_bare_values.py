"""A value without a date reads as the latest."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aris.records import timeline_of
from aris.tasks.support import check
from aris.tasks.support.records import evidence_of
from fhir_made import NOW, observation, patient


@pytest.mark.parametrize(
    ("text", "cited", "outcome"),
    [
        ("Potassium 4.1 mmol/L.", ["old"], "unsupported"),
        ("Potassium: 4.1 mmol/L", ["old"], "unsupported"),
        ("Potassium 6.8 mmol/L.", ["new"], "supported"),
        ("Potassium 4.1 mmol/L on 30 May 2024.", ["old"], "supported"),
        ("Potassium was 4.1 mmol/L.", ["old"], "supported"),
        ("Potassium rose from 4.1 mmol/L to 6.8 mmol/L.", ["old", "new"], "supported"),
        ("Sodium 140 mmol/L.", ["sodium"], "supported"),
    ],
)
def test_a_bare_older_value_is_not_passed_while_a_later_one_says_otherwise(
    text: str, cited: list[str], outcome: str
) -> None:
    evidence = evidence_of(timeline_of([
        patient(), observation("potassium", 4.1, NOW - timedelta(days=2), id="old"),
        observation("potassium", 6.8, NOW, id="new"),
        observation("sodium", 140, NOW - timedelta(days=2), id="sodium"),
        observation("sodium", 140, NOW, id="sodium-2"),
    ]))  # fmt: skip
    found = check(text, [f"Observation/{each}" for each in cited], evidence)
    assert found.outcome == outcome, found.message
    if outcome == "unsupported":
        assert "Observation/new" in found.message
