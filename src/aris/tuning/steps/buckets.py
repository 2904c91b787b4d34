"""Steps of many short rows as a few shapes, each recorded once as a CUDA graph.

A step of `aris-nano` draws over a hundred rows of 70 to 700 tokens. Cut by length alone, no two parts have the same
shape, so nothing could be replayed, and a GPU waits for the launches of a small model's kernels. Here every row goes on
the narrowest shelf that it fits; a shelf takes a fixed number of rows, and rows without weight fill the last one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from aris.tuning.data.collate import collate
from aris.tuning.data.rows import TokenRow
from aris.tuning.loop import Loop
from aris.tuning.steps.graphs import StaticBatch

# Padded tokens of a full shelf at most: more do not make a GPU faster, and bound its memory.
SHELF_TOKENS = 6144
_SHORT = 8  # answer tokens
_WIDTHS = (80, 112, 192, 384, 704, 1024, 1536, 2304)
# Long answers are padded to a multiple of this many tokens a shelf. A graph is recorded for each shape.
_ANSWER_STEP = 1024
# A shelf is as large as this share of the steps needs.
_ENOUGH = 0.9


@dataclass(frozen=True)
class Shelf:
    """One shape of batches.

    Attributes:
        pictures: of each of its rows.
        width: tokens of a row at most.
        long: whether its rows have long answers.
        rows: that it takes.
        answers: tokens with loss of all its rows at most.
    """

    pictures: int
    width: int
    long: bool
    rows: int
    answers: int

    @property
    def place(self) -> tuple[int, int, bool]:
        """What decides whether a row goes here."""
        return self.pictures, self.width, self.long


def build_shelves(rows: Sequence[TokenRow], steps: Sequence[Sequence[TokenRow]]) -> list[Shelf]:
    """The shelves that rows need, narrow ones first.

    Args:
        rows: all that there are.
        steps: some steps' rows, by which the shelves' sizes are chosen.
    """
    most: dict[tuple[int, int, bool], int] = {}
    for row in rows:
        place = _place(row)
        most[place] = max(most.get(place, 0), _answers(row))
    counts = [Counter(_place(row) for row in step) for step in steps]
    shelves = []
    for (pictures, width, long), answers in sorted(most.items()):
        needed = sorted(count[pictures, width, long] for count in counts)[int(_ENOUGH * (len(counts) - 1))]
        parts = max(1, -(-needed * width // SHELF_TOKENS))
        count = max(1, -(-needed // parts))
        shelves.append(Shelf(pictures, width, long, count, count * answers))
    return shelves


def _answers(row: TokenRow) -> int:
    return sum(stop - start for start, stop in row.spans())


def _place(row: TokenRow) -> tuple[int, int, bool]:
    length = len(row.token_ids)
    width = next((width for width in _WIDTHS if length <= width), -(-length // 512) * 512)
    return len(row.all_pictures()), width, _answers(row) > _SHORT


def fill(rows: Sequence[TokenRow], shelves: Sequence[Shelf]) -> list[tuple[Shelf, list[TokenRow]]]:
    """A step's rows on shelves, each full: the last of a kind with rows of no weight."""
    of = {shelf.place: shelf for shelf in shelves}
    put: dict[tuple[int, int, bool], list[TokenRow]] = {}
    for row in rows:
        put.setdefault(_place(row), []).append(row)
    filled = []
    for place, own in sorted(put.items()):
        shelf, fewest = of[place], min(own, key=_answers)
        for start in range(0, len(own), shelf.rows):
            part = own[start : start + shelf.rows]
            filled.append((shelf, part + [replace(fewest, weight=0.0)] * (shelf.rows - len(part))))
    return filled


def shelf_batch(
    shelf: Shelf, rows: Sequence[TokenRow], weight: float, image_token: int, pixels: Tensor | None
) -> StaticBatch:
    """A full shelf as a batch of one of its few shapes; arguments as for `graphs.static_batch`."""
    batch = collate(rows)
    ids = F.pad(batch.token_ids, (0, shelf.width - batch.token_ids.shape[1]))
    counts = torch.bincount(batch.owner, minlength=len(batch.weights)).float()
    shares = (batch.weights / counts / weight)[batch.owner]
    # The answers of rows without weight need not be scored.
    kept = shares > 0
    wanted = int(kept.sum())
    answers = min(shelf.answers, -(-wanted // _ANSWER_STEP) * _ANSWER_STEP) if shelf.long else shelf.answers
    more = (0, answers - wanted)
    # The last place of all predicts nothing: its row ends there or before.
    places = F.pad((batch.row_index * shelf.width + batch.token_index)[kept], more, value=shelf.rows * shelf.width - 1)
    found = (ids.flatten() == image_token).nonzero()[:, 0] if pixels is not None else None
    targets = F.pad(batch.targets[kept], more)
    return StaticBatch(ids, places, targets, F.pad(shares[kept], more), None, found, pixels)


class ShelvedLoop(Loop):
    """The loop, its steps cut into shelves where they are recorded as graphs; elsewhere nothing changes."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        seeds = [self.recipe.seed * 1_000_003 + step for step in range(40)]
        steps = [self.mixture.draw(self.recipe.rows_per_step, torch.Generator().manual_seed(seed)) for seed in seeds]
        self.shelves = build_shelves(self.mixture.rows, steps)

    def _parts(self, rows: Sequence[TokenRow]) -> list[tuple[list[TokenRow], bool]]:
        if self.graphs is None:
            return super()._parts(rows)
        return [(own, True) for _, own in fill(rows, self.shelves)]

    def _static(self, rows: Sequence[TokenRow], weight: float, generator: torch.Generator) -> StaticBatch:
        chosen = torch.tensor([picture for row in rows for picture in row.all_pictures()], dtype=torch.int64)
        with self._autocast():
            pixels = self._pixels(chosen, generator)
        shelf = next(shelf for shelf in self.shelves if shelf.place == _place(rows[0]))
        return shelf_batch(shelf, rows, weight, self.model.config.image_token_index, pixels)
