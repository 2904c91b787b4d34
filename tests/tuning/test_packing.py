"""Micro-batches of like length waste little and lose nothing."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from aris.tuning.data.packing import pack


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60), st.integers(400, 3000), st.integers(0, 2000))
def test_micro_batches_hold_each_example_once_and_fit(lengths: list[int], budget: int, overhead: int) -> None:
    parts = pack(lengths, budget, overhead)
    assert sorted(index for part in parts for index in part) == list(range(len(lengths)))
    assert all(len(part) * max(lengths[i] for i in part) <= budget for part in parts)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=7), st.integers(0, 60))
def test_the_cut_is_the_cheapest_of_all(lengths: list[int], overhead: int) -> None:
    """Against every way to cut the sorted examples."""
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


def test_an_example_longer_than_the_budget_stands_alone() -> None:
    assert pack([5, 900, 6], 100, 0) == [[0], [2], [1]]
