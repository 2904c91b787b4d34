"""`aris models quantize`: what it writes answers through the other commands, and its errors are one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aris as package
import tiny_checkpoint
from aris.errors import ModelError

Aris = Callable[..., Any]
TEXT = "The lungs are clear. No pneumonia. " * 30


def quantize(aris: Aris, model: Path, out: Path, *options: str) -> Any:
    return aris("models", "quantize", model, out, "--format", "int4", "--group", "16", *options)


@pytest.mark.parametrize("calibrated", [False, True])
def test_the_folder_is_a_model_that_reads_images(
    calibrated: bool, aris: Aris, tiny_model: Path, film_png: Path, tmp_path: Path
) -> None:
    texts = tmp_path / "texts.jsonl"
    rows = [{"text": TEXT}, {"question": "Is it?", "answer": TEXT}, {"messages": [{"role": "user", "content": TEXT}]}]
    texts.write_text("\n".join(json.dumps(row) for row in rows))
    options = ["--calibrate", str(texts)] if calibrated else []
    out = tmp_path / "small"
    result = quantize(aris, tiny_model, out, "--json", *options)
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["folder"] == str(out) and facts["bytes"] < 0.6 * facts["dense_bytes"] and facts["matrices"] == 43
    assert facts["quantization"]["rounding"] == ("gptq" if calibrated else "nearest")
    asked = aris("ask", "--model", out, "--device", "cpu", "--max-tokens", "4", "-i", film_png, "Is it?")
    assert asked.exit_code == 0, asked.output
    question = [package.user("Is it?")]
    small, dense = package.load(out, device="cpu"), package.load(out, device="cpu", quantize="none")
    again = package.load(tiny_model, device="cpu")
    assert small.model.language_model.layers[0].mlp.up_proj.format == "int4"
    scores = [model.score(question, ["Yes", "No"]) for model in (small, dense, again)]
    assert scores[0] == pytest.approx(scores[1], abs=0.05 if small.model.dtype.itemsize == 2 else 1e-3)
    assert scores[0] != pytest.approx(scores[2], abs=1e-3)
    assert small.tokenizer.token_bytes() == again.tokenizer.token_bytes()


def test_errors_are_one_line(aris: Aris, tiny_model: Path, tmp_path: Path) -> None:
    def fails(code: int, words: str, *args: Any) -> None:
        result = aris("models", "quantize", *args)
        assert result.exit_code == code, result.output
        assert words in " ".join(result.stderr.split()) and "Traceback" not in result.output
        assert code == 2 or len(result.stderr.strip().splitlines()) == 1

    out = tmp_path / "out"
    fails(2, "int3", tiny_model, out, "--format", "int3")
    fails(2, "nf4", tiny_model, out, "--format", "int4", "--head", "nf4")
    fails(1, "groups of 64 do not divide", tiny_model, out, "--format", "int4")
    fails(1, "exists already", tiny_model, tmp_path, "--format", "int8")
    fails(1, "no such file", tiny_model, out, "--format", "int8", "--calibrate", tmp_path / "none.txt")
    (tmp_path / "short.txt").write_text("too short")
    fails(1, "tokens of text", tiny_model, out, "--format", "int8", "--calibrate", tmp_path / "short.txt")
    (tmp_path / "bad.jsonl").write_text('{"text": "a"}\n{"pixels": 3}\n')
    fails(1, "line 2 has no text", tiny_model, out, "--format", "int8", "--calibrate", tmp_path / "bad.jsonl")
    assert not out.exists() and sorted(path.name for path in tmp_path.iterdir()) == ["bad.jsonl", "short.txt"]


def test_a_broken_format_is_refused_in_python_too(tiny_model: Path, tmp_path: Path) -> None:
    from aris.backends.quantizing import quantize as write

    with pytest.raises(ModelError, match="int3"):
        write(tiny_model, tmp_path / "out", "int3")
    with pytest.raises(ModelError, match="int3"):
        package.load(tiny_model, quantize="int3")


def test_sharded_and_text_only(tmp_path: Path, aris: Aris) -> None:
    source = tiny_checkpoint.save(tmp_path / "blind", vision=False)
    assert quantize(aris, source, tmp_path / "out").exit_code == 0
    assert len(package.load(tmp_path / "out", device="cpu").score([package.user("Q")], ["Yes", "No"])) == 2
