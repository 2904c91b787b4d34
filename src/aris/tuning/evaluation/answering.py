"""Answers of a model in training to validation rows: written greedily, or its options' log-probabilities.

All processes of a run go through the model as often as each other, as sharded layers need it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from aris.errors import DataError
from aris.model import MedGemma
from aris.prompting import Tokenizer, split_thinking
from aris.tuning.data.collate import collate, pack
from aris.tuning.data.options import Choice, choices, last_answer, parse
from aris.tuning.data.rows import TokenRow
from aris.tuning.distributed import Team
from aris.tuning.evaluation import metrics
from aris.tuning.evaluation.losses import in_turn
from aris.tuning.recipe import Recipe
from aris.tuning.trainable import answer_losses, soft_tokens

Pixels = Callable[[Tensor], Tensor | None]
Measured = dict[str, dict[str, float]]


@dataclass(frozen=True)
class _Asked:
    """A validation row whose answer is measured.

    Attributes:
        names: the metrics.
        wanted: the row's own last answer.
        choice: the options, if a metric needs them.
    """

    row: TokenRow
    names: tuple[str, ...]
    wanted: str
    choice: Choice | None


class Examination:
    """The rows that a recipe's metrics are measured on, and how.

    Args:
        train: whose answers are options too, where questions list none.

    Raises:
        DataError: a task's answers are no options, and its metric needs some.
    """

    def __init__(
        self, recipe: Recipe, train: Sequence[TokenRow], validation: Sequence[TokenRow], tokenizer: Tokenizer
    ) -> None:
        self.recipe, self.tokenizer = recipe, tokenizer
        self.asked: list[_Asked] = []
        for task, names in sorted(recipe.metrics.items()):
            rows = [row for row in validation if row.task == task]
            if not any(metrics.METRICS[name].needs != "loss" for name in names):
                continue
            if recipe.metric_rows and len(rows) > recipe.metric_rows:
                drawn = torch.randperm(len(rows), generator=torch.Generator().manual_seed(recipe.seed))
                rows = [rows[index] for index in sorted(drawn[: recipe.metric_rows].tolist())]
            picked: Sequence[Choice | None] = [None] * len(rows)
            if {"accuracy", "option_accuracy", "auc"} & set(names):
                picked = choices(rows, (row for row in train if row.task == task), tokenizer)
            if "auc" in names:
                _require_yes_and_no(task, picked)
            for row, choice in zip(rows, picked, strict=True):
                self.asked.append(_Asked(row, names, last_answer(row, tokenizer), choice))

    def measure(self, model: MedGemma, pixels: Pixels, autocast: Callable[[], torch.autocast], team: Team) -> Measured:
        """Every metric by task; the same for any number of processes, within rounding.

        Args:
            pixels: of pictures by index, as `answer_losses` takes them.
            autocast: a context for each pass.
        """
        texts = self._written(model, pixels, autocast, team) if self._any("text") else {}
        scores = self._scored(model, pixels, autocast, team) if self._any("scores") else {}
        found: dict[str, dict[str, float]] = {}
        for task in sorted({asked.row.task for asked in self.asked}):
            places = [at for at, asked in enumerate(self.asked) if asked.row.task == task]
            found[task] = {}
            for name in self.asked[places[0]].names:
                if metrics.METRICS[name].needs != "loss":
                    found[task][name] = round(self._metric(name, places, texts, scores), 5)
        return found

    def _metric(
        self, name: str, places: Sequence[int], texts: Mapping[int, str], scores: Mapping[int, list[float]]
    ) -> float:
        values: list[float] = []
        odds: list[float] = []
        positive: list[bool] = []
        for at in places:
            asked = self.asked[at]
            choice = asked.choice
            if name == "exact_match":
                values.append(metrics.exact_match(texts[at], asked.wanted))
            elif name == "token_f1":
                values.append(metrics.token_f1(texts[at], asked.wanted))
            elif name == "accuracy":
                assert choice is not None
                values.append(float(parse(texts[at], choice.options) == choice.right))
            elif name == "option_accuracy":
                assert choice is not None
                values.append(float(int(np.argmax(scores[at])) == choice.right))
            else:
                assert choice is not None
                yes = _yes(choice)
                odds.append(scores[at][yes] - scores[at][1 - yes])
                positive.append(choice.right == yes)
        return metrics.yes_no_auc(odds, positive) if name == "auc" else float(np.mean(values))

    def _any(self, needs: str) -> bool:
        return any(metrics.METRICS[name].needs == needs for asked in self.asked for name in asked.names)

    def _needing(self, needs: str) -> list[int]:
        return [at for at, asked in enumerate(self.asked)
                if any(metrics.METRICS[name].needs == needs for name in asked.names)]  # fmt: skip

    def _written(
        self, model: MedGemma, pixels: Pixels, autocast: Callable[[], torch.autocast], team: Team
    ) -> dict[int, str]:
        """By place, what the model writes."""
        places = self._needing("text")
        prompts = [_prompt(self.asked[at].row) for at in places]
        lengths = [len(prompt.token_ids) + self.recipe.answer_tokens for prompt in prompts]
        made: list[tuple[int, str]] = []
        for part, counts in in_turn(pack(lengths, self.recipe.most_tokens, overhead=0), team):
            with autocast():
                answers = write(model, [prompts[index] for index in part], pixels, self.recipe.answer_tokens,
                                {self.tokenizer.end_of_turn_id, self.tokenizer.eos_id}, team)  # fmt: skip
            if counts:
                texts = (split_thinking(self.tokenizer.decode(ids))[1].strip() for ids in answers)
                made += [(places[index], text) for index, text in zip(part, texts, strict=True)]
        return dict(team.gather(made))

    def _scored(
        self, model: MedGemma, pixels: Pixels, autocast: Callable[[], torch.autocast], team: Team
    ) -> dict[int, list[float]]:
        """By place, the log-probability of each option after the prompt."""
        places = self._needing("scores")
        spelled = [self._options(self.asked[at]) for at in places]
        lengths = [sum(len(row.token_ids) for row in rows) for rows in spelled]
        made: list[tuple[int, list[float]]] = []
        for part, counts in in_turn(pack(lengths, self.recipe.most_tokens), team):
            rows = [row for index in part for row in spelled[index]]
            batch = collate(rows).to(model.device)
            # Options of one row lie in one part: its pictures are seen once.
            shown, where = torch.unique(batch.pictures, return_inverse=True)
            with autocast():
                soft = soft_tokens(model, pixels(shown) if len(shown) else None)
                losses, _ = answer_losses(model, batch, None, soft=None if soft is None else soft[where])
            sums = torch.zeros(len(rows), dtype=losses.dtype, device=losses.device).index_add(0, batch.owner, -losses)
            totals = iter(sums.tolist())
            if counts:
                made += [(places[index], [next(totals) for _ in spelled[index]]) for index in part]
        return dict(team.gather(made))

    def _options(self, asked: _Asked) -> list[TokenRow]:
        """The row once with each option as its only answer."""
        assert asked.choice is not None
        prompt = _prompt(asked.row)
        start = len(prompt.token_ids)
        made = []
        for option in asked.choice.spelled:
            ids = [*prompt.token_ids, *self.tokenizer.encode(option)]
            made.append(replace(asked.row, token_ids=ids, answer_start=start, answers=((start, len(ids)),)))
        return made


@torch.no_grad()
def write(
    model: MedGemma, prompts: Sequence[TokenRow], pixels: Pixels, most: int, ends: set[int], team: Team | None = None
) -> list[list[int]]:
    """The tokens that the model writes after each prompt, greedily, without the one that ends it.

    Args:
        prompts: whole `token_ids`.
        most: tokens of an answer.
        ends: tokens that end one.
        team: processes that write answers to prompts of their own meanwhile, and go on as long as any of them does.
    """
    device = model.device
    batch = collate(prompts)
    lengths = [len(prompt.token_ids) for prompt in prompts]
    soft = soft_tokens(model, pixels(batch.pictures) if len(batch.pictures) else None)
    cache = model.new_cache(len(prompts))
    hidden = model.hidden_states(batch.token_ids.to(device), soft, cache, lengths)
    states = hidden[torch.arange(len(prompts), device=device), torch.tensor(lengths, device=device) - 1]
    made: list[list[int]] = [[] for _ in prompts]
    done = [False] * len(prompts)
    for _ in range(most):
        tokens = model.logits(states).argmax(-1)
        for index, token in enumerate(tokens.tolist()):
            done[index] = done[index] or token in ends
            if not done[index]:
                made[index].append(token)
        left = torch.tensor(float(not all(done)), device=device)
        if not (team or Team()).total(left).item():
            break
        states = model.hidden_states(tokens[:, None], None, cache, [1] * len(prompts))[:, 0]
    return made


def _prompt(row: TokenRow) -> TokenRow:
    """What stands before a row's last answer; `answers` is its last token, so that it can be collated."""
    start = row.spans()[-1][0]
    return replace(row, token_ids=row.token_ids[:start], answers=((start - 1, start),))


def _yes(choice: Choice) -> int:
    """Which of two options is yes."""
    return [metrics.normalized(option).split()[:1] == ["yes"] for option in choice.options].index(True)


def _require_yes_and_no(task: str, picked: Sequence[Choice | None]) -> None:
    for choice in picked:
        said = sorted(metrics.normalized(option).split()[0] for option in choice.options) if choice else []
        if said != ["no", "yes"]:
            raise DataError(f"rows: auc of the task {task!r} needs answers that are yes or no; use option_accuracy")
    if len({choice.right for choice in picked if choice}) < 2:
        raise DataError(f"rows: auc of the task {task!r} needs validation rows with yes and with no")
