"""The watch at its edges: hearts that stand still, values that cannot be, words, and tests that share a name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aris.records import timeline_of
from aris.records.scores.trend import theil_sen
from aris.tasks.monitor import monitor
from fhir_made import NOW, before, observation, patient

HOUR = timedelta(hours=1)


def judge(*resources: dict[str, Any]) -> Any:
    return monitor(timeline_of([patient(), *resources]), now=NOW)


def rules_of(result: Any) -> dict[str, str]:
    return {flag.rule: flag.severity for flag in result.flags}


@pytest.mark.parametrize(
    ("name", "good", "rule"),
    [("pulse", 80, "no-pulse"), ("respiratory_rate", 14, "no-breath"), ("systolic", 120, "no-pressure")],
)
def test_a_heart_or_breath_that_stands_still_is_an_alarm(name: str, good: float, rule: str) -> None:
    result = judge(observation(name, good, before(hours=1)), observation(name, 0, before(minutes=5), id="zero"))
    assert rules_of(result)[rule] == "critical"
    (told,) = [each for each in result.alarms if each.flag.problem == rule]
    assert told.flag.resources == ("Observation/zero",)
    past = judge(observation(name, 0, before(minutes=30)), observation(name, good, before(minutes=5)))
    assert rule not in rules_of(past)


def test_a_heart_that_stands_still_hides_no_breath_that_stops_later() -> None:
    pulse = observation("pulse", 0, before(minutes=20), id="pulse")
    first = monitor(timeline_of([patient(), pulse]), now=NOW - timedelta(minutes=15))
    breath = observation("respiratory_rate", 0, before(minutes=5), id="breath")
    second = monitor(timeline_of([patient(), pulse, breath]), now=NOW, state=first.state)
    assert "no-pulse" in [each.flag.rule for each in first.alarms]
    assert "no-breath" in [each.flag.rule for each in second.alarms]


def test_pressures_of_nought_do_not_break_the_scores() -> None:
    result = judge(observation("systolic", 0, before(minutes=5)), observation("pulse", 120, before(minutes=5)))
    assert {"no-pressure", "news2"} <= set(rules_of(result))
    (index,) = [each for each in result.not_assessed if each.rule == "shock-index"]
    assert "systolic" in index.reason


def test_a_newest_value_that_cannot_be_lets_no_older_one_speak_for_it() -> None:
    result = judge(observation("potassium", 4.4, before(hours=3)), observation("potassium", 48, before(hours=1)))
    (said,) = [each for each in result.not_assessed if each.rule == "potassium"]
    assert said.kind == "unread" and "48 mmol/L" in said.reason and "implausible" in said.reason
    vitals = judge(
        *(observation(name, value, before(hours=3)) for name, value in
          (("pulse", 80), ("systolic", 120), ("respiratory_rate", 14), ("spo2", 98), ("temperature", 37))),
        observation("pulse", 5, before(minutes=10)),
    )  # fmt: skip
    (score,) = [each for each in vitals.not_assessed if each.rule == "news2"]
    assert score.kind == "unread" and "pulse 5" in score.reason


def test_an_alarm_stays_though_a_newer_value_cannot_be() -> None:
    result = judge(observation("potassium", 6.9, before(hours=3)), observation("potassium", 48, before(hours=1)))
    (flag,) = [each for each in result.flags if each.rule == "potassium"]
    assert flag.severity == "critical" and any("48 mmol/L" in each for each in flag.notes)


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("Alert, no confusion", 0), ("Alert. Not confused.", 0), ("Awake and oriented, denies drowsiness", 0),
        ("Alert; no signs of confusion or delirium", 0), ("Alert, no new confusion", 0),
        ("Alert, not in pain", 0), ("Awake, denies any pain", 0),
        ("No longer alert", 3), ("Not fully oriented", 3), ("Less alert than this morning", 3),
        ("Not responding to voice", 3), ("Not alert, confused", 3), ("Alert but confused", 3),
        ("Awake, not sedated, confused", 3), ("Not drowsy and confused", 3), ("Alert, no longer confused", 0),
        ("Alert, no confusion or drowsiness", 0),
        ("No response to pain", 3), ("Unarousable", 3),
    ],
)  # fmt: skip
def test_consciousness_in_words_with_denials(text: str, points: int) -> None:
    word = observation("pulse", 1, before(hours=1), id="acvpu")
    word |= {"code": {"coding": [{"system": "http://loinc.org", "code": "67775-7"}]}, "valueString": text}
    word.pop("valueQuantity")
    others = [observation("respiratory_rate", 25, before(hours=1)), observation("pulse", 115, before(hours=1))]
    (flag,) = [each for each in judge(word, *others).flags if each.rule == "news2"]
    assert f"NEWS2 at least {5 + points}" in flag.text and "consciousness" not in flag.missing


def coded(name: str, code: str, value: float, unit: str, **span: float) -> dict[str, Any]:
    made = observation(name, value, before(**span), unit=unit)
    made["code"] = {"coding": [{"system": "http://loinc.org", "code": code}]}
    return made


def test_a_test_is_converted_by_its_own_code() -> None:
    """59261-8 is HbA1c by IFCC: "%" of it is not NGSP's, and is read as neither."""
    result = judge(coded("glucose", "59261-8", 5.3, "%", days=400))
    assert any("HbA1c" in each for each in result.problems)
    assert not any("HbA1c" in each for each in judge(coded("glucose", "4548-4", 5.3, "%", days=400)).problems)


def test_urine_in_litres_is_read() -> None:
    given = [coded("glucose", "9187-6", 0.01, "L", hours=each) | {"id": f"u{each}"} for each in range(9, 0, -1)]
    weight = coded("glucose", "29463-7", 70, "kg", hours=20)
    result = judge(*given, weight)
    assert not any("urine" in each for each in result.problems)
    assert rules_of(result).get("kdigo-aki") == "warning"


def test_a_trend_of_thousands_of_results_takes_no_more_room_than_one_of_some() -> None:
    times = [each / 24 for each in range(20_000)]
    values = [90 - each * 0.02 + (5 if each % 7 == 0 else 0) for each in times]
    line = theil_sen(times, values)
    assert line is not None and line.n == 20_000
    assert line.low <= line.slope <= line.high and abs(line.slope + 0.02) < 0.002
