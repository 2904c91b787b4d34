"""The loss of validation rows by task, and what else is measured without writing an answer."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from aris.model import MedGemma
from aris.tuning.data.collate import collate, pack
from aris.tuning.data.rows import TokenRow
from aris.tuning.distributed import Team
from aris.tuning.recipe import Recipe
from aris.tuning.trainable import answer_losses, row_means


def in_turn(parts: list[list[int]], team: Team) -> list[tuple[list[int], bool]]:
    """This process's parts, and whether each counts: all make as many passes, so one may be there for nothing."""
    turns = -(-len(parts) // team.world)
    own = [turn * team.world + team.rank for turn in range(turns)]
    return [(parts[min(at, len(parts) - 1)], at < len(parts)) for at in own]


@torch.no_grad()
def measure_losses(
    model: MedGemma,
    rows: Sequence[TokenRow],
    recipe: Recipe,
    pixels: Callable[[Tensor], Tensor | None],
    autocast: Callable[[], torch.autocast],
    team: Team,
) -> dict[str, dict[str, float]]:
    """By task: mean loss of a row, share of rows whose every token is the likeliest, and how many there are.

    Answers of a balanced task count alike, as in training: its `exact` is the balanced accuracy. A task with the metric
    "perplexity" has it over all of its answers' tokens.

    Args:
        pixels: of pictures by index, as `answer_losses` takes them.
        autocast: a context for each pass.
    """
    measured: list[tuple[int, float, float]] = []
    for part, counts in in_turn(pack([len(row.token_ids) for row in rows], recipe.most_tokens), team):
        batch = collate([rows[index] for index in part]).to(model.device)
        with autocast():
            losses, right = answer_losses(model, batch, pixels(batch.pictures))
        assert right is not None
        means = row_means(losses, batch).tolist()
        exact = (row_means(right.float(), batch) > 1 - 1e-6).tolist()
        if counts:
            measured += zip(part, means, exact, strict=True)
    found: dict[str, dict[tuple[int, ...], list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    tokens: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for index, mean, right_all in sorted(team.gather(measured)):
        row = rows[index]
        answer = tuple(row.token_ids[slice(*row.spans()[0])]) if row.task in recipe.balanced else ()
        found[row.task][answer].append((mean, float(right_all)))
        tokens[row.task].append((mean, sum(stop - start for start, stop in row.spans())))
    out: dict[str, dict[str, float]] = {}
    for task, answers in sorted(found.items()):
        loss, exact = np.mean([np.mean(each, axis=0) for each in answers.values()], axis=0)
        count = sum(len(each) for each in answers.values())
        out[task] = {"loss": round(float(loss), 5), "exact": round(float(exact), 5), "rows": count}
        if "perplexity" in recipe.metrics.get(task, ()):
            total = sum(mean * length for mean, length in tokens[task]) / sum(length for _, length in tokens[task])
            out[task]["perplexity"] = round(math.exp(total) if total < 700 else math.inf, 5)
    return out
