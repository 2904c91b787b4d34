"""`aris tune RECIPE` from a user's rows to an adapter that peft loads, by every method."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tiny_images import dark_and_bright
from typer.testing import CliRunner

import aris
import tiny_checkpoint
from aris.checkpoints import load_model, open_checkpoint
from aris.cli import app
from aris.errors import CheckpointError, DataError, ModelError
from aris.model import MedGemmaConfig
from aris.tuning.base import open_base
from aris.tuning.checkpointing import Curve, sole_run
from aris.tuning.loop import Loop
from aris.tuning.merge import apply_run, merge
from aris.tuning.recipe import Recipe
from aris.tuning.run import find_recipe, tune

SETTINGS = {
    "seed": 1, "steps": 12, "batch_size": 6, "max_tokens_per_microbatch": 400, "max_tokens": 200, "learning_rate": 2e-2,
    "tower_learning_rate": 0, "warmup_steps": 2, "weight_decay": 0.01, "clip_norm": 1.0, "lora_r": 4, "lora_alpha": 8,
    "augment_strength": 0, "evaluate_every": 4, "save_every": 4, "mixture": {}, "precision": "fp32",
    "projector": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint.save(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    lines = []
    for number, bright in dark_and_bright(folder, 24):
        content = [{"type": "image", "path": f"{number}.png"}, {"type": "text", "text": "Bright?"}]
        messages = [{"role": "user", "content": content}, {"role": "assistant", "content": "Yes" if bright else "No"}]
        lines.append(json.dumps({"messages": messages, "group": f"p{number // 2}"}))
    (folder / "rows.jsonl").write_text("\n".join(lines))
    return folder / "rows.jsonl"


def run(base: Path, data: Path, out: Path, **changes: Any) -> list[dict[str, Any]]:
    result = tune(Recipe.from_dict(SETTINGS | changes), str(base), data, out, log=lambda _: None)
    entries = Curve.read(out / "curve.jsonl")
    first = next(entry["validation_loss"] for entry in entries if "validation_loss" in entry)
    assert result.best_loss < first
    return entries


@pytest.mark.parametrize(
    "changes",
    [{}, {"dora": True}, {"rslora": True, "tower_adapters": True}, {"targets": ["q_proj", "*.layers.5.mlp.*"]}],
    ids=["lora", "dora", "rslora-tower", "targets"],
)
def test_the_adapter_loads_in_peft_with_the_same_logits(
    changes: dict[str, Any], base: Path, data: Path, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    run(base, data, tmp_path, **changes)
    assert Image.open(tmp_path / "curve.png").size == (900, 480)
    assert not (tmp_path / "trained.safetensors").exists()
    ours = load_model(open_checkpoint(str(base)), dtype=torch.float32)
    assert apply_run(ours, tmp_path) > 0
    theirs = transformers.Gemma3ForConditionalGeneration.from_pretrained(base, attn_implementation="eager")
    theirs = peft.PeftModel.from_pretrained(theirs, tmp_path / "adapter").eval()
    ids = torch.arange(110, 150)[None]
    with torch.no_grad():
        plain = load_model(open_checkpoint(str(base)), dtype=torch.float32)(ids)
        assert (ours(ids) - plain).abs().max() > 1e-2
        assert (theirs(input_ids=ids).logits - ours(ids)).abs().max() < 1e-3
        pixels = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
        image = ours.config.image_token_index
        ids = torch.tensor([[2, ours.config.boi_token_index, *[image] * 4, ours.config.eoi_token_index, 120, 130]])
        expected = theirs(input_ids=ids, pixel_values=pixels, token_type_ids=(ids == image).long()).logits
        assert (expected - ours(ids, ours.encode_images(pixels))).abs().max() < 1e-3


@pytest.mark.parametrize("changes", [{"method": "full"}, {"projector": True, "tower_learning_rate": 1e-3}])
def test_what_is_merged_loads_in_transformers_with_its_tower(
    changes: dict[str, Any], base: Path, data: Path, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    rate = {"learning_rate": 1e-3} if changes.get("method") == "full" else {}
    run(base, data, tmp_path / "run", **changes, **rate)
    merge(str(base), tmp_path / "run", tmp_path / "merged", dtype=torch.float32)
    theirs, info = transformers.Gemma3ForConditionalGeneration.from_pretrained(
        tmp_path / "merged", attn_implementation="eager", output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]
    ours = load_model(open_checkpoint(str(tmp_path / "merged")), dtype=torch.float32)
    prompt = open_base(str(tmp_path / "merged")).processor
    assert prompt.image_processor is not None
    pixels = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    image = ours.config.image_token_index
    ids = torch.tensor([[2, 110, ours.config.boi_token_index, *[image] * 4, ours.config.eoi_token_index, 120, 130]])
    with torch.no_grad():
        expected = theirs.eval()(input_ids=ids, pixel_values=pixels, token_type_ids=(ids == image).long()).logits
        assert (ours(ids, ours.encode_images(pixels)) - expected).abs().max() < 1e-3
        plain = load_model(open_checkpoint(str(base)), dtype=torch.float32)
        assert (plain(ids, plain.encode_images(pixels)) - expected).abs().max() > 1e-3


def test_8_bit_moments_and_checkpointing_learn_as_the_plain_run_does(base: Path, data: Path, tmp_path: Path) -> None:
    changes = {"optimizer": "adamw8bit", "checkpointing": True}
    whole = run(base, data, tmp_path / "whole", **changes)
    plain = run(base, data, tmp_path / "plain")
    losses = [[e["validation_loss"] for e in entries if "validation_loss" in e] for entries in (whole, plain)]
    np.testing.assert_allclose(losses[0][:2], losses[1][:2], rtol=0.2)


def test_early_stop_ends_the_run(base: Path, data: Path, tmp_path: Path) -> None:
    said: list[str] = []
    recipe = Recipe.from_dict(SETTINGS | {"patience": 1, "learning_rate": 30.0, "steps": 40})
    result = tune(recipe, str(base), data, tmp_path, log=said.append)
    assert any("no better validation loss" in line for line in said)
    again = tune(recipe, str(base), data, tmp_path, log=said.append)
    assert again == result and max(entry["step"] for entry in Curve.read(tmp_path / "curve.jsonl")) < 40


def test_wrong_and_long_rows_end_the_run_before_its_first_step(base: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="over max_tokens 5"):
        run(base, data, tmp_path / "a", max_tokens=5)
    with pytest.raises(DataError, match="augment_strength is for the films of"):
        run(base, data, tmp_path / "a", augment_strength=0.5)
    said: list[str] = []
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{}\n[]\n")
    with pytest.raises(DataError, match="2 rows are wrong"):
        tune(Recipe.from_dict(SETTINGS), str(base), bad, tmp_path / "b", log=said.append)
    assert len(said) == 2 and said[0].startswith(f"{bad}:1: ")
    assert not (tmp_path / "b").exists()


def test_a_test_split_is_not_trained_on(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("train", "validation", "test"):
        rows = [{"messages": [{"role": "user", "content": f"{name} {number}"}, {"role": "assistant", "content": "Yes"}],
                 "group": f"{name} {number}"} for number in range(4)]  # fmt: skip
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    said: list[str] = []
    tune(Recipe.from_dict(SETTINGS | {"steps": 1}), str(base), folder, tmp_path / "run", log=said.append)
    assert said[0].startswith("test.jsonl is left out") and said[1].startswith("4 examples, 4 for validation")


def test_a_state_of_another_base_or_other_images_is_refused(base: Path, data: Path, tmp_path: Path) -> None:
    """Shapes, recipe and rows are the same; to go on would put an adapter on a base that it was not made for."""
    recipe = Recipe.from_dict(SETTINGS | {"steps": 4})
    tune(recipe, str(base), data, tmp_path / "run", log=lambda _: None)
    other = tiny_checkpoint.save(tmp_path / "other", seed=4)
    with pytest.raises(DataError, match="another base model or other images"):
        tune(recipe, str(other), data, tmp_path / "run", log=lambda _: None)
    shutil.copytree(data.parent, tmp_path / "data")
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(tmp_path / "data" / "3.png")
    with pytest.raises(DataError, match="another base model or other images"):
        tune(recipe, str(base), tmp_path / "data" / data.name, tmp_path / "run", log=lambda _: None)
    said: list[str] = []
    tune(recipe, str(base), data, tmp_path / "run", log=said.append)
    assert "going on from step 4 of 4" in said


def test_an_adapter_is_refused_without_what_was_trained_with_it(base: Path, data: Path, tmp_path: Path) -> None:
    run(base, data, tmp_path, projector=True, steps=2, evaluate_every=1)
    adapter = tmp_path / "adapter"
    for put_on in (
        lambda: aris.load(base, adapters={"mine": adapter}),
        lambda: aris.load(base, adapter=adapter),
        lambda: merge(str(base), adapter, tmp_path / "merged"),
    ):
        with pytest.raises(CheckpointError, match=r"trained.safetensors was trained with it.*aris tune merge"):
            put_on()
    merge(str(base), tmp_path, tmp_path / "merged")


def test_a_run_that_is_folded_into_another_base_is_told(base: Path, data: Path, tmp_path: Path) -> None:
    run(base, data, tmp_path / "run", steps=2, evaluate_every=1)
    other = tiny_checkpoint.save(tmp_path / "other", seed=4)
    for model, told in ((base, False), (other, True)):
        command = ["merge", str(tmp_path / "run"), "--model", str(model), "--out", str(tmp_path / f"m{told}")]
        done = CliRunner().invoke(app, ["tune", *command])
        assert done.exit_code == 0 and (f"the run's base was {base}" in " ".join(done.stderr.split())) == told


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks there")
def test_two_runs_do_not_write_one_folder(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aris.tuning.checkpointing.LOCK_WAIT_S", 0.1)
    with sole_run(tmp_path), pytest.raises(DataError, match="another run is at work there"):
        run(base, data, tmp_path)
    assert not (tmp_path / "state.pt").exists()
    run(base, data, tmp_path)  # the lock went with its holder


def test_a_run_leaves_nothing_of_an_earlier_one(base: Path, data: Path, tmp_path: Path) -> None:
    """`merge` would fold it in."""
    run(base, data, tmp_path, projector=True, steps=2, evaluate_every=1)
    assert (tmp_path / "trained.safetensors").is_file()
    (tmp_path / "state.pt").unlink()
    run(base, data, tmp_path, steps=2, evaluate_every=1)
    assert not (tmp_path / "trained.safetensors").exists()
    (tmp_path / "state.pt").unlink()
    run(base, data, tmp_path, method="full", steps=2, evaluate_every=1, learning_rate=1e-3)
    assert not (tmp_path / "adapter" / "adapter_config.json").exists()


def test_rows_that_the_mixture_does_not_name_are_counted(base: Path, data: Path, tmp_path: Path) -> None:
    rows = data.read_text().splitlines()
    rows[:8] = [json.dumps(json.loads(row) | {"task": "other"}) for row in rows[:8]]
    mixed = data.with_name("mixed.jsonl")
    mixed.write_text("\n".join(rows))
    said: list[str] = []
    tune(Recipe.from_dict(SETTINGS | {"steps": 1, "mixture": {"chat": 1.0}}), str(base), mixed, tmp_path,
         log=said.append)  # fmt: skip
    counts = [int(line.split()[0]) for line in said if "does not name other" in line]
    assert sum(counts) == 8


def test_a_run_that_ends_early_leaves_its_best_weights_for_use(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Loop._train_step

    def broken(self: Loop) -> float:
        if self.step == 6:
            with torch.no_grad():
                for value in self.trained.values():
                    value.fill_(float("nan"))
        return step(self)

    monkeypatch.setattr(Loop, "_train_step", broken)
    said: list[str] = []
    with pytest.raises(DataError, match="not a number at step 6"):
        tune(Recipe.from_dict(SETTINGS), str(base), data, tmp_path, log=said.append)
    assert "the best weights, of step 4," in said[-1]
    model = load_model(open_checkpoint(str(base)), dtype=torch.float32)
    assert apply_run(model, tmp_path) > 0
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_what_cannot_be_written_is_one_line(base: Path, data: Path, tmp_path: Path) -> None:
    run(base, data, tmp_path / "run")
    (tmp_path / "file").write_bytes(b"")
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(yaml.safe_dump(SETTINGS | {"steps": 1}))
    before = sorted(tmp_path.rglob("*"))
    for command in (
        *(["merge", tmp_path / "run", "--out", tmp_path / place] for place in ("file", "run", "file/x")),
        *(["export", tmp_path / "run", "--gguf", tmp_path / file] for file in ("none/x.gguf", "run", "file/x.gguf")),
        [recipe, "--data", data, "--out", tmp_path / "file"],
    ):
        done = CliRunner().invoke(app, ["tune", *map(str, command), "--model", str(base)])
        last = done.stderr.splitlines()[-1]
        assert done.exit_code == 1 and last.startswith("error: ") and "defect" not in last, (command, last)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limits are those of Linux")
def test_a_full_disk_leaves_no_half_of_a_model(base: Path, data: Path, tmp_path: Path) -> None:
    """A process that may write no file of more than some kilobytes; what fails is a real write."""
    run(base, data, tmp_path / "run")
    before = sorted(tmp_path.rglob("*"))
    program = (
        "import resource, sys; from typer.testing import CliRunner; from aris.cli import app\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))\n"
        "for line in sys.argv[2:]:\n"
        "    done = CliRunner().invoke(app, ['tune', *line.split(), '--model', sys.argv[1]])\n"
        "    print(done.exit_code, done.stderr.splitlines()[-1])"
    )
    commands = [f"merge {tmp_path}/run --out {tmp_path}/merged", f"export {tmp_path}/run --gguf {tmp_path}/x.gguf"]
    done = subprocess.run([sys.executable, "-c", program, str(base), *commands], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stdout + done.stderr
    assert all(line.startswith("1 error: ") and "the disk is full" in line for line in lines), lines
    assert sorted(tmp_path.rglob("*")) == before


def test_the_command_runs_a_recipe_and_merges(base: Path, data: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(yaml.safe_dump(SETTINGS | {"steps": 2}))
    common = ["--model", str(base), "--out"]
    result = CliRunner().invoke(app, ["tune", str(recipe), "--data", str(data), *common, str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(app, ["tune", "merge", str(tmp_path / "run"), *common, str(tmp_path / "merged")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "merged" / "config.json").is_file()
    result = CliRunner().invoke(app, ["tune", "nosuch", "--data", str(data), *common, str(tmp_path / "x")])
    assert result.exit_code == 1 and "histopathology" in result.output


@pytest.mark.parametrize("name", ["nano", "nano_answers", "histopathology", "chest", "records", "corrections"])
def test_the_recipes_of_the_package_can_be_read(name: str) -> None:
    assert Recipe.from_file(find_recipe(name)).steps > 0


def test_a_width_that_nf4_cannot_group_is_refused(base: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="use the method lora"):
        run(base, data, tmp_path, method="qlora")


def test_a_qlora_run_learns_and_its_adapter_goes_on_the_dense_base(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = tiny_checkpoint.config

    def wide(*args: Any) -> MedGemmaConfig:
        config = plain(*args)
        text = dataclasses.replace(config.text, hidden_size=64, intermediate_size=128, head_dim=32)
        return dataclasses.replace(config, text=text)

    monkeypatch.setattr(tiny_checkpoint, "config", wide)
    base = tiny_checkpoint.save(tmp_path / "base")
    run(base, data, tmp_path / "run", method="qlora", learning_rate=1e-2, steps=20)
    model = load_model(open_checkpoint(str(base)), dtype=torch.float32)
    assert apply_run(model, tmp_path / "run") == 42
