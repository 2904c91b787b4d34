"""The training loop: one device or several, bf16 autocast over frozen weights, float32 for what is trained.

What a step sees depends on the seed and the step's number alone, so a run that was killed and gone on with takes the
same steps as one that was not.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from aris.checkpoints.writing import write_whole
from aris.errors import DataError, is_full_disk
from aris.model import MedGemma
from aris.prompting import Tokenizer
from aris.tuning.checkpointing import Curve, copy_into, load_state, save_state
from aris.tuning.data.collate import Mixture, collate
from aris.tuning.data.rows import TokenRow
from aris.tuning.data.tower_cache import TowerCache
from aris.tuning.deterministic import fingerprint, repeatable
from aris.tuning.distributed import Team, clip, load_optimizer, silent, whole, whole_state
from aris.tuning.endings import is_out_of_memory
from aris.tuning.evaluation.answering import Examination
from aris.tuning.evaluation.curves import draw_curves
from aris.tuning.evaluation.losses import measure_losses
from aris.tuning.evaluation.metrics import METRICS, is_better
from aris.tuning.layers.offload import HostStore
from aris.tuning.recipe import Recipe
from aris.tuning.schedule import warmup_cosine
from aris.tuning.steps.graphs import GraphedSteps, StaticBatch, roomy, static_batch, static_loss
from aris.tuning.trainable import answer_losses, make_optimizer, row_means

LOG_EVERY = 20
STATE, BEST, CURVE, PICTURE = "state.pt", "best.safetensors", "curve.jsonl", "curve.png"

Augment = Callable[[Tensor, torch.Generator], Tensor]
View = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Pictures:
    """The images of the rows, and how the tower sees them.

    Attributes:
        bank: (N, H, W) or (N, H, W, 3) uint8, on the model's device or the CPU.
        augment: films of the bank and a generator on the model's device to pixels (B, 3, S, S) float in -1..1.
        view: the same without chance, as at inference; for validation.
        cached: pictures by index to what a frozen tower makes of them, in place of all that (`tower_cache.py`).
    """

    bank: Tensor
    augment: Augment
    view: View
    cached: TowerCache | None = None

    def __len__(self) -> int:
        return len(self.bank) if self.cached is None else len(self.cached)


@dataclass(frozen=True)
class Result:
    """What a run ended with: the model holds the weights of `best_step`.

    Attributes:
        best_loss: their validation loss.
        measure: what they are the best by, as the recipe's `best` says.
        best_value, first_value: of it, of those weights and before the first step.
    """

    best_step: int
    best_loss: float
    measure: str = "loss"
    best_value: float = math.nan
    first_value: float = math.nan


class Loop:
    """Trains the parameters that `trainable.prepare` gave, by a recipe.

    Args:
        trained: float32 parameters of `model` by name.
        train, validation: rows; `check_groups` is the caller's.
        pictures: None if no row has one.
        out: folder for the curve, the state to go on from, and the best weights.
        say: prints a line of progress.
        team: the processes that share the run; model and parameters are as `distributed.shard` leaves them.
        tokenizer: needed for metrics of the recipe that read answers.
        follow: receives every line of the curve, such as `tensorboard.Board.add`.
        inputs: of the base and the images (`repeatable.inputs_of`); a state of other ones is not gone on with.

    Raises:
        DataError: the rows do not fit the recipe.
    """

    def __init__(
        self,
        model: MedGemma,
        trained: dict[str, Tensor],
        recipe: Recipe,
        train: Sequence[TokenRow],
        validation: Sequence[TokenRow],
        pictures: Pictures | None,
        out: Path,
        say: Callable[[str], None] = lambda line: print(line, flush=True),
        team: Team | None = None,
        tokenizer: Tokenizer | None = None,
        follow: Callable[[dict[str, Any]], None] | None = None,
        inputs: str = "",
    ) -> None:
        self.team = team or Team()
        if not self.team.leads:
            say = silent
        recipe = recipe.with_metrics_of_each_task()
        self.model, self.trained, self.recipe, self.pictures, self.out, self.say = (
            model, trained, recipe, pictures, out, say
        )  # fmt: skip
        self.mixture = Mixture(train, recipe.mixture, frozenset(recipe.balanced))
        self.validation = in_mixture(validation, recipe)
        held = 0 if pictures is None else len(pictures)
        if any(picture >= held for row in [*train, *self.validation] for picture in row.all_pictures()):
            raise DataError(f"rows: they point past the {held} pictures given; build rows and pictures together")
        self.follow, self.inputs = follow, inputs
        self.examination = self._examination(train, tokenizer)
        self.fingerprint = fingerprint(recipe, train, self.validation)
        self.optimizer = make_optimizer(trained, recipe, sharded=self.team.sharded)
        self.train_tower = any(name.startswith("vision_tower.") for name in trained)
        if self.train_tower and pictures is not None and pictures.cached is not None:
            raise DataError("training: the tower is trained, so its features cannot be cached; set cache_tower: false")
        if recipe.offload_activations and model.device.type == "cuda":
            decoder = model.language_model
            place = roomy(recipe.most_tokens) * decoder.config.hidden_size * model.dtype.itemsize
            HostStore(decoder, place)
        elif recipe.offload_activations:
            say("offload_activations: nothing to do on a CPU, where activations are in the computer's memory already")
        self.graphs = None
        head = model.language_model.head
        plain = type(self)._row_losses is Loop._row_losses
        recordable = plain and model.device.type == "cuda" and not self.team.sharded
        if recordable and recipe.graphs and isinstance(head, nn.Embedding):
            self.graphs = GraphedSteps(trained, self._static_loss, say)
        self.step, self.best_step, self.best_loss = 0, -1, math.inf
        self.best_value = self.first_value = math.nan
        self.saved_step = -1  # that of the state on the disk
        self.window: list[float] = []
        self.tokens = 0  # seen since the process began

    def run(self) -> Result:
        """Train to the last step as `_run` says, and end with one clear line where memory or the disk is full.

        Raises:
            DataError: as `_run`, or memory or the disk is full; the last saved state and the best weights are whole.
        """
        try:
            return self._run()
        except KeyboardInterrupt:
            self.say(f"stopped at step {self.step}. {self._left()}")
            raise
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise DataError(
                f"training: out of memory at step {self.step}; lower most_tokens, set checkpointing: true, "
                f"offload_activations: true or method: qlora. {self._left()}"
            ) from None
        except OSError as error:
            if not is_full_disk(error):
                raise
            raise DataError(
                f"training: the disk is full at step {self.step}; make room in {self.out} and start the same command "
                f"again. {self._left()}"
            ) from None

    def _left(self) -> str:
        """What a run that ends early leaves on the disk."""
        if self.best_step < 0:
            return "Nothing was saved yet"
        best = f"The best weights, of step {self.best_step}, are in {self.out / BEST}"
        return best if self.saved_step < 0 else f"{best}; the same command goes on from step {self.saved_step}"

    def _run(self) -> Result:
        """Train to the last step, going on from the folder's state if there is one; leave the best weights in.

        Raises:
            DataError: the loss or its gradient is not a number (the weights are not touched by that step, and the
                best ones stay on disk), or the folder's state is of another run.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        self._resume()
        self.team.wait()
        curve = Curve(self.out / CURVE, self.step) if self.team.leads else None
        recipe, started, first = self.recipe, time.perf_counter(), self.step
        with repeatable():
            if self.step == 0:
                self._evaluate(curve)
            while self.step < recipe.steps and not self._stale():
                self.window.append(self._train_step())
                self.step += 1
                last = self.step == recipe.steps
                if self.step % LOG_EVERY == 0 or last:
                    passed = time.perf_counter() - started
                    speed = (self.step - first) / passed
                    mean = sum(self.window) / len(self.window)
                    self.window = []
                    entry = {"step": self.step, "loss": round(mean, 5), "steps_per_s": round(speed, 2)}
                    entry["tokens_per_s"] = round(self.tokens / passed)
                    entry["eta_s"] = round((recipe.steps - self.step) / speed)
                    if self.model.device.type == "cuda":
                        entry["peak_gib"] = round(torch.cuda.max_memory_allocated(self.model.device) / 2**30, 2)
                    self._log(curve, entry)
                if self.step % recipe.evaluate_every == 0 or last:
                    self._evaluate(curve)
                if self.step % recipe.save_every == 0 or last or self._stale():
                    self._save()
        if self._stale():
            measure = "validation loss" if self.recipe.best == "loss" else self.recipe.best
            self.say(f"no better {measure} since step {self.best_step}: ended at step {self.step}")
        self.team.wait()
        self.take_best()
        if self.team.leads:
            draw_curves(Curve.read(self.out / CURVE), self.out / PICTURE)
        return Result(self.best_step, self.best_loss, self.recipe.best, self.best_value, self.first_value)

    def take_best(self) -> None:
        """Put the best weights so far, which are on the disk, into the model.

        Raises:
            DataError: they are of another model.
        """
        best = safetensors.torch.load_file(self.out / BEST, device=str(self.model.device))
        copy_into(self.trained, best, self.out / BEST)

    @torch.no_grad()
    def evaluate(self) -> dict[str, dict[str, float]]:
        """By task: loss, exact and rows, as `measure_losses` has them, and the recipe's metrics."""

        def pixels(chosen: Tensor) -> Tensor | None:
            return self._pixels(chosen, None)

        found = measure_losses(self.model, self.validation, self.recipe, pixels, self._autocast, self.team)
        if self.examination is not None:
            measured = self.examination.measure(self.model, pixels, self._autocast, self.team)
            for task, values in measured.items():
                found[task] |= values
        return found

    def _stale(self) -> bool:
        """Whether the recipe's patience is spent; only an evaluation changes that."""
        recipe = self.recipe
        return recipe.patience > 0 and self.step - self.best_step >= recipe.patience * recipe.evaluate_every

    def _train_step(self) -> float:
        """One optimizer step; returns the loss before it."""
        recipe, device = self.recipe, self.model.device
        seed = recipe.seed * 1_000_003 + self.step
        rows = self.mixture.draw(recipe.rows_per_step, torch.Generator().manual_seed(seed))
        on_device = torch.Generator(device=device).manual_seed(seed + self.team.rank * 7_368_787)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * warmup_cosine(self.step, recipe.steps, recipe.warmup_steps)
        if self.graphs is None:
            self.optimizer.zero_grad(set_to_none=True)
        else:
            self.graphs.zero()
        weight = sum(row.weight for row in rows)
        self.tokens += sum(len(row.token_ids) for row in rows)
        total = torch.zeros((), device=device)
        for chosen, counts in self._parts(rows):
            if self.graphs is not None:
                total += self.graphs.add(self._static(chosen, weight, on_device))
                continue
            weights = torch.tensor([row.weight * counts for row in chosen], dtype=torch.float32, device=device)
            loss = (self._row_losses(chosen, on_device) * weights).sum() / weight
            loss.backward()
            total += loss.detach()
        flat = None if self.graphs is None else self.graphs.flat
        norm = clip(self.trained, recipe.clip_norm, self.team, flat)
        self.team.total(total)
        value, size = torch.stack([total, norm]).tolist()
        if not (math.isfinite(value) and math.isfinite(size)):
            raise DataError(
                f"training: the {'gradient' if math.isfinite(value) else 'loss'} is not a number at step {self.step}; "
                f"lower the learning rate and give another --out. {self._left()}"
            )
        self.optimizer.step()
        return value

    def _parts(self, rows: Sequence[TokenRow]) -> list[tuple[list[TokenRow], bool]]:
        """How a step's rows are cut, and whether each part counts."""
        return self.team.shares(rows, self.recipe.most_tokens)

    def _static(self, rows: Sequence[TokenRow], weight: float, generator: torch.Generator) -> StaticBatch:
        chosen = torch.tensor([picture for row in rows for picture in row.all_pictures()], dtype=torch.int64)
        with self._autocast():
            pixels = self._pixels(chosen, generator)
        return static_batch(
            rows, weight, packed=self.recipe.packing, image_token=self.model.config.image_token_index, pixels=pixels
        )

    def _static_loss(self, batch: StaticBatch) -> Tensor:
        with self._autocast():
            return static_loss(self.model, batch, train_tower=self.train_tower)

    def _row_losses(self, rows: Sequence[TokenRow], generator: torch.Generator) -> Tensor:
        """What a step lowers, for each row (R,) float32."""
        batch = collate(rows, packed=self.recipe.packing).to(self.model.device)
        with self._autocast():
            pixels = self._pixels(batch.pictures, generator)
            losses, _ = answer_losses(self.model, batch, pixels, train_tower=self.train_tower)
        return row_means(losses, batch)

    def _pixels(self, chosen: Tensor, generator: torch.Generator | None) -> Tensor | None:
        if not len(chosen):
            return None
        assert self.pictures is not None
        if self.pictures.cached is not None:
            return self.pictures.cached(chosen)
        films = self.pictures.bank[chosen.to(self.pictures.bank.device)]
        return self.pictures.view(films) if generator is None else self.pictures.augment(films, generator)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16")

    def _evaluate(self, curve: Curve | None) -> None:
        """Measure, log, and keep the weights if they are the best by what the recipe names."""
        tasks = self.evaluate()
        loss, value = self._over_tasks(tasks, "loss"), self._over_tasks(tasks, *self.recipe.best_measure)
        if self.step == 0:
            self.first_value = value
        if self.step == 0 and not math.isfinite(loss):
            raise DataError(
                "training: the validation loss is not a number before the first step; the model or a validation row is "
                "broken (with precision: bf16, try fp32)"
            )
        entry: dict[str, Any] = {"step": self.step, "validation_loss": round(loss, 5), "validation": tasks}
        if self.recipe.best != "loss":
            entry["best_by"] = {self.recipe.best: round(value, 5) if math.isfinite(value) else None}
        self._log(curve, entry)
        if self.best_step < 0 or is_better(self.recipe.best_measure[0], value, self.best_value):
            self.best_step, self.best_loss, self.best_value = self.step, loss, value
            weights = {name: whole(parameter).cpu().contiguous() for name, parameter in self.trained.items()}
            if self.team.leads:
                data = safetensors.torch.save(weights, {"step": str(self.step)})
                write_whole(self.out / BEST, lambda file: file.write(data))

    def _over_tasks(self, tasks: dict[str, dict[str, float]], measure: str, task: str = "") -> float:
        """A measure's mean over the tasks that have it by their shares, or of one task."""
        shares = {each: self.recipe.mixture[each] for each in tasks if measure in tasks[each] and task in ("", each)}
        return sum(tasks[each][measure] * share for each, share in shares.items()) / sum(shares.values())

    def _examination(self, train: Sequence[TokenRow], tokenizer: Tokenizer | None) -> Examination | None:
        """What is to be answered for the recipe's metrics.

        Raises:
            DataError: a task of the metrics has no validation row, or its rows do not fit them.
        """
        recipe = self.recipe
        require_tasks(self.validation, recipe)
        if all(METRICS[name].needs == "loss" for names in recipe.metrics.values() for name in names):
            return None
        if tokenizer is None:
            raise DataError("training: metrics that read answers need the model's tokenizer")
        return Examination(recipe, train, self.validation, tokenizer)

    def _log(self, curve: Curve | None, entry: dict[str, Any]) -> None:
        if curve is not None:
            curve.add(entry)
            if self.follow is not None:
                self.follow(entry)
        self.say(json.dumps(entry))

    def _save(self) -> None:
        state = {
            "fingerprint": self.fingerprint,
            "inputs": self.inputs,
            "step": self.step,
            "best_step": self.best_step,
            "best_loss": self.best_loss,
            "best_value": self.best_value,
            "first_value": self.first_value,
            "window": self.window,
            "trained": {name: whole(parameter) for name, parameter in self.trained.items()},
            "optimizer": whole_state(self.optimizer.state_dict()),
        }
        if self.team.leads:
            save_state(self.out / STATE, state)
        self.saved_step = self.step

    def _resume(self) -> None:
        path = self.out / STATE
        state = load_state(path, self.fingerprint, self.model.device, self.inputs)
        if state is None:
            return
        copy_into(self.trained, state["trained"], path)
        load_optimizer(self.optimizer, state["optimizer"])
        self.step, self.best_step, self.best_loss = state["step"], state["best_step"], state["best_loss"]
        self.best_value, self.first_value = state["best_value"], state["first_value"]
        self.window, self.saved_step = list(state["window"]), self.step
        self.say(f"going on from step {self.step} of {self.recipe.steps}")


def in_mixture(validation: Sequence[TokenRow], recipe: Recipe) -> list[TokenRow]:
    """The validation rows of the mixture's tasks.

    Raises:
        DataError: there is none.
    """
    held = [row for row in validation if row.task in recipe.mixture]
    if not held:
        raise DataError("rows: no validation row of any task in the mixture; the best weights could not be told")
    return held


def require_tasks(validation: Sequence[TokenRow], recipe: Recipe) -> None:
    """Raise `DataError` if a task that the recipe measures, or chooses the best by, has no validation row."""
    wanted = {recipe.best_measure[1]} - {""} | set(recipe.metrics)
    if missing := wanted - {row.task for row in validation}:
        raise DataError(f"rows: no validation row of the task {min(missing)!r}, which metrics or best name")
