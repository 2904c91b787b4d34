"""Platt scaling of scores that nearly tell the classes apart."""

from __future__ import annotations

import pytest
import torch

from aris.tuning.nano.calibrate import platt


@pytest.mark.parametrize("shift", [-4.0, 0.0, 3.0, 8.0])
@pytest.mark.parametrize("apart", [1.0, 6.0, 12.0])
def test_the_fit_is_finite_and_calls_both_classes(apart: float, shift: float) -> None:
    source = torch.Generator().manual_seed(0)
    positive = torch.arange(600) % 3 > 0
    logits = torch.randn(600, generator=source) * 1.5 + torch.where(positive, apart, -apart) / 2 + shift
    slope, intercept = platt(logits, positive)
    assert 0.1 < slope < 10
    called = torch.sigmoid(slope * logits + intercept) >= 0.5
    middle = logits >= shift
    # Both classes weigh the same, so the threshold lies about halfway between them.
    assert (called == middle).float().mean() > 0.93


def test_it_recovers_a_line() -> None:
    source = torch.Generator().manual_seed(1)
    logits = torch.randn(20_000, generator=source) * 2
    positive = torch.rand(20_000, generator=source) < torch.sigmoid(1.7 * logits)
    slope, intercept = platt(logits, positive)
    assert slope == pytest.approx(1.7, abs=0.1) and intercept == pytest.approx(0.0, abs=0.1)
