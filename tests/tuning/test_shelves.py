"""Steps cut into shelves: a few shapes, every row once, and the same training as without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import IMAGE, plain, tiny_model, tiny_recipe, tiny_rows

from aris.tuning.data.rows import TokenRow
from aris.tuning.loop import Loop, Pictures
from aris.tuning.steps.buckets import ShelvedLoop, build_shelves, fill, shelf_batch
from aris.tuning.steps.graphs import GraphedSteps
from aris.tuning.trainable import prepare

pytestmark = pytest.mark.filterwarnings("ignore:.*deterministic")


def row(length: int, answer: int = 3, picture: int | None = None) -> TokenRow:
    ids = list(range(5, 5 + length))
    if picture is not None:
        ids[2:6] = [IMAGE] * 4
    return TokenRow("t", ids, length - answer, picture)


def test_every_row_is_on_one_shelf_and_the_batches_of_a_shelf_have_few_shapes() -> None:
    rows = [row(length, 1 + length % 7) for length in range(40, 700, 3)] + [row(70, 2, n) for n in range(90)]
    rows += [row(length, length // 2, 3) for length in range(100, 180)]
    shelves = build_shelves(rows, [rows[::2], rows[1::2]])
    shapes: dict[Any, set[Any]] = {}
    for chosen in (rows, rows[::2], rows[5:9], rows[-3:]):
        filled = fill(chosen, shelves)
        assert sorted(map(id, chosen)) == sorted(id(r) for _, part in filled for r in part if r.weight)
        assert sum(len(part) for _, part in filled) < len(chosen) + sum(shelf.rows for shelf in shelves)
        for shelf, part in filled:
            assert len(part) == shelf.rows and all(len(r.token_ids) <= shelf.width for r in part)
            pixels = torch.zeros(len(part), 3, 16, 16) if shelf.pictures else None
            batch = shelf_batch(shelf, part, 1.0, IMAGE, pixels)
            shape = tuple(None if t is None else (t.shape, t.dtype) for t in batch.tensors())
            shapes.setdefault(shelf, set()).add(shape)
            assert batch.token_ids.shape == (shelf.rows, shelf.width)
            # What rows of no weight predict has no share.
            wanted = sum(r.weight for r in part)
            assert batch.shares.sum().item() == pytest.approx(wanted, abs=1e-4)
    assert len(shapes) == len(shelves)
    assert all(len(each) == 1 for shelf, each in shapes.items() if not shelf.long)
    assert all(len(each) <= 1 + shelf.answers // 1024 for shelf, each in shapes.items())


def test_training_on_shelves_ends_with_the_weights_of_the_plain_loop(tmp_path: Path) -> None:
    ends = []
    for kind in (Loop, ShelvedLoop):
        recipe = tiny_recipe(steps=4, evaluate_every=4, save_every=4)
        model = tiny_model()
        train, validation, bank = tiny_rows()
        trained = prepare(model, recipe)
        pictures = Pictures(bank, lambda films, _: plain(films), plain)
        loop = kind(model, trained, recipe, train, validation, pictures, tmp_path / kind.__name__, lambda _: None)
        if isinstance(loop, ShelvedLoop):
            # On a CPU nothing is recorded, but the batches are those that a GPU records.
            loop.graphs = GraphedSteps(trained, loop._static_loss, lambda _: None)
        loop.run()
        ends.append({name: value.detach().clone() for name, value in trained.items()})
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=1e-3, atol=1e-4)
