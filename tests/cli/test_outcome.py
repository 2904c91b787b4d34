"""Exit codes and messages: 0 done, 1 failed, 2 misused; one line, never a traceback unless asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

import aris as package
import tiny_checkpoint
from aris.checkpoints import save_adapter
from aris.cli.terminal import one_line, plain, probability
from aris.errors import CheckpointError
from aris.model import attach_lora

Aris = Callable[..., Any]
COMMANDS = ("draft", "findings", "ask", "chat", "models")


def test_version(aris: Aris) -> None:
    result = aris("--version")
    assert result.exit_code == 0 and result.stdout == f"aris {package.__version__}\n"


def test_help_lists_every_command_and_each_has_an_example(aris: Aris) -> None:
    text = aris("--help").stdout
    for command in COMMANDS:
        assert command in text
        own = aris(command, "--help")
        assert own.exit_code == 0 and f"aris {command}" in own.stdout


@pytest.mark.parametrize(
    "args",
    [
        ("nonsense",),
        ("draft",),
        ("draft", "f.png", "--nonsense"),
        ("draft", "f.png", "--temperature", "-1"),
        ("draft", "f.png", "--max-tokens", "0"),
        ("draft", "f.png", "--dtype", "int3"),
        ("findings",),
        ("ask",),
        ("models", "nonsense"),
    ],
)
def test_misuse_is_2_and_stdout_is_empty(aris: Aris, args: tuple[str, ...]) -> None:
    result = aris(*args)
    assert result.exit_code == 2 and result.stdout == "" and result.stderr


def test_float16_is_refused_with_the_reason(aris: Aris) -> None:
    result = aris("ask", "Q?", "--dtype", "float16")
    assert result.exit_code == 2 and "overflows" in " ".join(result.stderr.split())


def fail(error: BaseException) -> Callable[..., Any]:
    def load(*_: Any, **__: Any) -> Any:
        raise error

    return load


def test_an_expected_error_is_one_line(aris: Aris, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aris.backends.load", fail(CheckpointError("x: missing; run: aris models pull x")))
    result = aris("ask", "Q?")
    assert result.exit_code == 1
    assert (result.stdout, result.stderr) == ("", "error: x: missing; run: aris models pull x\n")


def test_a_defect_is_one_line_that_says_so(aris: Aris, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aris.backends.load", fail(ValueError("first line\nsecond line")))
    result = aris("ask", "Q?")
    assert result.exit_code == 1 and result.stdout == ""
    # Its words may quote a header; where it happened does not.
    assert re.fullmatch(r"error: ValueError in \w+\.py:\d+; this is a defect; run with --debug\n", result.stderr)


@pytest.mark.parametrize("args", [("--debug", "ask", "Q?"), ("ask", "Q?", "--debug")])
def test_debug_shows_the_traceback_wherever_it_stands(
    aris: Aris, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    monkeypatch.setattr("aris.backends.load", fail(ValueError("boom")))
    result = aris(*args)
    assert result.exit_code == 1 and "Traceback" in result.stderr and "boom" in result.stderr
    assert "Traceback" not in aris("ask", "Q?").stderr  # and it does not stay on


def test_an_interrupt_while_loading_is_130(aris: Aris, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aris.backends.load", fail(KeyboardInterrupt()))
    result = aris("ask", "Q?")
    assert result.exit_code == 130 and result.stdout == "" and "stopped" in result.stderr


def one_line_error(result: Any) -> str:
    assert result.exit_code == 1 and result.stdout == ""
    assert result.stderr.startswith("error: ") and len(result.stderr.splitlines()) == 1
    assert "defect" not in result.stderr
    return str(result.stderr)


def test_missing_models(aris: Aris, tmp_path: Path, film_png: Path) -> None:
    for name in (tmp_path / "none", tmp_path / "none.gguf", "no-such-model", film_png):
        for command in (("ask", "Q?"), ("draft", film_png), ("findings", film_png)):
            assert str(name) in one_line_error(aris(*command, "--model", name))


def test_wrong_adapters(aris: Aris, tmp_path: Path, tiny_model: Path) -> None:
    def ask(adapter: Path) -> str:
        return one_line_error(aris("ask", "Q?", "--model", tiny_model, "--adapter", adapter))

    assert "none" in ask(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "empty" in ask(tmp_path / "empty")
    other = tiny_checkpoint.network()
    attach_lora(other, lambda name: name.endswith("q_proj"), r=2, alpha=4)
    save_adapter(other, tmp_path / "foreign")
    config = json.loads((tmp_path / "foreign" / "adapter_config.json").read_text())
    weights = load_file(tmp_path / "foreign" / "adapter_model.safetensors")
    renamed = {name.replace("q_proj", "w_proj"): value for name, value in weights.items()}
    save_file(renamed, tmp_path / "foreign" / "adapter_model.safetensors")
    assert config["r"] == 2 and "matches no linear layer" in ask(tmp_path / "foreign")


def test_the_model_can_come_from_the_environment(
    aris: Aris, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ARIS_MODEL", str(tmp_path / "elsewhere"))
    assert "elsewhere" in aris("ask", "Q?").stderr


def test_neutralising_keeps_text_and_shows_controls() -> None:
    assert plain("a\tb\nc é 肺 عربي") == "a\tb\nc é 肺 عربي"
    assert plain("\x1b[31m\x00\x7f") == "␛[31m␀␡"
    assert one_line("a\nb\tc\u2028d") == "a␊b␉c␊d"
    assert plain("\udcff") == "\ufffd"


def test_no_probability_is_rounded_to_certainty() -> None:
    assert [probability(value) for value in (0.0, 0.004, 0.5, 0.99, 0.996, 1.0)] == [
        "<0.01", "<0.01", "0.50", "0.99", ">0.99", ">0.99",
    ]  # fmt: skip
