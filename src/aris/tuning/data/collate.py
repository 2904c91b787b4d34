"""From token rows to batches: which rows a step sees, and how they are padded.

A step draws a fixed number of rows by the mixture, so the share of each task in the gradient is the share that the
recipe names, whatever the rows' lengths. Length only decides how the step is cut into padded parts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from aris.errors import DataError
from aris.tuning.data.rows import TokenRow

# What starting another part costs on a GPU (kernel launches), in padded tokens that could have been computed instead.
PART_OVERHEAD = 1500


@dataclass(frozen=True)
class Batch:
    """Rows padded on the right, R rows of at most T tokens with K answer tokens and P pictures in all.

    Attributes:
        token_ids: (R, T) int64; padding is 0.
        row_index, token_index: (K,) int64, where the hidden state lies that predicts each answer token.
        pictures: (P,) int64 into the picture bank, in the order of their soft tokens.
        weights: (R,) float32.
        owner: (K,) int64, the row of each answer token; `row_index` unless rows are packed.
        starts: (1, T) int64 where rows lie packed behind each other: the place where each token's own begins.
    """

    token_ids: Tensor
    row_index: Tensor
    token_index: Tensor
    pictures: Tensor
    weights: Tensor
    owner: Tensor
    starts: Tensor | None = None

    @property
    def targets(self) -> Tensor:
        """(K,) int64: the answer tokens."""
        return self.token_ids[self.row_index, self.token_index + 1]

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        parts = (self.token_ids, self.row_index, self.token_index, self.pictures, self.weights, self.owner)
        ids, row_index, token_index, pictures, weights, owner = (part.to(device, non_blocking=True) for part in parts)
        starts = None if self.starts is None else self.starts.to(device, non_blocking=True)
        return Batch(ids, row_index, token_index, pictures, weights, owner, starts)


def collate(rows: Sequence[TokenRow], *, packed: bool = False) -> Batch:
    """Put rows of any lengths into one batch: padded, or packed behind each other into one line without padding."""
    batch = _padded(rows)
    if not packed:
        return batch
    lengths = torch.tensor([len(row.token_ids) for row in rows])
    begins = lengths.cumsum(0) - lengths
    return replace(
        batch,
        token_ids=torch.tensor([[token for row in rows for token in row.token_ids]], dtype=torch.int64),
        row_index=torch.zeros_like(batch.row_index),
        token_index=batch.token_index + begins[batch.row_index],
        starts=begins.repeat_interleave(lengths)[None],
    )


def _padded(rows: Sequence[TokenRow]) -> Batch:
    longest = max(len(row.token_ids) for row in rows)
    ids = np.zeros((len(rows), longest), dtype=np.int64)
    row_index, token_index = [], []
    for number, row in enumerate(rows):
        ids[number, : len(row.token_ids)] = row.token_ids
        for start, stop in row.spans():
            # The state before a token predicts it.
            token_index.append(np.arange(start - 1, stop - 1))
            row_index.append(np.full(stop - start, number))
    owner = torch.from_numpy(np.concatenate(row_index).astype(np.int64))
    return Batch(
        torch.from_numpy(ids),
        owner,
        torch.from_numpy(np.concatenate(token_index).astype(np.int64)),
        torch.tensor([picture for row in rows for picture in row.all_pictures()], dtype=torch.int64),
        torch.tensor([row.weight for row in rows], dtype=torch.float32),
        owner,
    )


def pack(lengths: Sequence[int], most_tokens: int, overhead: int = PART_OVERHEAD) -> list[list[int]]:
    """Cut rows into parts of like length: the cheapest cut by padded tokens plus `overhead` a part.

    Args:
        lengths: of the rows.
        most_tokens: padded tokens of a part; a row that alone is longer makes a part of its own.

    Returns:
        Indices into `lengths`, each in one part.
    """
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    # Cheapest cost of the first n rows in order of length, and where the last part of them starts.
    cost = [0.0] + [float("inf")] * len(order)
    start_of = [0] * (len(order) + 1)
    for stop in range(1, len(order) + 1):
        longest = lengths[order[stop - 1]]
        for start in range(stop - 1, -1, -1):
            padded = longest * (stop - start)
            if padded > most_tokens and stop - start > 1:
                break
            if cost[start] + padded + overhead < cost[stop]:
                cost[stop], start_of[stop] = cost[start] + padded + overhead, start
    parts = []
    stop = len(order)
    while stop:
        parts.append(order[start_of[stop] : stop])
        stop = start_of[stop]
    return parts[::-1]


class Mixture:
    """Draws rows: a task by its share, an answer evenly among a balanced task's answers, then a row evenly.

    Args:
        shares: of the tasks, > 0; they need not sum to 1.
        balanced: tasks of a few short answers (yes and no), which are drawn evenly.

    Raises:
        DataError: a share is not positive, or names a task without rows.
    """

    def __init__(
        self, rows: Sequence[TokenRow], shares: Mapping[str, float], balanced: frozenset[str] = frozenset()
    ) -> None:
        groups: dict[str, dict[tuple[int, ...], list[int]]] = defaultdict(lambda: defaultdict(list))
        for index, row in enumerate(rows):
            answer = tuple(t for start, stop in row.spans() for t in row.token_ids[start:stop])
            groups[row.task][answer if row.task in balanced else ()].append(index)
        for task in sorted({*shares, *balanced}):
            if task not in groups:
                raise DataError(f"recipe: it names the task {task!r}, of which there are no rows")
        if not shares or any(not 0 < share < float("inf") for share in shares.values()):
            raise DataError("recipe: every share of the mixture must be above 0; leave a task out to skip it")
        self.rows = rows
        self.tasks = sorted(shares)
        self.shares = torch.tensor([shares[task] for task in self.tasks], dtype=torch.float64)
        self._groups = {
            task: [torch.tensor(groups[task][key]) for key in sorted(groups[task])] for task in self.tasks
        }

    def draw(self, count: int, generator: torch.Generator) -> list[TokenRow]:
        """`count` rows; the same for the same generator state."""
        tasks = torch.multinomial(self.shares, count, replacement=True, generator=generator).tolist()
        # Two numbers a row, whatever it becomes: what one row draws does not move the next.
        spots = torch.rand(count, 2, generator=generator, dtype=torch.float64).tolist()
        drawn = []
        for task, (answer, spot) in zip(tasks, spots, strict=True):
            groups = self._groups[self.tasks[task]]
            group = groups[int(answer * len(groups))]
            drawn.append(self.rows[int(group[int(spot * len(group))])])
        return drawn
