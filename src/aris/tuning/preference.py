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

from aris.tuning.data.collate import collate, pack
from aris.tuning.data.rows import TokenRow
from aris.tuning.layers.adapters import adapters_off
from aris.tuning.loop import Loop
from aris.tuning.trainable import answer_losses


@dataclass(frozen=True)
class PairRow(TokenRow):
    """A preference as the loop packs and draws it; `token_ids` are both conversations', one behind the other.

    Attributes:
        two: the chosen and the rejected conversation; only the last answer of each has loss.
    """

    two: tuple[TokenRow, ...] = ()


def pair_row(chosen: TokenRow, rejected: TokenRow) -> PairRow:
    """Two conversations that differ in their last answer, as one row."""
    two = tuple(replace(row, answers=(row.spans()[-1],), answer_start=row.spans()[-1][0]) for row in (chosen, rejected))
    first = two[0]
    return PairRow(
        first.task,
        first.token_ids + two[1].token_ids,
        first.answer_start,
        first.picture,
        first.answers,
        first.pictures,
        first.weight,
        two,
    )


class PreferenceLoop(Loop):
    """The loop over `PairRow`s."""

    def _row_losses(self, rows: Sequence[TokenRow], generator: torch.Generator | None) -> Tensor:
        return -F.logsigmoid(self.recipe.beta * self._margins(rows, generator))

    def _margins(self, rows: Sequence[TokenRow], generator: torch.Generator | None) -> Tensor:
        """How much more the model than its reference prefers the chosen answers (R,), in nats."""
        both = [row.two[which] for which in (0, 1) for row in rows if isinstance(row, PairRow)]
        batch = collate(both, packed=self.recipe.packing).to(self.model.device)
        sums = []
        with self._autocast():
            pixels = self._pixels(batch.pictures, generator)
            for reference in (False, True):
                if reference:
                    with torch.no_grad(), adapters_off(self.model):
                        losses, _ = answer_losses(self.model, batch, pixels)
                else:
                    losses, _ = answer_losses(self.model, batch, pixels)
                empty = torch.zeros(len(both), dtype=losses.dtype, device=losses.device)
                sums.append(empty.index_add(0, batch.owner, -losses))
        chosen, rejected = (sums[0] - sums[1]).chunk(2)
        return chosen - rejected

    @torch.no_grad()
    def evaluate(self) -> dict[str, dict[str, float]]:
        """By task: mean loss, share of pairs whose chosen answer the model prefers more than its reference does
        (`exact`), mean margin in nats, and how many pairs there are."""
        found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        for part in pack([len(row.token_ids) for row in self.validation], self.recipe.most_tokens):
            rows = [self.validation[index] for index in part]
            margins = self._margins(rows, None)
            losses = -F.logsigmoid(self.recipe.beta * margins)
            for row, loss, margin in zip(rows, losses.tolist(), margins.tolist(), strict=True):
                found[row.task].append((loss, float(margin > 0), margin))
        out = {}
        for task, each in sorted(found.items()):
            loss, exact, margin = np.mean(each, axis=0)
            values = {"loss": float(loss), "exact": float(exact), "margin": float(margin)}
            out[task] = {name: round(value, 5) for name, value in values.items()} | {"rows": len(each)}
        return out
