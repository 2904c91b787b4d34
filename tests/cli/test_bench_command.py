"""`aris bench` on the embedded model: figures that agree with each other. Never how large they are."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from aris.cli.app import app


@pytest.fixture(scope="module")
def figures() -> dict[str, object]:
    command = ["bench", "--json", "--prompt-tokens", "40", "--new-tokens", "6", "--streams", "2"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_shares_follow_from_what_was_measured(figures: dict[str, float]) -> None:
    assert figures["model"] == "aris-nano"
    assert figures["decode_share"] == pytest.approx(
        figures["decode_rate"] * figures["step_bytes"] / figures["bandwidth"]
    )
    assert figures["prefill_rate"] == pytest.approx(figures["prompt_tokens"] / figures["first_token_s"], rel=1e-6)
    assert figures["image_s"] > 0 and figures["streams_rate"] > 0
    assert figures["image_first_token_s"] > figures["first_token_s"] / 100


def test_the_bytes_of_a_step_are_those_of_the_weights_and_of_what_attention_sees(figures: dict[str, float]) -> None:
    # 270M: 18 layers, 3 of them global; 40 + 3 tokens are within every window.
    per_token = 2 * 256 * (4 if figures["dtype"] == "float32" else 2)
    assert figures["step_bytes"] - figures["weight_bytes"] == 18 * 43 * per_token
    assert figures["context"] == 43
    assert figures["weight_bytes"] > 100e6


def test_it_prints_a_table() -> None:
    result = CliRunner().invoke(app, ["bench", "--prompt-tokens", "20", "--new-tokens", "4", "--streams", "1"])
    assert result.exit_code == 0, result.output
    for name in ("bandwidth", "decode", "prompt", "image", "memory"):
        assert any(line.startswith(name) for line in result.stdout.splitlines()), name
