"""The loss of validation examples by task, and the other measures that need no written answer."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch

from aris.tuning.data.collate import collate
from aris.tuning.data.examples import TokenizedExample
from aris.tuning.data.packing import pack
from aris.tuning.distributed import ProcessGroup
from aris.tuning.recipe import Recipe
from aris.tuning.steps.forward import ForwardPass
from aris.tuning.trainable import answer_losses, example_means


def take_turns(microbatches: list[list[int]], process_group: ProcessGroup) -> list[tuple[list[int], bool]]:
    """Return this process's micro-batches, each with whether it counts.

    All processes make as many passes, so the last one may be a repetition that does not count.
    """
    turns = -(-len(microbatches) // process_group.world_size)
    own = [turn * process_group.world_size + process_group.rank for turn in range(turns)]
    return [(microbatches[min(index, len(microbatches) - 1)], index < len(microbatches)) for index in own]


@torch.no_grad()
def measure_losses(
    forward: ForwardPass, examples: Sequence[TokenizedExample], recipe: Recipe, process_group: ProcessGroup
) -> dict[str, dict[str, float]]:
    """Measure by task: mean loss, share of examples whose every token is the argmax (`exact`), and their number.

    Answers of a balanced task count alike, as in training: its `exact` is the balanced accuracy. A task with the metric
    "perplexity" has it over all of its answers' tokens.
    """
    measured: list[tuple[int, float, float]] = []
    microbatches = pack([len(each.token_ids) for each in examples], recipe.max_tokens_per_microbatch)
    for indices, counts in take_turns(microbatches, process_group):
        batch = collate([examples[index] for index in indices]).to(forward.model.device)
        with forward.autocast():
            losses, right = answer_losses(forward.model, batch, forward.pixels(batch.images))
        assert right is not None
        means = example_means(losses, batch).tolist()
        exact = (example_means(right.float(), batch) > 1 - 1e-6).tolist()
        if counts:
            measured += zip(indices, means, exact, strict=True)
    found: dict[str, dict[tuple[int, ...], list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    tokens: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for index, mean, right_all in sorted(process_group.all_gather(measured)):
        example = examples[index]
        answer = tuple(example.token_ids[slice(*example.spans()[0])]) if example.task in recipe.balanced else ()
        found[example.task][answer].append((mean, float(right_all)))
        tokens[example.task].append((mean, sum(stop - start for start, stop in example.spans())))
    out: dict[str, dict[str, float]] = {}
    for task, answers in sorted(found.items()):
        loss, exact = np.mean([np.mean(each, axis=0) for each in answers.values()], axis=0)
        count = sum(len(each) for each in answers.values())
        out[task] = {"loss": round(float(loss), 5), "exact": round(float(exact), 5), "rows": count}
        if "perplexity" in recipe.metrics.get(task, ()):
            total = sum(mean * length for mean, length in tokens[task]) / sum(length for _, length in tokens[task])
            out[task]["perplexity"] = round(math.exp(total) if total < 700 else math.inf, 5)
    return out
