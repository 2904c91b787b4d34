"""Scores to probabilities and words; malformed calibrations are refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aris.errors import CheckpointError, ModelError
from aris.tasks.calibration.answers import UNCALIBRATED, ScoreCalibration, read_calibration

GOOD = {"slope": 2.0, "intercept": -1.0, "threshold": 0.4, "uncertain": [0.3, 0.5]}


def test_platt_scaling_of_the_two_answers_logit() -> None:
    entry = ScoreCalibration(slope=2.0, intercept=-1.0, threshold=0.4)
    yes, no = math.log(0.6), math.log(0.2)
    expected = 1 / (1 + math.exp(-(2.0 * math.log(3.0) - 1.0)))
    assert entry.probability((yes, no)) == pytest.approx(expected)


def test_uncalibrated_is_the_softmax_over_the_two() -> None:
    assert UNCALIBRATED.probability((math.log(0.06), math.log(0.02))) == pytest.approx(0.75)


@given(st.floats(-1e6, 0), st.floats(-1e6, 0))
def test_any_scores_give_a_probability(yes: float, no: float) -> None:
    p = UNCALIBRATED.probability((yes, no))
    assert 0.0 <= p <= 1.0
    assert p + UNCALIBRATED.probability((no, yes)) == pytest.approx(1.0)


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ModelError, match="damaged"):
        UNCALIBRATED.probability((math.nan, -1.0))
    with pytest.raises(ModelError, match="damaged"):
        UNCALIBRATED.probability((-math.inf, -math.inf))


@pytest.mark.parametrize(
    ("probability", "word"), [(0.1, "not seen"), (0.3, "uncertain"), (0.5, "uncertain"), (0.51, "present")]
)
def test_words_with_a_band(probability: float, word: str) -> None:
    assert read_calibration({"findings": {"x": GOOD}}).findings["x"].word(probability) == word


def test_words_without_a_band_follow_the_operating_point() -> None:
    entry = ScoreCalibration(threshold=0.4)
    assert [entry.word(p) for p in (0.39, 0.4)] == ["not seen", "present"]


def test_no_calibration_is_empty() -> None:
    made = read_calibration({})
    assert not made.findings and made.gate is None


@pytest.mark.parametrize(
    "contents",
    [
        {"findings": [1]},
        {"findings": {"x": {"slope": 1, "intercept": 0}}},
        {"findings": {"x": {**GOOD, "slope": "steep"}}},
        {"findings": {"x": {**GOOD, "slope": -1}}},
        {"findings": {"x": {**GOOD, "threshold": 1.5}}},
        {"findings": {"x": {**GOOD, "intercept": math.inf}}},
        {"findings": {"x": {**GOOD, "uncertain": [0.5, 0.3]}}},
        {"findings": {"x": {**GOOD, "uncertain": [0.5]}}},
        {"gate": 3},
        {"gate": {}},
    ],
)
def test_malformed_calibrations_are_refused(contents: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match=r"calibration\.json"):
        read_calibration(contents)
