"""Steps of many short rows as a few shapes, each recorded once as a CUDA graph.

A step of `aris-nano` draws over a hundred rows of 70 to 700 tokens. Cut by length alone, no two parts have the same
shape, so nothing could be replayed, and a GPU waits for the launches of a small model's kernels. Here every row goes on
the narrowest shelf that it fits; a shelf takes a fixed number of rows, and rows without weight fill the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from aris.tuning.collate import collate
from aris.tuning.graphs import StaticBatch
from aris.tuning.loop import Loop
from aris.tuning.rows import TokenRow

# Padded tokens of a shelf that is full; below this a GPU is not filled, far above it too much is padding.
SHELF_TOKENS = 4096
# Each shelf is about a quarter wider than the one before; a graph is recorded for each that is used.
_WIDTHS = (80, 104, 136, 176, 224, 288, 368, 480, 640, 832, 1088, 1408, 1824, 2368)


@dataclass(frozen=True)
class Shelf:
    """One shape of batches.

    Attributes:
        pictures: of each of its rows.
        width: tokens of a row at most.
        rows: that it takes.
        answers: tokens with loss of all its rows at most.
    """

    pictures: int
    width: int
    rows: int
    answers: int


def build_shelves(rows: Sequence[TokenRow], rows_per_step: int, shelf_tokens: int = SHELF_TOKENS) -> list[Shelf]:
    """The shelves that rows need, narrow ones first."""
    most: dict[tuple[int, int], int] = {}
    for row in rows:
        key = _place(row)
        most[key] = max(most.get(key, 0), sum(stop - start for start, stop in row.spans()))
    shelves = []
    for (pictures, width), answers in sorted(most.items()):
        count = max(1, min(shelf_tokens // width, rows_per_step))
        shelves.append(Shelf(pictures, width, count, count * answers))
    return shelves


def _place(row: TokenRow) -> tuple[int, int]:
    length = len(row.token_ids)
    width = next((width for width in _WIDTHS if length <= width), -(-length // 512) * 512)
    return len(row.all_pictures()), width


def fill(rows: Sequence[TokenRow], shelves: Sequence[Shelf]) -> list[tuple[Shelf, list[TokenRow]]]:
    """A step's rows on shelves, each full: the last of a kind with rows of no weight."""
    of = {(shelf.pictures, shelf.width): shelf for shelf in shelves}
    put: dict[tuple[int, int], list[TokenRow]] = {}
    for row in rows:
        put.setdefault(_place(row), []).append(row)
    filled = []
    for key, own in sorted(put.items()):
        shelf = of[key]
        for start in range(0, len(own), shelf.rows):
            part = own[start : start + shelf.rows]
            shortest = min(own, key=lambda row: len(row.token_ids))
            filled.append((shelf, part + [replace(shortest, weight=0.0)] * (shelf.rows - len(part))))
    return filled


def shelf_batch(
    shelf: Shelf, rows: Sequence[TokenRow], weight: float, image_token: int, pixels: Tensor | None
) -> StaticBatch:
    """A full shelf as a batch of the shelf's one shape; arguments as for `graphs.static_batch`."""
    batch = collate(rows)
    ids = F.pad(batch.token_ids, (0, shelf.width - batch.token_ids.shape[1]))
    counts = torch.bincount(batch.owner, minlength=len(batch.weights)).float()
    shares = (batch.weights / counts / weight)[batch.owner]
    more = (0, shelf.answers - len(shares))
    # The last place of all predicts nothing: its row ends there or before.
    places = F.pad(batch.row_index * shelf.width + batch.token_index, more, value=shelf.rows * shelf.width - 1)
    found = (ids.flatten() == image_token).nonzero()[:, 0] if pixels is not None else None
    return StaticBatch(ids, places, F.pad(batch.targets, more), F.pad(shares, more), None, found, pixels)


class ShelvedLoop(Loop):
    """The loop, its steps cut into shelves where they are recorded as graphs; elsewhere nothing changes."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.shelves = build_shelves(self.mixture.rows, self.recipe.rows_per_step)

    def _parts(self, rows: Sequence[TokenRow]) -> list[tuple[list[TokenRow], bool]]:
        if self.graphs is None:
            return super()._parts(rows)
        return [(own, True) for _, own in fill(rows, self.shelves)]

    def _static(self, rows: Sequence[TokenRow], weight: float, generator: torch.Generator) -> StaticBatch:
        chosen = torch.tensor([picture for row in rows for picture in row.all_pictures()], dtype=torch.int64)
        with self._autocast():
            pixels = self._pixels(chosen, generator)
        shelf = next(shelf for shelf in self.shelves if (shelf.pictures, shelf.width) == _place(rows[0]))
        return shelf_batch(shelf, rows, weight, self.model.config.image_token_index, pixels)
