"""Batches: the mixture is what the recipe says, and packing wastes little and loses nothing."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aris.errors import DataError
from aris.tuning.data.collate import Mixture, collate, pack
from aris.tuning.data.rows import TokenRow


def short(task: str, answer: int, length: int = 10) -> TokenRow:
    return TokenRow(task, [*range(1, length - 1), answer, 106], length - 2, None)


ROWS = [short("yesno", 11)] * 90 + [short("yesno", 12)] * 10 + [short("essay", i, 300) for i in range(200, 220)]


def test_shares_hold_whatever_the_lengths_and_the_counts() -> None:
    mixture = Mixture(ROWS, {"yesno": 3, "essay": 1}, frozenset({"yesno"}))
    drawn = mixture.draw(20_000, torch.Generator().manual_seed(0))
    counts = Counter((row.task, row.token_ids[row.answer_start]) for row in drawn)
    assert counts["yesno", 11] / 20_000 == pytest.approx(0.375, abs=0.015)
    assert counts["yesno", 12] / 20_000 == pytest.approx(0.375, abs=0.015)
    essays = [counts["essay", i] for i in range(200, 220)]
    assert sum(essays) / 20_000 == pytest.approx(0.25, abs=0.015) and min(essays) > 150


def test_an_unbalanced_task_keeps_its_own_shares_and_a_task_left_out_never_comes() -> None:
    drawn = Mixture(ROWS, {"yesno": 1}).draw(5000, torch.Generator().manual_seed(1))
    assert {row.task for row in drawn} == {"yesno"}
    assert sum(row.token_ids[row.answer_start] == 12 for row in drawn) / 5000 == pytest.approx(0.1, abs=0.02)


def test_a_draw_repeats_by_its_generator() -> None:
    mixture = Mixture(ROWS, {"yesno": 1, "essay": 1})
    one, again, other = (mixture.draw(50, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert one == again != other


@pytest.mark.parametrize("shares", [{"yesno": 0.0}, {"yesno": -1}, {}, {"yesno": float("nan")}, {"typo": 1.0}])
def test_bad_shares_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(DataError, match="recipe"):
        Mixture(ROWS, shares)
    with pytest.raises(DataError, match="'typo'"):
        Mixture(ROWS, {"yesno": 1}, frozenset({"typo"}))


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60), st.integers(400, 3000), st.integers(0, 2000))
def test_parts_hold_each_row_once_and_fit(lengths: list[int], budget: int, overhead: int) -> None:
    parts = pack(lengths, budget, overhead)
    assert sorted(index for part in parts for index in part) == list(range(len(lengths)))
    assert all(len(part) * max(lengths[i] for i in part) <= budget for part in parts)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=7), st.integers(0, 60))
def test_the_cut_is_the_cheapest_of_all(lengths: list[int], overhead: int) -> None:
    """Against every way to cut the sorted rows."""
    ordered = sorted(lengths)
    best = float("inf")
    for cuts in product([False, True], repeat=len(ordered) - 1):
        parts, at = [], 0
        for stop in [i + 1 for i, cut in enumerate(cuts) if cut] + [len(ordered)]:
            parts.append(ordered[at:stop])
            at = stop
        if all(len(part) * part[-1] <= 90 or len(part) == 1 for part in parts):
            best = min(best, sum(len(part) * part[-1] + overhead for part in parts))
    packed = pack(lengths, 90, overhead)
    assert sum(len(part) * max(lengths[i] for i in part) + overhead for part in packed) == best


def test_a_row_longer_than_the_budget_stands_alone() -> None:
    assert pack([5, 900, 6], 100, 0) == [[0], [2], [1]]


def test_padding_and_places() -> None:
    rows = [
        TokenRow("a", [5, 6, 7], 2, 4, weight=2.0),
        TokenRow("b", [1, 2, 3, 4, 8, 9], 1, 7, ((1, 2), (4, 6)), (7, 1)),
    ]
    batch = collate(rows)
    assert batch.token_ids.tolist() == [[5, 6, 7, 0, 0, 0], [1, 2, 3, 4, 8, 9]]
    assert batch.row_index.tolist() == [0, 1, 1, 1]
    assert batch.token_index.tolist() == [1, 0, 3, 4]
    assert batch.targets.tolist() == [7, 2, 8, 9]
    assert batch.pictures.tolist() == [4, 7, 1] and batch.weights.tolist() == [2.0, 1.0]
