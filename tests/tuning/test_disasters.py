"""Memory, disk and numbers that run out in the middle of a run: one clear line, and what was saved goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tiny_training import tiny_loop

from aris.errors import DataError
from aris.tuning.loop import BEST, STATE

pytestmark = pytest.mark.filterwarnings("ignore:.*deterministic")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    tiny_loop(folder).run()
    torch.set_num_threads(threads)
    return folder


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limits are those of Linux")
@pytest.mark.parametrize(("kind", "words"), [("disk", "the disk is full"), ("memory", "out of memory")])
def test_a_run_that_lacks_room_ends_with_a_line_and_goes_on_later(
    kind: str, words: str, whole: Path, tmp_path: Path
) -> None:
    """The process's own limits are set in mid-run: the write, or the allocation, that fails is a real one."""
    command = [sys.executable, str(Path(__file__).with_name("tiny_training.py")), str(tmp_path)]
    ended = subprocess.run([*command, kind], capture_output=True, text=True)
    assert ended.returncode == 1 and "Traceback" not in ended.stderr, ended.stderr
    (line,) = [each for each in ended.stderr.splitlines() if each.startswith("training:")]
    state = torch.load(tmp_path / STATE, weights_only=True)
    assert words in line and f"goes on from step {state['step']}" in line, line
    assert 0 < state["step"] < 30 and not list(tmp_path.glob(".*.new"))
    assert safetensors.torch.load_file(tmp_path / BEST)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    ours, theirs = (torch.load(folder / STATE, weights_only=True)["trained"] for folder in (tmp_path, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert (tmp_path / BEST).read_bytes() == (whole / BEST).read_bytes()


def test_a_rate_that_diverges_ends_with_a_line_and_weights_that_are_numbers(tmp_path: Path) -> None:
    loop = tiny_loop(tmp_path, learning_rate=1e25, tower_learning_rate=0, save_every=1)
    with pytest.raises(DataError, match=r"not a number at step \d+; lower the learning rate.*best weights, of step"):
        loop.run()
    assert all(parameter.isfinite().all() for parameter in loop.trained.values())
    best = safetensors.torch.load_file(tmp_path / BEST)
    assert best.keys() == loop.trained.keys() and all(value.isfinite().all() for value in best.values())


def test_a_model_that_is_broken_already_is_told_before_the_first_step(tmp_path: Path) -> None:
    loop = tiny_loop(tmp_path)
    with torch.no_grad():
        loop.model.language_model.norm.weight.fill_(float("inf"))
    with pytest.raises(DataError, match="not a number before the first step"):
        loop.run()
    assert not (tmp_path / BEST).exists()
