"""The planted falsehoods of `benchmarks/support_planted.py` in a short form, and the facts that rules lay out."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from aris.records import Timeline, read_timeline
from aris.tasks.summary import summarize
from aris.tasks.support import check
from aris.tasks.support.records import evidence_of

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "support_planted.py"


@pytest.fixture(scope="module")
def planted() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("support_planted", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["support_planted"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["support_planted"]


@pytest.fixture(scope="module")
def timelines(data_dir: Path) -> list[Timeline]:
    return [read_timeline(file) for file in sorted((data_dir / "fhir_population").glob("*.json.gz"))[-2:]]


@pytest.mark.data
def test_falsehoods_are_caught_and_true_sentences_pass(planted: ModuleType, timelines: list[Timeline]) -> None:
    outcomes = planted.run(timelines, 70, seed=7)
    for kind in planted.KINDS:
        assert outcomes[kind].get("supported", 0) <= 1, (kind, outcomes[kind])
    false = [outcomes[kind] for kind in planted.KINDS]
    caught = sum(each.get("contradicted", 0) + each.get("unsupported", 0) for each in false)
    assert caught >= 0.95 * 70
    assert outcomes["true"].get("supported", 0) >= 0.98 * 70


@pytest.mark.data
def test_facts_laid_out_by_rule_are_never_contradicted(timelines: list[Timeline]) -> None:
    for timeline in timelines:
        evidence = evidence_of(timeline)
        said = [each for section in summarize(timeline).sections for each in section.statements if each.cites]
        assert len(said) > 5
        for statement in said:
            verdict = check(statement.text, statement.cites, evidence)
            assert verdict.outcome not in ("contradicted", "unsupported"), (statement.text, verdict.message)


@pytest.mark.data
def test_another_patients_record_supports_nothing(timelines: list[Timeline]) -> None:
    own, other = timelines[0], evidence_of(timelines[1])
    said = [each for section in summarize(own).sections for each in section.statements if each.cites]
    assert not any(check(each.text, each.cites, other).ok for each in said)
