"""The README's sample output has the lines of a real run: their kinds and order, not the model's words."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def shape(text: str) -> list[str]:
    """The kinds of lines. What goes on from the line before (the README wraps long ones) is no line of its own, and
    wherever blank lines stand, one counts."""
    kinds: list[str] = []
    for line in text.strip("\n").splitlines():
        if not line.strip():
            kinds.append("")
        elif found := re.match(r"DRAFT — not signed( ·|\.)|(! )|(~ )|([A-Z][A-Z ]+:) ", line):
            kinds.append(found[0].strip())
        elif re.match(r"[a-z][a-z -]*: (\w+, probability [<>]?\d|not assessed|uncalibrated)", line):
            kinds.append("score")
        elif not kinds or not kinds[-1]:
            kinds.append("other")
    return [kind for at, kind in enumerate(kinds) if kind or kinds[at - 1]]


def sample() -> tuple[str, str]:
    """The command and the output that the README shows for its first command."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```text\n\$ (aris draft [^\n]*)\n(.*?)```", readme, flags=re.DOTALL)
    assert len(blocks) >= 1, "the README shows no run of aris draft"
    return blocks[0]


@pytest.mark.timeout(600)
def test_the_readmes_sample_is_what_its_command_prints(
    aris: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    command, shown = sample()
    first = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)[0]
    assert first.strip().endswith(f".venv/bin/{command}")
    done = aris(*command.split()[1:])
    assert done.exit_code == 0
    real = shape(done.stdout)
    assert shape(shown) == real
    assert {"score", "FINDINGS:", "IMPRESSION:"} <= set(real)
    assert shown.splitlines()[0] == done.stdout.splitlines()[0]


def test_another_order_or_a_missing_line_has_another_shape() -> None:
    _, shown = sample()
    lines = shown.strip("\n").split("\n")
    whole = shape(shown)
    for at, line in enumerate(lines):
        if re.match(r"[A-Z!].*", line):
            assert shape("\n".join([*lines[:at], *lines[at + 1 :]])) != whole, line
    wrapped = "\n".join(line.replace(". ", ".\n", 1) if line.startswith("FINDINGS") else line for line in lines)
    assert shape(wrapped) == whole
