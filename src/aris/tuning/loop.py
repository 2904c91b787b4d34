"""The training loop: one device, bf16 autocast over frozen weights, float32 for what is trained.

What a step sees depends on the seed and the step's number alone, so a run that was killed and gone on with takes the
same steps as one that was not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import math
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from aris.errors import DataError
from aris.model import MedGemma
from aris.tuning.collate import Batch, Mixture, collate, pack
from aris.tuning.curves import draw_curves
from aris.tuning.recipe import Recipe
from aris.tuning.resume import Curve, copy_into, load_state, save_state, write_whole
from aris.tuning.rows import TokenRow
from aris.tuning.schedule import warmup_cosine
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
    """

    bank: Tensor
    augment: Augment
    view: View


@dataclass(frozen=True)
class Result:
    """What a run ended with: the model holds the weights of `best_step`, whose validation loss is `best_loss`."""

    best_step: int
    best_loss: float


class Loop:
    """Trains the parameters that `trainable.prepare` gave, by a recipe.

    Args:
        trained: float32 parameters of `model` by name.
        train, validation: rows; `check_groups` is the caller's.
        pictures: None if no row has one.
        out: folder for the curve, the state to go on from, and the best weights.
        say: prints a line of progress.

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
    ) -> None:
        self.model, self.trained, self.recipe, self.pictures, self.out, self.say = (
            model, trained, recipe, pictures, out, say
        )  # fmt: skip
        self.mixture = Mixture(train, recipe.mixture, frozenset(recipe.balanced))
        self.validation = [row for row in validation if row.task in recipe.mixture]
        if not self.validation:
            raise DataError("rows: no validation row of any task in the mixture; the best weights could not be told")
        held = 0 if pictures is None else len(pictures.bank)
        if any(picture >= held for row in [*train, *self.validation] for picture in row.all_pictures()):
            raise DataError(f"rows: they point past the {held} pictures given; build rows and pictures together")
        self.fingerprint = _fingerprint(recipe, train, self.validation)
        self.optimizer = make_optimizer(trained, recipe)
        self.train_tower = any(name.startswith("vision_tower.") for name in trained)
        self.step, self.best_step, self.best_loss = 0, -1, math.inf
        self.window: list[float] = []
        self.tokens = 0  # seen since the process began

    def run(self) -> Result:
        """Train to the last step as `_run` says, and end with one clear line where memory or the disk is full.

        Raises:
            DataError: as `_run`, or memory or the disk is full; the last saved state and the best weights are whole.
        """
        try:
            return self._run()
        except (torch.OutOfMemoryError, MemoryError):
            raise DataError(
                f"training: out of memory at step {self.step}; lower most_tokens, set checkpointing: true or method: "
                f"qlora. {self._left()}"
            ) from None
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise DataError(
                f"training: the disk is full at step {self.step}; make room in {self.out} and start the same command "
                f"again. {self._left()}"
            ) from None

    def _left(self) -> str:
        if self.best_step < 0:
            return "Nothing was saved yet"
        return f"The best weights, of step {self.best_step}, are in {self.out / BEST}"

    def _run(self) -> Result:
        """Train to the last step, going on from the folder's state if there is one; leave the best weights in.

        Raises:
            DataError: the loss or its gradient is not a number (the weights are not touched by that step, and the
                best ones stay on disk), or the folder's state is of another run.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        self._resume()
        curve, recipe, started, first = Curve(self.out / CURVE, self.step), self.recipe, time.perf_counter(), self.step
        with _repeatable():
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
            self.say(f"no lower validation loss since step {self.best_step}: ended at step {self.step}")
        best = safetensors.torch.load_file(self.out / BEST, device=str(self.model.device))
        copy_into(self.trained, best, self.out / BEST)
        draw_curves(Curve.read(self.out / CURVE), self.out / PICTURE)
        return Result(self.best_step, self.best_loss)

    @torch.no_grad()
    def evaluate(self) -> dict[str, dict[str, float]]:
        """By task: mean loss of a row, share of rows whose every token is the likeliest, and how many there are.

        Answers of a balanced task count alike, as in training: its `exact` is the balanced accuracy.
        """
        found: dict[str, dict[tuple[int, ...], list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
        for part in pack([len(row.token_ids) for row in self.validation], self.recipe.most_tokens):
            rows = [self.validation[index] for index in part]
            batch = collate(rows).to(self.model.device)
            with self._autocast():
                losses, right = answer_losses(self.model, batch, self._pixels(batch, None))
            assert right is not None
            means = row_means(losses, batch).tolist()
            exact = (row_means(right.float(), batch) > 1 - 1e-6).tolist()
            for row, loss, whole in zip(rows, means, exact, strict=True):
                answer = tuple(row.token_ids[slice(*row.spans()[0])]) if row.task in self.recipe.balanced else ()
                found[row.task][answer].append((loss, float(whole)))
        out = {}
        for task, answers in sorted(found.items()):
            loss, exact = np.mean([np.mean(rows, axis=0) for rows in answers.values()], axis=0)
            count = sum(len(rows) for rows in answers.values())
            out[task] = {"loss": round(float(loss), 5), "exact": round(float(exact), 5), "rows": count}
        return out

    def _stale(self) -> bool:
        """Whether the recipe's patience is spent; only an evaluation changes that."""
        recipe = self.recipe
        return recipe.patience > 0 and self.step - self.best_step >= recipe.patience * recipe.evaluate_every

    def _train_step(self) -> float:
        """One optimizer step; returns the loss before it."""
        recipe, device = self.recipe, self.model.device
        seed = recipe.seed * 1_000_003 + self.step
        rows = self.mixture.draw(recipe.rows_per_step, torch.Generator().manual_seed(seed))
        on_device = torch.Generator(device=device).manual_seed(seed)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * warmup_cosine(self.step, recipe.steps, recipe.warmup_steps)
        self.optimizer.zero_grad(set_to_none=True)
        weight = sum(row.weight for row in rows)
        self.tokens += sum(len(row.token_ids) for row in rows)
        total = torch.zeros((), device=device)
        for part in pack([len(row.token_ids) for row in rows], recipe.most_tokens):
            chosen = [rows[index] for index in part]
            weights = torch.tensor([row.weight for row in chosen], dtype=torch.float32, device=device)
            loss = (self._row_losses(chosen, on_device) * weights).sum() / weight
            loss.backward()
            total += loss.detach()
        norm = nn.utils.clip_grad_norm_(list(self.trained.values()), recipe.clip_norm)
        value, size = torch.stack([total, norm]).tolist()
        if not (math.isfinite(value) and math.isfinite(size)):
            raise DataError(
                f"training: the {'gradient' if math.isfinite(value) else 'loss'} is not a number at step {self.step}; "
                f"lower the learning rate. The best weights, of step {self.best_step}, are in {self.out / BEST}"
            )
        self.optimizer.step()
        return value

    def _row_losses(self, rows: Sequence[TokenRow], generator: torch.Generator) -> Tensor:
        """What a step lowers, for each row (R,) float32."""
        batch = collate(rows, packed=self.recipe.packing).to(self.model.device)
        with self._autocast():
            pixels = self._pixels(batch, generator)
            losses, _ = answer_losses(self.model, batch, pixels, train_tower=self.train_tower)
        return row_means(losses, batch)

    def _pixels(self, batch: Batch, generator: torch.Generator | None) -> Tensor | None:
        if not len(batch.pictures):
            return None
        assert self.pictures is not None
        films = self.pictures.bank[batch.pictures.to(self.pictures.bank.device)]
        return self.pictures.view(films) if generator is None else self.pictures.augment(films, generator)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16")

    def _evaluate(self, curve: Curve) -> None:
        """Measure, log, and keep the weights if their loss, weighted by the mixture, is the lowest."""
        tasks = self.evaluate()
        shares = {task: self.recipe.mixture[task] for task in tasks}
        loss = sum(tasks[task]["loss"] * share for task, share in shares.items()) / sum(shares.values())
        self._log(curve, {"step": self.step, "validation_loss": round(loss, 5), "validation": tasks})
        if loss < self.best_loss or self.best_step < 0:
            self.best_step, self.best_loss = self.step, loss
            weights = {name: parameter.detach().cpu().contiguous() for name, parameter in self.trained.items()}
            data = safetensors.torch.save(weights, {"step": str(self.step)})
            write_whole(self.out / BEST, lambda file: file.write(data))

    def _log(self, curve: Curve, entry: dict[str, Any]) -> None:
        curve.add(entry)
        self.say(json.dumps(entry))

    def _save(self) -> None:
        state = {
            "fingerprint": self.fingerprint,
            "step": self.step,
            "best_step": self.best_step,
            "best_loss": self.best_loss,
            "window": self.window,
            "trained": {name: parameter.detach() for name, parameter in self.trained.items()},
            "optimizer": self.optimizer.state_dict(),
        }
        save_state(self.out / STATE, state)

    def _resume(self) -> None:
        path = self.out / STATE
        state = load_state(path, self.fingerprint, self.model.device)
        if state is None:
            return
        copy_into(self.trained, state["trained"], path)
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.best_step, self.best_loss = state["step"], state["best_step"], state["best_loss"]
        self.window = list(state["window"])
        self.say(f"going on from step {self.step} of {self.recipe.steps}")


def _fingerprint(recipe: Recipe, train: Sequence[TokenRow], validation: Sequence[TokenRow]) -> str:
    """Changes when anything does that would change the curve."""
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(recipe), sort_keys=True).encode())
    for row in [*train, *validation]:
        digest.update(repr((row.task, row.spans(), row.all_pictures(), row.weight)).encode())
        digest.update(np.asarray(row.token_ids, dtype=np.int32).tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def _repeatable() -> Iterator[None]:
    """Kernels that give the same sums in every run, where there are any; where there are none, PyTorch says so."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by cuBLAS at its first product
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False  # costs time, and everything is written before it is read
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        memory.fill_uninitialized_memory = fill
