"""The loop learns, repeats by seed, survives a kill, keeps its best weights, and stops at what is not a number."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tiny_training import IMAGE, noisy, plain, tiny_examples, tiny_loop, tiny_model, tiny_recipe

from aris.checkpoints.writing import write_whole
from aris.errors import DataError
from aris.tuning.checkpointing import Curve
from aris.tuning.data.collate import collate
from aris.tuning.data.examples import TokenizedExample
from aris.tuning.loop import BEST, CURVE, STATE, Loop
from aris.tuning.schedule import FLOOR, warmup_cosine
from aris.tuning.steps.forward import TrainingImages
from aris.tuning.trainable import answer_losses, example_means, parameter_groups, prepare

pytestmark = pytest.mark.filterwarnings("ignore:.*deterministic")


def curve_of(folder: Path) -> list[dict[str, Any]]:
    """The curve without its times."""
    times = ("steps_per_s", "tokens_per_s", "eta_s")
    return [{k: v for k, v in line.items() if k not in times} for line in Curve.read(folder / CURVE)]


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / STATE, weights_only=True)["trained"]
    return state


def assert_same_run(a: Path, b: Path) -> None:
    assert curve_of(a) == curve_of(b)
    ours, theirs = weights_of(a), weights_of(b)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)
    assert (a / BEST).read_bytes() == (b / BEST).read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing broke, in this process."""
    folder = tmp_path_factory.mktemp("whole")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert tiny_loop(folder).run().best_step > 0
    torch.set_num_threads(threads)
    return folder


def test_thirty_steps_learn(whole: Path) -> None:
    curve = [line for line in curve_of(whole) if "validation_loss" in line]
    assert [line["step"] for line in curve] == [0, 10, 20, 30]
    assert curve[-1]["validation_loss"] < 0.5 * curve[0]["validation_loss"]
    assert curve[-1]["validation"]["bright"]["exact"] == 1.0


def test_another_seed_is_another_run(whole: Path, tmp_path: Path) -> None:
    tiny_loop(tmp_path, seed=2, steps=10).run()
    assert curve_of(tmp_path)[1] != curve_of(whole)[1]


def test_a_killed_run_goes_on_as_if_unbroken(whole: Path, tmp_path: Path) -> None:
    """Bit for bit, in another process; so two runs with one seed are equal too."""
    script = Path(__file__).with_name("tiny_training.py")
    command = [sys.executable, str(script), str(tmp_path)]
    with subprocess.Popen([*command, "stall"], stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 200
        # It waits beyond a save by some steps and a log line, so that these are taken and logged again.
        while not any(line["step"] == 20 for line in Curve.read(tmp_path / CURVE)):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert torch.load(tmp_path / STATE, weights_only=True)["step"] == 15
    # What a kill in mid-write leaves: half a line, and a half-written file beside the state.
    with (tmp_path / CURVE).open("a") as file:
        file.write('{"step": 21, "lo')
    (tmp_path / f".{STATE}.new").write_bytes(b"half")
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert_same_run(tmp_path, whole)


def test_a_curve_is_cut_back_to_the_step_that_was_saved(tmp_path: Path) -> None:
    path = tmp_path / CURVE
    path.write_text("".join(f'{{"step": {step}}}\n' for step in (0, 5, 10, 15)) + '{"st')
    Curve(path, 10).add({"step": 15, "again": True})
    assert Curve.read(path) == [{"step": 0}, {"step": 5}, {"step": 10}, {"step": 15, "again": True}]
    Curve(path, 0).add({"step": 1})
    assert Curve.read(path) == [{"step": 1}]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def half(file: Any) -> None:
        file.write(b"new, but")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, half)
    assert path.read_bytes() == b"old"


def test_a_state_of_another_run_is_refused(tmp_path: Path) -> None:
    tiny_loop(tmp_path, steps=5).run()
    with pytest.raises(DataError, match="another recipe"):
        tiny_loop(tmp_path, steps=6).run()
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:2000])
    with pytest.raises(DataError, match="damaged"):
        tiny_loop(tmp_path, steps=5).run()


@pytest.mark.parametrize("save_every", [1, 100])
def test_not_a_number_stops_before_the_weights_are_touched(tmp_path: Path, save_every: int) -> None:
    calls = 0

    def broken(films: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return noisy(films, generator) * (float("nan") if calls > 8 else 1)

    loop = tiny_loop(tmp_path, augment=broken, max_tokens_per_microbatch=1000, save_every=save_every)
    with pytest.raises(DataError, match=r"not a number at step \d.*best weights, of step 0"):
        loop.run()
    assert all(parameter.isfinite().all() for parameter in loop.trained.values())
    best = safetensors.torch.load_file(tmp_path / BEST)
    assert best.keys() == loop.trained.keys() and all(value.isfinite().all() for value in best.values())
    if save_every == 1:
        assert all(value.isfinite().all() for value in weights_of(tmp_path).values())


def test_a_gradient_that_is_not_a_number_stops_too(tmp_path: Path) -> None:
    """A finite loss can have one: the weights would be lost one step before the loss shows it."""
    loop = tiny_loop(tmp_path)
    next(iter(loop.trained.values())).register_hook(lambda grad: grad * float("inf"))
    with pytest.raises(DataError, match="gradient is not a number at step 0"):
        loop.run()
    assert all(parameter.isfinite().all() for parameter in loop.trained.values())


def test_the_best_weights_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Best is the lowest mean of the tasks by their shares, here 2 to 1; neither task alone, and not the last."""
    scripted = {0: (9.0, 9.0), 10: (1.0, 4.0), 20: (1.5, 1.5), 30: (2.0, 1.0)}
    loop = tiny_loop(tmp_path)
    seen = {}

    def evaluate(self: Loop) -> dict[str, dict[str, float]]:
        seen[self.step] = {name: parameter.detach().clone() for name, parameter in self.trained.items()}
        bright, echo = scripted[self.step]
        return {"bright": {"loss": bright}, "echo": {"loss": echo}}

    monkeypatch.setattr(Loop, "evaluate", evaluate)
    result = loop.run()
    assert (result.best_step, result.best_loss) == (20, pytest.approx(1.5))
    assert all(torch.equal(seen[20][name], parameter) for name, parameter in loop.trained.items())
    assert not all(torch.equal(seen[30][name], parameter) for name, parameter in loop.trained.items())


def test_only_what_the_recipe_names_is_trained(tmp_path: Path) -> None:
    loop = tiny_loop(tmp_path, dtype=torch.bfloat16, tower_learning_rate=0.0, precision="bf16", steps=10)
    before = {name: value.clone() for name, value in loop.model.state_dict().items()}
    loop.run()
    for name, value in loop.model.state_dict().items():
        trained = "lora_" in name or name.startswith("multi_modal_projector.")
        assert (name in loop.trained) == trained
        assert torch.equal(before[name], value) != trained, name
        assert value.dtype == (torch.bfloat16 if name.startswith("language_model.") and not trained else torch.float32)
    linear = {name for name, m in loop.model.language_model.named_modules() if isinstance(m, torch.nn.Linear)}
    adapted = {name.split(".lora_")[0].removeprefix("language_model.") for name in loop.trained if "lora_A" in name}
    assert adapted == {name for name in linear if "lora_" not in name} and len(adapted) == 7 * 3


def test_the_tower_learns_at_its_own_rate() -> None:
    recipe = tiny_recipe()
    trained = prepare(tiny_model(), recipe)
    groups = parameter_groups(trained, recipe)
    assert sum(len(group["params"]) for group in groups) == len(trained)
    for group in groups:
        for parameter in group["params"]:
            (name,) = [n for n, p in trained.items() if p is parameter]
            assert group["peak"] == (1e-3 if name.startswith("vision_tower.") else 2e-2)
            assert group["weight_decay"] == (0.01 if parameter.dim() > 1 else 0.0)


def test_losses_are_those_of_whole_logits_row_by_row() -> None:
    """Padding, packing and picking answer positions change nothing: against one row at a time, all logits."""
    model = tiny_model()
    prepare(model, tiny_recipe())
    train, _, bank = tiny_examples()
    ids = [2, 5, *[IMAGE] * 4, 6, 7, 8, 9, *[IMAGE] * 4, 10, 11]
    several = TokenizedExample("several", ids, 7, 0, ((7, 9), (14, 16)), (0, 9))
    rows = [train[0], train[-1], several, train[7], train[12]]
    batch = collate(rows)
    with torch.no_grad():
        losses, right = answer_losses(model, batch, plain(bank[batch.images]))
        means = example_means(losses, batch)
        assert right is not None and right.shape == losses.shape
        for row, mean in zip(rows, means, strict=True):
            ids = torch.tensor([row.token_ids])
            soft = model.encode_images(plain(bank[list(row.all_images())])) if row.all_images() else None
            logits = model(ids, soft)[0].log_softmax(-1)
            wanted = [-logits[at - 1, row.token_ids[at]] for span in row.spans() for at in range(*span)]
            assert mean.item() == pytest.approx(torch.stack(wanted).mean().item(), abs=1e-5)


def test_gradients_do_not_depend_on_how_a_step_is_cut(tmp_path: Path) -> None:
    grads = []
    for limit in (64, 100_000):
        loop = tiny_loop(
            tmp_path / str(limit),
            max_tokens_per_microbatch=limit,
            augment=lambda films, _: plain(films),
            clip_norm=1e9,
        )
        loop._train_step()
        grads.append({name: parameter.grad for name, parameter in loop.trained.items()})
    for name, grad in grads[0].items():
        assert grad is not None and torch.allclose(grad, grads[1][name], atol=1e-5), name


def test_a_row_weight_scales_its_share(tmp_path: Path) -> None:
    rows, validation, bank = tiny_examples()
    weights = [1.0 + index % 5 for index in range(len(rows))]
    rows = [replace(row, weight=weight) for row, weight in zip(rows, weights, strict=True)]
    model, recipe = tiny_model(), tiny_recipe()
    images = TrainingImages(bank, lambda films, _: plain(films), plain)
    loop = Loop(model, prepare(model, recipe), recipe, rows, validation, images, tmp_path, log=lambda _: None)
    drawn = loop.mixture.draw(recipe.batch_size, torch.Generator().manual_seed(recipe.seed * 1_000_003))
    batch = collate(drawn)
    with torch.no_grad():
        means = example_means(answer_losses(model, batch, plain(bank[batch.images]))[0], batch)
    assert loop._train_step() == pytest.approx(((means * batch.weights).sum() / batch.weights.sum()).item(), abs=1e-5)
    assert len({row.weight for row in drawn}) > 2


def test_rows_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    train, validation, bank = tiny_examples()
    model, recipe = tiny_model(), tiny_recipe()
    trained = prepare(model, recipe)
    with pytest.raises(DataError, match="past the 3 images"):
        Loop(model, trained, recipe, train, validation, TrainingImages(bank[:3], noisy, plain), tmp_path)
    with pytest.raises(DataError, match="no validation row"):
        Loop(model, trained, recipe, train, [], TrainingImages(bank, noisy, plain), tmp_path)


def test_the_schedule_rises_then_falls() -> None:
    rates = [warmup_cosine(step, 100, 10) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert rates[-1] == pytest.approx(FLOOR) and rates[54] == pytest.approx((1 + FLOOR) / 2, abs=0.01)
    assert warmup_cosine(0, 1, 0) == pytest.approx(FLOOR) and warmup_cosine(0, 5, 50) == pytest.approx(0.02)
