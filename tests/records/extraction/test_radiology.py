"""Tests of `aris.records.extraction.radiology` on sentences of our own, and its share on the labelled reports."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from aris.records.extraction import follow_ups, label_report, report_findings

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("Heart size is mildly enlarged.", {"Cardiomegaly": "present"}),
        ("The heart is not enlarged.", {"Cardiomegaly": "absent"}),
        ("Heart size normal, aorta enlarged.", {}),
        ("No pneumothorax or pleural effusion.", {"Pneumothorax": "absent", "Effusion": "absent"}),
        ("Left hydropneumothorax.", {"Pneumothorax": "present", "Effusion": "present"}),
        ("Opacity may represent atelectasis or pneumonia.", {"Atelectasis": "uncertain", "Pneumonia": "uncertain"}),
        ("Mild mass effect.", {}),
        ("Resolved pneumonia.", {"Pneumonia": "absent"}),
        ("No effusion. Small effusion on the lateral view.", {"Effusion": "present"}),
        ("Subcutaneous emphysema.", {}),
        ("Pulmonary nodules unchanged.", {"Nodule": "present"}),
    ],
)
def test_labels(text: str, labels: dict[str, str]) -> None:
    assert label_report(text) == labels


def test_size_is_the_largest_in_millimetres() -> None:
    [nodule] = report_findings("A 0.8 x 1.2 cm nodule in the right upper lobe.")
    assert (nodule.finding, nodule.size_mm, nodule.follow_up, nodule.critical) == ("Nodule", 12.0, True, False)
    [absent] = report_findings("No nodule larger than 4 mm.")
    assert absent.stated == "absent"
    assert absent.size_mm is None


def test_what_must_be_told_at_once() -> None:
    found = report_findings("Saddle embolus. No free air.")
    assert [(each.finding, each.stated, each.critical) for each in found] == [
        ("Pulmonary embolism", "present", True), ("Free air", "absent", True)]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Recommend CT chest in 3 months.", ("CT", 90)),
        ("Follow-up CT in 6-12 months is recommended.", ("CT", 360)),
        ("A 6-month follow-up ultrasound is advised.", ("ultrasound", 180)),
        ("Further evaluation with CT should be considered.", ("CT", None)),
    ],
)
def test_advice_to_look_again(text: str, expected: tuple[str, int | None]) -> None:
    [found] = follow_ups(f"Nodule. {text} Otherwise normal.")
    assert (found.test, found.days) == expected


@pytest.mark.parametrize("text", ["No follow-up imaging is needed.", "Compared with the prior CT.", "Clear lungs."])
def test_no_advice(text: str) -> None:
    assert follow_ups(text) == []


def _script(name: str) -> object:
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_open_i_labels(data_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The figure that is published; held-out data, so the bound is that of the issue and nothing is shown."""
    monkeypatch.setattr(sys, "argv", ["report_labels", str(data_dir)])
    _script("report_labels").main()  # type: ignore[attr-defined]
    present = capsys.readouterr().out.partition("\npresent: ")[2]
    [micro] = [line for line in present.splitlines() if "micro" in line]
    assert float(micro.partition("F1 ")[2].split()[0]) >= 0.85


@pytest.mark.slow
def test_context_set(data_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["text_context", str(data_dir)])
    _script("text_context").main()  # type: ignore[attr-defined]
    [negated] = [line for line in capsys.readouterr().out.splitlines() if " Negated " in line]
    assert float(negated.partition("F1 ")[2].split()[0]) >= 0.92
