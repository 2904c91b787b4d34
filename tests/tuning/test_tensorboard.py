"""The curve for TensorBoard: its own reader finds each number, once, also after a run that was broken off."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from test_run import SETTINGS, base, data  # noqa: F401

from aris.errors import DataError
from aris.tuning.checkpointing import Curve
from aris.tuning.recipe import Recipe
from aris.tuning.run import tune

CHANGES: dict[str, Any] = {"steps": 8, "metrics": {"chat": "auc"}, "best": "auc", "evaluate_every": 2}


def test_its_scalars_are_those_of_the_curve(base: Path, data: Path, tmp_path: Path) -> None:  # noqa: F811
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    recipe = Recipe.from_dict(SETTINGS | CHANGES)
    lines = 0

    def stop(line: str) -> None:
        nonlocal lines
        lines += '"validation"' in line
        if lines == 4:  # the third one, at step 6, lies beyond the last save
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(recipe, str(base), data, tmp_path, log=stop, tensorboard=True)
    tune(recipe, str(base), data, tmp_path, log=lambda _: None, tensorboard=True)
    reader = accumulators.EventAccumulator(str(tmp_path / "tensorboard"))
    reader.Reload()
    entries = Curve.read(tmp_path / "curve.jsonl")
    for name, get in (
        ("loss", lambda entry: entry.get("loss")),
        ("validation_loss", lambda entry: entry.get("validation_loss")),
        ("validation/chat/auc", lambda entry: entry.get("validation", {}).get("chat", {}).get("auc")),
    ):
        wanted = [(entry["step"], get(entry)) for entry in entries if get(entry) is not None]
        found = [(event.step, event.value) for event in reader.Scalars(name)]
        assert [step for step, _ in found] == [step for step, _ in wanted]
        assert [value for _, value in found] == pytest.approx([value for _, value in wanted], rel=1e-6)


def test_without_the_package_the_line_to_install_it_comes_before_anything(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(DataError, match=r"pip install 'aris-medgemma\[tensorboard\]'"):
        tune(Recipe.from_dict(SETTINGS), str(base), data, tmp_path / "run", tensorboard=True)
    assert not (tmp_path / "run").exists()
