"""The mixture's draws are what the recipe says, and repeat by their generator."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from aris.errors import DataError
from aris.tuning.data.examples import TokenizedExample
from aris.tuning.data.mixture import Mixture


def short(task: str, answer: int, length: int = 10) -> TokenizedExample:
    return TokenizedExample(task, [*range(1, length - 1), answer, 106], length - 2, None)


EXAMPLES = [short("yesno", 11)] * 90 + [short("yesno", 12)] * 10 + [short("essay", i, 300) for i in range(200, 220)]


def test_shares_hold_whatever_the_lengths_and_the_counts() -> None:
    mixture = Mixture(EXAMPLES, {"yesno": 3, "essay": 1}, frozenset({"yesno"}))
    drawn = mixture.draw(20_000, torch.Generator().manual_seed(0))
    counts = Counter((row.task, row.token_ids[row.answer_start]) for row in drawn)
    assert counts["yesno", 11] / 20_000 == pytest.approx(0.375, abs=0.015)
    assert counts["yesno", 12] / 20_000 == pytest.approx(0.375, abs=0.015)
    essays = [counts["essay", i] for i in range(200, 220)]
    assert sum(essays) / 20_000 == pytest.approx(0.25, abs=0.015) and min(essays) > 150


def test_an_unbalanced_task_keeps_its_own_shares_and_a_task_left_out_never_comes() -> None:
    drawn = Mixture(EXAMPLES, {"yesno": 1}).draw(5000, torch.Generator().manual_seed(1))
    assert {row.task for row in drawn} == {"yesno"}
    assert sum(row.token_ids[row.answer_start] == 12 for row in drawn) / 5000 == pytest.approx(0.1, abs=0.02)


def test_a_draw_repeats_by_its_generator() -> None:
    mixture = Mixture(EXAMPLES, {"yesno": 1, "essay": 1})
    one, again, other = (mixture.draw(50, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert one == again != other


@pytest.mark.parametrize("shares", [{"yesno": 0.0}, {"yesno": -1}, {}, {"yesno": float("nan")}, {"typo": 1.0}])
def test_bad_shares_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(DataError, match="recipe"):
        Mixture(EXAMPLES, shares)
    with pytest.raises(DataError, match="'typo'"):
        Mixture(EXAMPLES, {"yesno": 1}, frozenset({"typo"}))
