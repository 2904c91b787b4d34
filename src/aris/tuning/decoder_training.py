"""The training loop: LoRA on the decoder, the projector, and if asked the tower, on rows with masked prompts.

One device, bf16 autocast over frozen bf16 weights, float32 for what is trained. What a step sees depends on the seed
and its number alone, so a run that was killed and resumed ends with the same weights as one that was not.
"""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aris.errors import DataError
from aris.model import MedGemma, attach_lora
from aris.tuning.augment import FilmAugment, equalize, to_pixels
from aris.tuning.rows import TokenRow

# Rows of logits over the whole vocabulary that exist at once.
_LOGIT_ROWS = 2048


@dataclass(frozen=True)
class Recipe:
    """What the YAML file says; see `recipes/nano_decoder.yaml` for the meaning of each."""

    seed: int
    steps: int
    batch_tokens: int
    max_tokens: int
    learning_rate: float
    tower_learning_rate: float
    warmup_steps: int
    weight_decay: float
    clip_norm: float
    lora: dict[str, int]
    augment_strength: float
    evaluate_every: int
    save_every: int
    mixture: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """Raise `DataError` on a field that is missing or unknown."""
        try:
            return cls(**values)
        except TypeError as error:
            raise DataError(f"recipe: {str(error).removeprefix('Recipe.__init__() ')}") from None


class Sampler:
    """Draws the rows of a step: a task by the mixture, an answer class evenly in short-answer tasks, then a row."""

    def __init__(self, rows: Sequence[TokenRow], mixture: dict[str, float], balanced: frozenset[str]) -> None:
        self.rows = rows
        groups: dict[str, dict[tuple[int, ...], list[int]]] = defaultdict(lambda: defaultdict(list))
        for index, row in enumerate(rows):
            key = tuple(row.token_ids[row.answer_start :]) if row.task in balanced else ()
            groups[row.task][key].append(index)
        missing = set(mixture) - set(groups)
        if missing:
            raise DataError(f"recipe: the mixture names {sorted(missing)[0]!r}, of which there are no rows")
        self.tasks = sorted(mixture)
        self.weights = torch.tensor([mixture[task] for task in self.tasks])
        self.groups = {task: [groups[task][key] for key in sorted(groups[task])] for task in self.tasks}

    def draw(self, generator: torch.Generator, budget: int) -> list[TokenRow]:
        """Rows whose padded size stays within `budget` tokens, similar in length so that little is padding."""
        pool = []
        for task in torch.multinomial(self.weights, 512, replacement=True, generator=generator).tolist():
            groups = self.groups[self.tasks[task]]
            group = groups[int(torch.randint(len(groups), (1,), generator=generator))]
            pool.append(self.rows[group[int(torch.randint(len(group), (1,), generator=generator))]])
        # Half of the steps are of the shorter half: rows sorted by length are cut at a random place.
        pool.sort(key=lambda row: len(row.token_ids))
        start = int(torch.randint(len(pool), (1,), generator=generator))
        chosen: list[TokenRow] = []
        for row in pool[start:] + pool[:start][::-1]:
            longest = max(len(row.token_ids), max((len(r.token_ids) for r in chosen), default=0))
            if longest * (len(chosen) + 1) > budget:
                break
            chosen.append(row)
        return chosen


def prepare(model: MedGemma, recipe: Recipe) -> list[dict[str, Any]]:
    """Put adapters on the decoder's linear layers, a fresh projector if it is empty, and freeze the rest.

    Returns:
        Parameter groups for the optimizer, float32, each with its largest learning rate.
    """
    model.requires_grad_(False)
    torch.manual_seed(recipe.seed)
    attach_lora(model, lambda name: name.startswith("language_model."), recipe.lora["r"], recipe.lora["alpha"])
    trained = []
    for name, parameter in model.named_parameters():
        if "lora_" in name or name.startswith("multi_modal_projector."):
            trained.append(parameter)
    projector = model.multi_modal_projector
    assert projector is not None
    weight = projector.mm_input_projection_weight
    if not weight.any():
        # Soft tokens start at the size of scaled word embeddings.
        size = model.language_model.embed(torch.arange(1000, 2000, device=model.device)[None]).float().std()
        with torch.no_grad():
            weight.copy_(torch.randn(weight.shape, device=weight.device) * (size / weight.shape[0] ** 0.5))
    groups = [{"params": trained, "peak": recipe.learning_rate}]
    if recipe.tower_learning_rate:
        assert model.vision_tower is not None
        groups.append({"params": list(model.vision_tower.parameters()), "peak": recipe.tower_learning_rate})
    for group in groups:
        for parameter in group["params"]:  # type: ignore[attr-defined]
            parameter.data = parameter.data.float()
            parameter.requires_grad_(True)
    return groups


def loss_of(
    model: MedGemma, rows: Sequence[TokenRow], pixels: Tensor | None, *, train_tower: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Cross-entropy of the answers' tokens.

    Args:
        rows: of any lengths.
        pixels: (P, 3, S, S) of the rows that have a picture, in order; None if none has.

    Returns:
        Loss of each answer token (K,), the row it belongs to (K,), and whether it was predicted right (K,).
    """
    device = model.device
    longest = max(len(row.token_ids) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.int64)
    where_row, where_token = [], []
    for number, row in enumerate(rows):
        ids[number, : len(row.token_ids)] = torch.tensor(row.token_ids)
        places = range(row.answer_start - 1, len(row.token_ids) - 1)
        where_row += [number] * len(places)
        where_token += list(places)
    ids = ids.to(device)
    row_index = torch.tensor(where_row, device=device)
    token_index = torch.tensor(where_token, device=device)
    soft = None
    if pixels is not None:
        with torch.set_grad_enabled(train_tower and torch.is_grad_enabled()):
            assert model.vision_tower is not None
            patches = model.vision_tower(pixels)
        assert model.multi_modal_projector is not None
        soft = model.multi_modal_projector(patches)
    hidden = model.hidden_states(ids, soft)[row_index, token_index]  # (K, W)
    targets = ids[row_index, token_index + 1]
    losses, right = [], []
    for start in range(0, len(targets), _LOGIT_ROWS):
        logits = model.logits(hidden[start : start + _LOGIT_ROWS]).float()
        part = targets[start : start + _LOGIT_ROWS]
        losses.append(F.cross_entropy(logits, part, reduction="none"))
        right.append(logits.argmax(-1) == part)
    return torch.cat(losses), row_index, torch.cat(right)


class Trainer:
    """Runs a recipe on a model that `prepare` made ready.

    Args:
        pictures: (N, S, S) uint8 on the model's device.
        out: folder for the curve (`curve.jsonl`) and the state to resume from (`state.pt`).
    """

    def __init__(
        self,
        model: MedGemma,
        groups: list[dict[str, Any]],
        recipe: Recipe,
        rows: Sequence[TokenRow],
        validation: Sequence[TokenRow],
        pictures: Tensor,
        out: Path,
        balanced: frozenset[str] = frozenset(),
    ) -> None:
        self.model, self.recipe, self.pictures, self.out = model, recipe, pictures, out
        self.sampler = Sampler(rows, recipe.mixture, balanced)
        self.validation = sorted(validation, key=lambda row: len(row.token_ids))
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, weight_decay=recipe.weight_decay, betas=(0.9, 0.99))
        self.trained = [parameter for group in groups for parameter in group["params"]]
        self.step = 0
        out.mkdir(parents=True, exist_ok=True)

    def run(self) -> None:
        """Train to the recipe's last step, going on from `state.pt` if there is one.

        Raises:
            DataError: the loss is not a number; the last saved state stays usable.
        """
        self._resume()
        recipe, started = self.recipe, time.perf_counter()
        first = self.step
        while self.step < recipe.steps:
            loss = self._train_step()
            if not math.isfinite(loss):
                raise DataError(
                    f"training: the loss is {loss} at step {self.step}; lower the learning rate. "
                    f"The state of the last save is in {self.out}"
                )
            self.step += 1
            if self.step % 20 == 0 or self.step == recipe.steps:
                speed = (self.step - first) / (time.perf_counter() - started)
                self._log({"step": self.step, "loss": round(loss, 4), "steps_per_s": round(speed, 2)})
            if self.step % recipe.evaluate_every == 0 or self.step == recipe.steps:
                self._log({"step": self.step, "validation": self.evaluate()})
            if self.step % recipe.save_every == 0 or self.step == recipe.steps:
                self._save()

    @torch.no_grad()
    def evaluate(self) -> dict[str, dict[str, float]]:
        """For each task: mean loss of an answer token, and share of rows whose tokens are all predicted right."""
        sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0, 0.0])
        start = 0
        while start < len(self.validation):
            batch = self.validation[start : start + 32]
            start += 32
            with torch.autocast(self.model.device.type, torch.bfloat16):
                losses, of_row, right = loss_of(self.model, batch, self._pixels(batch, None))
            for number, row in enumerate(batch):
                mine = of_row == number
                total = sums[row.task]
                total[0] += float(losses[mine].sum())
                total[1] += int(mine.sum())
                total[2] += float(right[mine].all())
                total[3] += 1
        return {
            task: {"loss": round(s[0] / s[1], 4), "exact": round(s[2] / s[3], 4)} for task, s in sorted(sums.items())
        }

    def _train_step(self) -> float:
        recipe = self.recipe
        generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + self.step)
        rows = self.sampler.draw(generator, recipe.batch_tokens)
        device = self.model.device
        on_device = torch.Generator(device=device).manual_seed(recipe.seed * 1_000_003 + self.step)
        augment = FilmAugment(on_device, strength=recipe.augment_strength)
        cosine = 0.5 * (1 + math.cos(math.pi * self.step / recipe.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * min(1.0, (self.step + 1) / recipe.warmup_steps) * max(cosine, 0.02)
        with torch.autocast(device.type, torch.bfloat16):
            pixels = self._pixels(rows, augment)
            losses, of_row, _ = loss_of(self.model, rows, pixels, train_tower=recipe.tower_learning_rate > 0)
        # Each row counts alike, however long its answer: a yes weighs as much as a report.
        counts = torch.zeros(len(rows), device=device).index_add_(0, of_row, torch.ones_like(losses))
        loss = (losses / counts[of_row]).sum() / len(rows)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.trained, recipe.clip_norm)
        self.optimizer.step()
        return loss.item()

    def _pixels(self, rows: Sequence[TokenRow], augment: FilmAugment | None) -> Tensor | None:
        chosen = [row.picture for row in rows if row.picture is not None]
        if not chosen:
            return None
        films = self.pictures[torch.tensor(chosen, device=self.pictures.device)]
        size = films.shape[-1]
        return to_pixels(equalize(films[:, None].float() / 255) if augment is None else augment(films, size))

    def _log(self, entry: dict[str, Any]) -> None:
        print(json.dumps(entry), flush=True)
        with (self.out / "curve.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def _save(self) -> None:
        """Write the state beside the old one, then put it in its place: a kill leaves one or the other whole."""
        state = {
            "step": self.step,
            "trained": [parameter.detach().cpu() for parameter in self.trained],
            "optimizer": self.optimizer.state_dict(),
        }
        fresh = self.out / "state.pt.new"
        torch.save(state, fresh)
        fresh.replace(self.out / "state.pt")

    def _resume(self) -> None:
        path = self.out / "state.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location=self.model.device)
        self.step = state["step"]
        with torch.no_grad():
            for parameter, value in zip(self.trained, state["trained"], strict=True):
                parameter.copy_(value)
        self.optimizer.load_state_dict(state["optimizer"])
