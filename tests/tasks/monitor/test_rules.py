"""Rules: those that ship pass the tests beside them; what a rule cannot say is refused by file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from aris.tasks.monitor import RuleError, load_rules, shipped_rules
from aris.tasks.monitor.rule_tests import Tried, try_rules

RULE = """\
id: sodium
version: 2
title: Sodium of our ward
problem: sodium
author: A. Physician
approved: {by: Medical director, date: 2026-01-02}
source: {text: our own limits}
check:
  kind: limits
  of: sodium
  look_back: 24h
  levels:
    - {severity: warning, below: 128}
"""


@pytest.mark.parametrize("tried", try_rules(shipped_rules()), ids=lambda tried: f"{tried.rule}: {tried.name}")
def test_a_shipped_rule_passes_the_test_beside_it(tried: Tried) -> None:
    assert tried.came == tried.expected


def test_each_shipped_rule_has_tests_that_it_fires_and_that_it_does_not() -> None:
    tried = try_rules(shipped_rules())
    for rule in shipped_rules():
        expected = {each.expected for each in tried if each.rule == rule.id}
        assert expected & {"info", "warning", "critical"}, rule.id
        assert expected & {"nothing", "not assessed"}, rule.id
        assert len(rule.source.text) > 20


@pytest.mark.parametrize(
    ("old", "new", "line", "field"),
    [
        ("below: 128", "under: 128", 13, "under"),
        ("below: 128", "below: 128, above: 150", 13, "exactly one"),
        ("of: sodium\n", "of: sodum\n", 10, "of"),
        ("severity: warning", "severity: terrible", 13, "severity"),
        ("look_back: 24h", "look_back: one day", 11, "look_back"),
        ("version: 2", "version: two", 2, "version"),
        ("version: 2\n", "version: 2\nversion: 3\n", 3, "twice"),
        ("approved: {by: Medical director, date: 2026-01-02}\n", "", 1, "approved"),
        ("kind: limits", "kind: guess", 9, "check"),
        ("id: sodium", "id: Sodium!", 1, "id"),
        ("title: Sodium of our ward", "title: [a", 3, "YAML"),
        ("source: {text: our own limits}", "source: !!python/object:os.system {}", 7, "YAML"),
    ],
)
def test_an_invalid_rule_is_refused_by_file_line_and_field(
    tmp_path: Path, old: str, new: str, line: int, field: str
) -> None:
    assert old in RULE
    path = tmp_path / "sodium.yaml"
    path.write_text(RULE.replace(old, new))
    with pytest.raises(RuleError) as refused:
        load_rules(tmp_path)
    message = str(refused.value)
    assert message.startswith(f"{path}:") and field in message and "\n" not in message
    assert abs(int(message.removeprefix(f"{path}:").partition(":")[0]) - line) <= 1


def test_a_site_adds_a_rule_and_replaces_one_by_a_higher_version(tmp_path: Path) -> None:
    (tmp_path / "sodium.yaml").write_text(RULE)
    (tmp_path / "own.yaml").write_text(RULE.replace("id: sodium", "id: our-sodium").replace("version: 2", "version: 1"))
    rules = load_rules(tmp_path)
    assert rules.rules["sodium"].version == 2 and rules.rules["our-sodium"].title == "Sodium of our ward"
    assert len(rules) == len(shipped_rules()) + 1
    assert any(each.id == "sodium" and each.version == 1 for each in rules.others)


def test_withdrawing_a_version_rolls_back_to_the_one_before(tmp_path: Path) -> None:
    withdrawn = "withdrawn: {by: Medical director, date: 2026-02-01, reason: too many alarms}\n"
    (tmp_path / "sodium.yaml").write_text(RULE + withdrawn)
    assert load_rules(tmp_path).rules["sodium"].version == 1
    # One version with other words is no version.
    (tmp_path / "copy.yaml").write_text(RULE.replace("128", "126"))
    with pytest.raises(RuleError, match="higher version"):
        load_rules(tmp_path)


def test_tests_beside_a_sites_rule_are_run_and_their_errors_named(tmp_path: Path) -> None:
    (tmp_path / "sodium.yaml").write_text(RULE)
    beside = tmp_path / "sodium.tests.yaml"
    beside.write_text("- {name: low, given: [{sodium: 127, ago: 1h}], expect: warning}\n"
                      "- {name: wrong, given: [{sodium: 127, ago: 1h}], expect: nothing}\n")  # fmt: skip
    assert [each.passed for each in try_rules(load_rules(tmp_path), tmp_path)] == [True, False]
    beside.write_text("- {name: low, given: [{sodum: 127, ago: 1h}], expect: warning}\n")
    with pytest.raises(RuleError, match=r"sodium\.tests\.yaml:1: .*name one measurement"):
        try_rules(load_rules(tmp_path), tmp_path)


def test_a_folder_without_rules_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="no rules in it"):
        load_rules(tmp_path)
    with pytest.raises(RuleError, match="no such folder"):
        load_rules(tmp_path / "none")
