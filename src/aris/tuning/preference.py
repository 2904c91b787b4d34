"""Direct preference optimisation (DPO, arXiv 2305.18290): a draft and its signed version become a better model.

Loss of a pair: -log sigmoid(beta * ((log p(chosen) - log r(chosen)) - (log p(rejected) - log r(rejected)))), where p
is the model and r the same one with its adapters off. Answers alone count, summed over their tokens (equation 7).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aris.tuning.data.collate import collate
from aris.tuning.data.examples import TokenizedExample
from aris.tuning.data.packing import pack
from aris.tuning.distributed import ProcessGroup
from aris.tuning.layers.adapters import adapters_off
from aris.tuning.recipe import Recipe
from aris.tuning.steps.forward import ForwardPass
from aris.tuning.trainable import answer_losses


@dataclass(frozen=True)
class PairExample(TokenizedExample):
    """A preference as the loop packs and draws it; `token_ids` are both conversations', one after the other.

    Attributes:
        two: the chosen and the rejected conversation; only the last answer of each has loss.
    """

    two: tuple[TokenizedExample, ...] = ()


def pair_example(chosen: TokenizedExample, rejected: TokenizedExample) -> PairExample:
    """Join two conversations that differ in their last answer into one example."""
    two = tuple(
        replace(each, answers=(each.spans()[-1],), answer_start=each.spans()[-1][0]) for each in (chosen, rejected)
    )
    first = two[0]
    return PairExample(
        first.task,
        first.token_ids + two[1].token_ids,
        first.answer_start,
        first.image,
        first.answers,
        first.images,
        first.weight,
        two,
    )


@dataclass(frozen=True)
class PreferenceObjective:
    """The loss of DPO over `PairExample`s (an `Objective`).

    Attributes:
        beta: cost of leaving the reference.
    """

    beta: float
    recordable: bool = False

    def losses(
        self, forward: ForwardPass, examples: Sequence[TokenizedExample], generator: torch.Generator | None
    ) -> Tensor:
        return -F.logsigmoid(self.beta * self._margins(forward, examples, generator))

    def _margins(
        self, forward: ForwardPass, examples: Sequence[TokenizedExample], generator: torch.Generator | None
    ) -> Tensor:
        """Return the model's preference for the chosen answers less its reference's (E,), in nats."""
        both = [each.two[side] for side in (0, 1) for each in examples if isinstance(each, PairExample)]
        batch = collate(both, packed=forward.packing).to(forward.model.device)
        sums = []
        with forward.autocast():
            pixels = forward.pixels(batch.images, generator)
            for reference in (False, True):
                if reference:
                    with torch.no_grad(), adapters_off(forward.model):
                        losses, _ = answer_losses(forward.model, batch, pixels)
                else:
                    losses, _ = answer_losses(forward.model, batch, pixels)
                empty = torch.zeros(len(both), dtype=losses.dtype, device=losses.device)
                sums.append(empty.index_add(0, batch.example_index, -losses))
        chosen, rejected = (sums[0] - sums[1]).chunk(2)
        return chosen - rejected

    @torch.no_grad()
    def evaluate(
        self,
        forward: ForwardPass,
        validation: Sequence[TokenizedExample],
        recipe: Recipe,
        process_group: ProcessGroup,
    ) -> dict[str, dict[str, float]]:
        """Measure by task: mean loss, `exact`, mean margin in nats, and number of pairs; every process measures all.

        `exact` is the share of pairs whose chosen answer the model prefers more than its reference does.
        """
        found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        for indices in pack([len(each.token_ids) for each in validation], recipe.max_tokens_per_microbatch):
            examples = [validation[index] for index in indices]
            margins = self._margins(forward, examples, None)
            losses = -F.logsigmoid(self.beta * margins)
            for example, loss, margin in zip(examples, losses.tolist(), margins.tolist(), strict=True):
                found[example.task].append((loss, float(margin > 0), margin))
        out = {}
        for task, each in sorted(found.items()):
            loss, exact, margin = np.mean(each, axis=0)
            values = {"loss": float(loss), "exact": float(exact), "margin": float(margin)}
            out[task] = {name: round(value, 5) for name, value in values.items()} | {"rows": len(each)}
        return out
