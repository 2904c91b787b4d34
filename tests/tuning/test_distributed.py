"""Two processes on the CPU (gloo) share a run: the curve of one process, and a state that goes on at another number."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from tiny_images import dark_and_bright
from tiny_training import tiny_examples

import tiny_checkpoint
from aris.tuning.checkpointing import Curve
from aris.tuning.distributed import ProcessGroup, codes_as_parameters
from aris.tuning.layers.nf4 import NF4Linear
from aris.tuning.loop import BEST, CURVE, STATE
from aris.tuning.recipe import Recipe
from aris.tuning.run import tune
from aris.tuning.steps.microbatches import LengthMicroBatching

SETTINGS: dict[str, Any] = {
    "seed": 1, "steps": 12, "batch_size": 5, "max_tokens_per_microbatch": 60, "max_tokens": 60, "learning_rate": 1e-2,
    "tower_learning_rate": 0, "warmup_steps": 2, "weight_decay": 0.01, "clip_norm": 1.0, "lora_r": 4, "lora_alpha": 8,
    "augment_strength": 0, "evaluate_every": 4, "save_every": 2, "mixture": {}, "precision": "fp32",
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wide enough for NF4's groups of 64."""
    plain = tiny_checkpoint.config

    def wide(*args: Any) -> Any:
        config = plain(*args)
        text = dataclasses.replace(config.text, hidden_size=64, intermediate_size=128, head_dim=32)
        return dataclasses.replace(config, text=text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_checkpoint, "config", wide)
        return tiny_checkpoint.save(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some rows have an image and some have none, so that processes differ in what they see."""
    folder = tmp_path_factory.mktemp("data")
    lines = []
    for number, bright in dark_and_bright(folder, 24):
        content: list[dict[str, str]] = [{"type": "text", "text": "Bright? " + "Look. " * (number % 5)}]
        if number % 3:
            content.insert(0, {"type": "image", "path": f"{number}.png"})
        messages = [{"role": "user", "content": content}, {"role": "assistant", "content": "Yes" if bright else "No"}]
        lines.append(json.dumps({"messages": messages, "group": f"p{number // 2}"}))
    (folder / "rows.jsonl").write_text("\n".join(lines))
    return folder / "rows.jsonl"


def two(base: Path, data: Path, out: Path, **changes: Any) -> subprocess.Popen[str]:
    recipe = out.with_suffix(".yaml")
    recipe.write_text(yaml.safe_dump(SETTINGS | changes))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m",
               "aris.cli", "tune", str(recipe), "--data", str(data), "--model", str(base), "--out", str(out),
               "--device", "cpu"]  # fmt: skip
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}  # a signal tells where it came
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            start_new_session=True)  # fmt: skip


def one(base: Path, data: Path, out: Path, **changes: Any) -> None:
    tune(Recipe.from_dict(SETTINGS | changes), str(base), data, out, log=lambda _: None)


def losses(out: Path) -> dict[str, list[float]]:
    lines = Curve.read(out / CURVE)
    return {name: [line[name] for line in lines if name in line] for name in ("loss", "validation_loss")}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "changes",
    [
        {"method": "qlora", "projector": False, "optimizer": "adamw8bit", "checkpointing": True},
        {"method": "lora", "projector": True, "tower_learning_rate": 1e-3, "packing": True},
        {"method": "qlora", "projector": True, "shard": False, "optimizer": "adamw8bit", "cache_tower": True,
         "metrics": {"chat": ["auc", "accuracy"]}, "answer_tokens": 4},
    ],
    ids=["qlora", "lora-projector-tower", "whole-on-each"],
)
def test_two_processes_have_the_curve_of_one(base: Path, data: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    running = two(base, data, tmp_path / "two", **changes)
    output, errors = running.communicate(timeout=280)
    assert running.returncode == 0, output + errors[-3000:]
    assert output.count("best step") == 1  # one of the two speaks
    same = {} if changes.get("shard") is False else {"optimizer": "adamw"}  # shards have float32 moments
    one(base, data, tmp_path / "one", **changes | same)
    ours, theirs = losses(tmp_path / "two"), losses(tmp_path / "one")
    assert ours["validation_loss"][-1] < 0.9 * ours["validation_loss"][0]
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=2e-3)
    name = "adapter/adapter_model.safetensors"
    shards, plain = load_file(tmp_path / "two" / name), load_file(tmp_path / "one" / name)
    assert shards.keys() == plain.keys()
    assert all(shards[key].shape == plain[key].shape for key in plain)
    saved = torch.load(tmp_path / "two" / STATE, weights_only=True)
    largest = max(float((saved["trained"][key] - value).abs().max()) for key, value in
                  torch.load(tmp_path / "one" / STATE, weights_only=True)["trained"].items())  # fmt: skip
    assert largest < 2e-3, largest


def kill_after_the_first_save(running: subprocess.Popen[str], out: Path) -> int:
    """SIGKILL to torchrun and its two workers, which have sessions of their own; the step of the state that is left."""
    deadline = time.monotonic() + 200
    while not (out / STATE).exists():
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    workers = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    for pid in (running.pid, *map(int, workers)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    running.communicate()
    return int(torch.load(out / STATE, weights_only=True)["step"])


@pytest.mark.timeout(900)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds torchrun's workers in /proc")
def test_a_killed_run_of_two_goes_on_in_one_and_the_other_way_round(base: Path, data: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"steps": 30, "save_every": 2, "projector": False, "evaluate_every": 10}
    for _ in range(5):  # on a busy machine it may end before the signal comes
        shutil.rmtree(tmp_path / "killed", ignore_errors=True)
        step = kill_after_the_first_save(two(base, data, tmp_path / "killed", **changes), tmp_path / "killed")
        if step < 30:
            break
    assert 0 < step < 30
    one(base, data, tmp_path / "killed", **changes)
    one(base, data, tmp_path / "whole", **changes)
    ours, theirs = losses(tmp_path / "killed"), losses(tmp_path / "whole")
    np.testing.assert_allclose(ours["validation_loss"], theirs["validation_loss"], rtol=5e-3, atol=1e-4)
    # The finished state of one process is taken up by two, which find nothing left to do.
    running = two(base, data, tmp_path / "killed", **changes)
    output, errors = running.communicate(timeout=280)
    assert running.returncode == 0 and "going on from step 30 of 30" in output, output + errors[-3000:]
    assert (tmp_path / "killed" / BEST).is_file()


def test_codes_that_are_sharded_are_parameters_as_every_pytorch_takes_them() -> None:
    """Before 2.13 FSDP takes none but floating ones; their bits and what they stand for stay."""
    layer = NF4Linear.from_linear(torch.nn.Linear(128, 24, bias=False))
    dense, bits = layer.dequantized(torch.float32), layer.qweight.clone()
    codes_as_parameters(torch.nn.Sequential(layer))
    parameters = dict(layer.named_parameters())
    assert set(parameters) == {"qweight", "scale_codes"} and all(p.is_floating_point() for p in parameters.values())
    assert torch.equal(layer.qweight.view(torch.uint8), bits) and torch.equal(layer.dequantized(torch.float32), dense)


def test_every_row_counts_once_and_all_make_as_many_passes() -> None:
    rows, _, _ = tiny_examples()
    for count in (1, 2, 3, 7, 20):
        shares = [LengthMicroBatching(ProcessGroup(rank, 3), 60).split(rows[:count]) for rank in range(3)]
        assert len({len(share) for share in shares}) == 1
        counted = [id(row) for share in shares for part, counts in share for row in part if counts]
        assert sorted(counted) == sorted(id(row) for row in rows[:count])
