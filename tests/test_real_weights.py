"""The shipped model on its real weights: parity with transformers, and that it reads the picture."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from aris.backends import NativeBackend, load
from aris.prompting import Image, user
from aris.tuning.metrics import auc
from aris.tuning.nano.calibrate import Scorer
from aris.tuning.nano.corpus import FINDING_QUESTION, GATE_QUESTION
from aris.tuning.nano.films import load_films

ROOT = Path(__file__).resolve().parents[1]
QUESTION = FINDING_QUESTION.format(finding="pneumonia")


@pytest.fixture(scope="module")
def nano() -> NativeBackend:
    return load("aris-nano", device="cpu")


@pytest.mark.data
def test_the_real_270m_equals_transformers(data_dir: Path) -> None:
    """A short form of benchmarks/parity_270m.py, which does 20 prompts of 64 tokens and 200 reports."""
    pytest.importorskip("transformers")
    script = ROOT / "benchmarks" / "parity_270m.py"
    options = ["--prompts", "2", "--tokens", "16", "--reports", "3", "--data", str(data_dir)]
    done = subprocess.run([sys.executable, script, *options], capture_output=True, text=True, check=True)
    assert "greedy tokens equal for 2 of 2 prompts" in done.stdout
    apart = float(done.stdout.rsplit("apart by ", 1)[1])
    assert apart < 1e-3


@pytest.mark.data
def test_validation_films_are_told_apart_and_blanked_ones_are_not(data_dir: Path, nano: NativeBackend) -> None:
    films = load_films(data_dir / "chest_pediatric", "validation")
    sick = (films.classes > 0).nonzero()[:, 0].tolist()
    well = (films.classes == 0).nonzero()[:, 0].tolist()
    some = films.subset([*sick[:: len(sick) // 8][:8], *well[:: len(well) // 8][:8]])
    scorer = Scorer(nano.model, nano.tokenizer)
    positive = some.classes > 0
    assert auc(scorer(some.images, QUESTION), positive) > 0.95
    # Defect 11: with the picture gone there is nothing left to tell.
    blank = torch.full_like(some.images[:3], 90)
    assert scorer(blank, QUESTION).std() < 1e-3
    assert bool((scorer(some.images[4:12], GATE_QUESTION) > scorer(blank, GATE_QUESTION).max()).all())


def test_the_scorer_asks_as_the_backend_does(nano: NativeBackend) -> None:
    """What calibration and benchmarks measure is what `aris findings` computes."""
    film = np.random.default_rng(0).integers(0, 200, (224, 224), dtype=np.uint8)
    film[60:160, 40:100] //= 4
    yes, no = nano.score([user(Image(film), QUESTION)], ["Yes", "No"])
    measured = float(Scorer(nano.model, nano.tokenizer)(torch.from_numpy(film)[None], QUESTION))
    assert measured == pytest.approx(yes - no, abs=0.15)  # bfloat16 scores of about 10, one by one and in a batch
