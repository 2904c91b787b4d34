"""The fuzzing of `benchmarks/fuzz_imaging.py` in a short form: every mutated file is read or refused with one line."""

from __future__ import annotations

import os
from pathlib import Path

import mutations
import pytest
from driver import fuzz

INPUTS = int(os.environ.get("ARIS_FUZZ_INPUTS", "160"))
FEW = min(INPUTS, 40)
SEED = int(os.environ.get("ARIS_FUZZ_SEED", "7"))


@pytest.mark.timeout(300 + INPUTS)
@pytest.mark.parametrize("numbers", [range(FEW), pytest.param(range(FEW, INPUTS), marks=pytest.mark.slow)], ids=str)
def test_mutated_files_are_read_or_refused(numbers: range) -> None:
    answers = list(fuzz(numbers, SEED))
    assert len(answers) == len(numbers)
    wrong = [f"{answer['number']} ({answer.get('file')}): {answer['wrong']}" for answer in answers if answer["wrong"]]
    assert not wrong, "\n".join(wrong)
    # The control: mutations neither leave all files whole nor break all.
    assert not numbers or {answer["outcome"] for answer in answers} == {"read", "refused"}


def test_an_input_follows_from_its_number() -> None:
    assert mutations.mutated(5, SEED) == mutations.mutated(5, SEED) != mutations.mutated(6, SEED)


def test_a_crash_is_seen_and_does_not_stop_the_rest(tmp_path: Path) -> None:
    script = tmp_path / "crashing.py"
    script.write_text(
        "import json, os, sys\n"
        "print(json.dumps({'ready': True}), flush=True)\n"
        "for line in sys.stdin:\n"
        "    if int(line) == 1: os.abort()\n"
        "    answer = {'number': int(line), 'outcome': 'read', 'wrong': [], 'cpu': 11 if int(line) == 2 else 0}\n"
        "    print(json.dumps(answer), flush=True)\n"
    )
    zero, one, two = fuzz(range(3), SEED, script)
    assert (zero["outcome"], zero["wrong"]) == ("read", [])
    assert (one["outcome"], one["wrong"]) == ("crash", ["crash: SIGABRT"])
    assert two["wrong"] == ["hang: 11 s of processor time"]
