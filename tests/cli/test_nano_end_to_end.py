"""The embedded model with its real weights, from sample films to findings and a draft."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from aris.backends import NativeBackend, load

Aris = Callable[..., Any]
SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@pytest.fixture(scope="module")
def nano() -> NativeBackend:
    return load("aris-nano", device="cpu")


@pytest.fixture(autouse=True)
def loaded_once(nano: NativeBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aris.backends.load", lambda *_, **__: nano)


def test_findings_of_the_samples_and_of_what_is_no_film(aris: Aris, tmp_path: Path) -> None:
    noise = tmp_path / "noise.png"
    PIL.Image.fromarray(np.random.default_rng(1).integers(0, 256, (256, 256), dtype=np.uint8)).save(noise)
    result = aris("findings", SAMPLES / "child-pneumonia.jpg", SAMPLES / "child-normal.jpg", noise, "--json")
    assert result.exit_code == 0, result.output
    ill, well, wrong = map(json.loads, result.stdout.splitlines())
    assert ill["model"] == "aris-nano" and [each["name"] for each in ill["findings"]] == ["pneumonia"]
    assert ill["findings"][0]["probability"] > 0.8 and ill["findings"][0]["present"] is True
    assert well["findings"][0]["probability"] < 0.2 and well["findings"][0]["present"] is False
    assert any("age and view are not known" in warning for warning in ill["warnings"])
    assert wrong["findings"][0]["probability"] is None
    assert any(warning.startswith("not a chest film") for warning in wrong["warnings"])


def test_a_draft_says_what_the_score_says(aris: Aris) -> None:
    result = aris("draft", SAMPLES / "child-normal.jpg", "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["sections"]["findings"] and data["sections"]["impression"]
    assert not any("draft" in warning for warning in data["warnings"])  # whole, and no contradiction
    assert data["findings"][0]["probability"] < 0.2
    assert data["timings"]["decode_tokens_per_s"] > 0
