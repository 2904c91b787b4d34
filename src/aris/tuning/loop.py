"""The training loop: one device or several, bf16 autocast over frozen weights, float32 for the trained ones.

A step's examples and randomness depend on the seed and the step's number alone, so a run that was killed and resumed
takes the same steps as an unbroken one.
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
from aris.memory_errors import is_out_of_memory
from aris.model import MedGemma
from aris.prompting import Tokenizer
from aris.tuning.checkpointing import Curve, copy_into, load_state, save_state
from aris.tuning.data.collate import StaticBatch, image_indices, static_batch
from aris.tuning.data.examples import TokenizedExample
from aris.tuning.data.mixture import Mixture, step_generator, step_seed
from aris.tuning.deterministic import deterministic_kernels, fingerprint
from aris.tuning.distributed import (
    ProcessGroup,
    clip_gradients,
    full_optimizer_state,
    full_tensor,
    load_optimizer,
    silent,
)
from aris.tuning.evaluation.answering import AnswerMetrics
from aris.tuning.evaluation.curves import draw_curves
from aris.tuning.layers.offload import HostStore
from aris.tuning.metrics import METRICS, is_better
from aris.tuning.objectives import AnswerObjective, Objective
from aris.tuning.recipe import Recipe
from aris.tuning.schedule import warmup_cosine
from aris.tuning.steps.forward import ForwardPass, TrainingImages
from aris.tuning.steps.graphs import GraphedSteps, static_loss
from aris.tuning.steps.microbatches import LengthMicroBatching, MicroBatching, round_up
from aris.tuning.trainable import make_optimizer

LOG_EVERY = 20
STATE, BEST, CURVE, PLOT = "state.pt", "best.safetensors", "curve.jsonl", "curve.png"


@dataclass(frozen=True)
class Result:
    """The end of a run: the model holds the weights of `best_step`.

    Attributes:
        best_loss: their validation loss.
        measure: the measure that they are the best by, as the recipe's `best` names it.
        best_value, first_value: of that measure, for those weights and before the first step.
    """

    best_step: int
    best_loss: float
    measure: str = "loss"
    best_value: float = math.nan
    first_value: float = math.nan


class Loop:
    """The training of the parameters that `trainable.prepare` returned, by a recipe.

    Args:
        trained: float32 parameters of `model` by name.
        train, validation: examples; the caller has called `check_groups`.
        images: None if no example has one.
        out: folder for the curve, the state to resume from, and the best weights.
        log: prints a line of progress.
        process_group: model and parameters are as `distributed.shard` leaves them.
        tokenizer: needed for metrics of the recipe that read answers.
        follow: receives every line of the curve, such as `tensorboard.Board.add`.
        inputs: digest of the base and the images (`deterministic.inputs_of`); a state with another is not resumed.
        objective: the loss; by default the one of answers.
        graph_microbatching: splits the steps that are recorded as CUDA graphs; by default, and in all other steps,
            micro-batches are of like length.

    Raises:
        DataError: the examples do not fit the recipe.
    """

    def __init__(
        self,
        model: MedGemma,
        trained: dict[str, Tensor],
        recipe: Recipe,
        train: Sequence[TokenizedExample],
        validation: Sequence[TokenizedExample],
        images: TrainingImages | None,
        out: Path,
        log: Callable[[str], None] = lambda line: print(line, flush=True),
        process_group: ProcessGroup | None = None,
        tokenizer: Tokenizer | None = None,
        follow: Callable[[dict[str, Any]], None] | None = None,
        inputs: str = "",
        objective: Objective | None = None,
        graph_microbatching: MicroBatching | None = None,
    ) -> None:
        self.process_group = process_group or ProcessGroup()
        self.log = log if self.process_group.is_main else silent
        self.model, self.trained, self.out = model, trained, out
        self.recipe = recipe = recipe.with_metrics_of_each_task()
        self.mixture = Mixture(train, recipe.mixture, frozenset(recipe.balanced))
        self.validation = in_mixture(validation, recipe)
        held = 0 if images is None else len(images)
        if any(image >= held for each in [*train, *self.validation] for image in each.all_images()):
            raise DataError(f"rows: they point past the {held} images given; build rows and images together")
        self.follow, self.inputs = follow, inputs
        self.answer_metrics = self._answer_metrics(train, tokenizer)
        self.fingerprint = fingerprint(recipe, train, self.validation)
        self.optimizer = make_optimizer(trained, recipe, sharded=self.process_group.sharded)
        train_tower = any(name.startswith("vision_tower.") for name in trained)
        if train_tower and images is not None and images.cached is not None:
            raise DataError("training: the tower is trained, so its features cannot be cached; set cache_tower: false")
        self.forward = ForwardPass(model, images, recipe.precision, train_tower, recipe.packing)
        self.objective = objective or AnswerObjective()
        self._offload_activations()
        self.graphs = None
        recordable = self.objective.recordable and model.device.type == "cuda" and not self.process_group.sharded
        if recordable and recipe.graphs and isinstance(model.language_model.head, nn.Embedding):
            self.graphs = GraphedSteps(trained, self._static_loss, self.log)
        by_length = LengthMicroBatching(self.process_group, recipe.max_tokens_per_microbatch, recipe.packing)
        self.microbatching: MicroBatching = by_length if self.graphs is None else graph_microbatching or by_length
        self.step, self.best_step, self.best_loss = 0, -1, math.inf
        self.best_value = self.first_value = math.nan
        self.saved_step = -1  # that of the state on the disk
        self.window: list[float] = []
        self.tokens = 0  # seen since the process began

    def run(self) -> Result:
        """Train to the last step as `_run` does, and end with one clear line where memory or the disk is full.

        Raises:
            DataError: as `_run`, or memory or the disk is full; the last saved state and the best weights are whole.
        """
        try:
            return self._run()
        except KeyboardInterrupt:
            self.log(f"stopped at step {self.step}. {self._remains()}")
            raise
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise DataError(
                f"training: out of memory at step {self.step}; lower max_tokens_per_microbatch, set "
                f"checkpointing: true, offload_activations: true or method: qlora. {self._remains()}"
            ) from None
        except OSError as error:
            if not is_full_disk(error):
                raise
            raise DataError(
                f"training: the disk is full at step {self.step}; make room in {self.out} and start the same command "
                f"again. {self._remains()}"
            ) from None

    def _remains(self) -> str:
        """Describe the files that a run that ends early leaves on the disk."""
        if self.best_step < 0:
            return "Nothing was saved yet"
        best = f"The best weights, of step {self.best_step}, are in {self.out / BEST}"
        return best if self.saved_step < 0 else f"{best}; the same command goes on from step {self.saved_step}"

    def _run(self) -> Result:
        """Train to the last step, resuming from the folder's state if there is one; the model gets the best weights.

        Raises:
            DataError: the loss or its gradient is not a number (the weights are not touched by that step, and the
                best ones stay on disk), or the folder's state is of another run.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        self._resume()
        self.process_group.barrier()
        curve = Curve(self.out / CURVE, self.step) if self.process_group.is_main else None
        recipe, started, first = self.recipe, time.perf_counter(), self.step
        with deterministic_kernels():
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
            self.log(f"no better {measure} since step {self.best_step}: ended at step {self.step}")
        self.process_group.barrier()
        self.load_best_weights()
        if self.process_group.is_main:
            draw_curves(Curve.read(self.out / CURVE), self.out / PLOT)
        return Result(self.best_step, self.best_loss, self.recipe.best, self.best_value, self.first_value)

    def load_best_weights(self) -> None:
        """Put the best weights so far, which are on the disk, into the model.

        Raises:
            DataError: they are of another model.
        """
        best = safetensors.torch.load_file(self.out / BEST, device=str(self.model.device))
        copy_into(self.trained, best, self.out / BEST)

    @torch.no_grad()
    def evaluate(self) -> dict[str, dict[str, float]]:
        """Measure the validation examples by task: the objective's measures and the recipe's metrics."""
        found = self.objective.evaluate(self.forward, self.validation, self.recipe, self.process_group)
        if self.answer_metrics is not None:
            for task, values in self.answer_metrics.measure(self.forward, self.process_group).items():
                found[task] |= values
        return found

    def _stale(self) -> bool:
        """Return whether the recipe's patience is spent; only an evaluation changes that."""
        recipe = self.recipe
        return recipe.patience > 0 and self.step - self.best_step >= recipe.patience * recipe.evaluate_every

    def _train_step(self) -> float:
        """Take one optimizer step; return the loss before it."""
        recipe, device = self.recipe, self.model.device
        examples = self.mixture.draw(recipe.batch_size, step_generator(recipe.seed, self.step))
        own_seed = step_seed(recipe.seed, self.step) + self.process_group.rank * 7_368_787
        generator = torch.Generator(device=device).manual_seed(own_seed)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * warmup_cosine(self.step, recipe.steps, recipe.warmup_steps)
        if self.graphs is None:
            self.optimizer.zero_grad(set_to_none=True)
        else:
            self.graphs.zero()
        weight = sum(each.weight for each in examples)
        self.tokens += sum(len(each.token_ids) for each in examples)
        total = torch.zeros((), device=device)
        for chosen, counts in self.microbatching.split(examples):
            if self.graphs is not None:
                total += self.graphs.add(self._static_batch(chosen, weight, generator))
                continue
            weights = torch.tensor([each.weight * counts for each in chosen], dtype=torch.float32, device=device)
            loss = (self.objective.losses(self.forward, chosen, generator) * weights).sum() / weight
            loss.backward()
            total += loss.detach()
        flat = None if self.graphs is None else self.graphs.flat
        norm = clip_gradients(self.trained, recipe.clip_norm, self.process_group, flat)
        self.process_group.all_reduce(total)
        value, size = torch.stack([total, norm]).tolist()
        if not (math.isfinite(value) and math.isfinite(size)):
            raise DataError(
                f"training: the {'gradient' if math.isfinite(value) else 'loss'} is not a number at step {self.step}; "
                f"lower the learning rate and give another --out. {self._remains()}"
            )
        self.optimizer.step()
        return value

    def _static_batch(
        self, examples: Sequence[TokenizedExample], weight: float, generator: torch.Generator
    ) -> StaticBatch:
        with self.forward.autocast():
            pixels = self.forward.pixels(image_indices(examples), generator)
        return static_batch(
            examples,
            weight,
            lambda tokens, answers: self.microbatching.shape(examples, tokens, answers),
            packed=self.microbatching.packed,
            image_token=self.model.config.image_token_index,
            pixels=pixels,
        )

    def _static_loss(self, batch: StaticBatch) -> Tensor:
        with self.forward.autocast():
            return static_loss(self.model, batch, train_tower=self.forward.train_tower)

    def _offload_activations(self) -> None:
        """Keep the layers' inputs in the computer's memory, if the recipe says so."""
        if not self.recipe.offload_activations:
            return
        if self.model.device.type != "cuda":
            self.log("offload_activations: nothing to do on a CPU: activations are in the computer's memory already")
            return
        decoder = self.model.language_model
        tokens = round_up(self.recipe.max_tokens_per_microbatch)
        HostStore(decoder, tokens * decoder.config.hidden_size * self.model.dtype.itemsize)

    def _evaluate(self, curve: Curve | None) -> None:
        """Measure, log, and keep the weights if they are the best by the recipe's measure."""
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
            weights = {name: full_tensor(parameter).cpu().contiguous() for name, parameter in self.trained.items()}
            if self.process_group.is_main:
                data = safetensors.torch.save(weights, {"step": str(self.step)})
                write_whole(self.out / BEST, lambda file: file.write(data))

    def _over_tasks(self, tasks: dict[str, dict[str, float]], measure: str, task: str = "") -> float:
        """Average a measure over the tasks that have it, by their shares, or return that of one task."""
        shares = {each: self.recipe.mixture[each] for each in tasks if measure in tasks[each] and task in ("", each)}
        return sum(tasks[each][measure] * share for each, share in shares.items()) / sum(shares.values())

    def _answer_metrics(self, train: Sequence[TokenizedExample], tokenizer: Tokenizer | None) -> AnswerMetrics | None:
        """Prepare the recipe's metrics, if any of them reads answers.

        Raises:
            DataError: a task of the metrics has no validation example, or its examples do not fit them.
        """
        recipe = self.recipe
        require_tasks(self.validation, recipe)
        if all(METRICS[name].needs == "loss" for names in recipe.metrics.values() for name in names):
            return None
        if tokenizer is None:
            raise DataError("training: metrics that read answers need the model's tokenizer")
        return AnswerMetrics(recipe, train, self.validation, tokenizer)

    def _log(self, curve: Curve | None, entry: dict[str, Any]) -> None:
        if curve is not None:
            curve.add(entry)
            if self.follow is not None:
                self.follow(entry)
        self.log(json.dumps(entry))

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
            "trained": {name: full_tensor(parameter) for name, parameter in self.trained.items()},
            "optimizer": full_optimizer_state(self.optimizer.state_dict()),
        }
        if self.process_group.is_main:
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
        self.log(f"going on from step {self.step} of {self.recipe.steps}")


def in_mixture(validation: Sequence[TokenizedExample], recipe: Recipe) -> list[TokenizedExample]:
    """Return the validation examples of the mixture's tasks.

    Raises:
        DataError: there is none.
    """
    held = [each for each in validation if each.task in recipe.mixture]
    if not held:
        raise DataError("rows: no validation row of any task in the mixture; the best weights could not be told")
    return held


def require_tasks(validation: Sequence[TokenizedExample], recipe: Recipe) -> None:
    """Raise `DataError` if a task that the recipe measures, or chooses the best by, has no validation example."""
    wanted = {recipe.best_measure[1]} - {""} | set(recipe.metrics)
    if missing := wanted - {each.task for each in validation}:
        raise DataError(f"rows: no validation row of the task {min(missing)!r}, which metrics or best name")
