"""Calibration and discrimination of probabilities: figures with bootstrap intervals.

Plain numpy, small and vectorised: a site's own labels are hundreds or thousands of films.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
BINS = 10


@dataclass(frozen=True)
class Figure:
    """A value with its 95 % interval: percentiles of bootstrap samples."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def auc(p: Floats, truth: Bools) -> float:
    """Area under the ROC curve: the share of pairs in order, ties half; NaN with one class alone."""
    positives = int(truth.sum())
    if positives in (0, len(truth)):
        return float("nan")
    _, inverse, counts = np.unique(p, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * (len(truth) - positives)))


def brier(p: Floats, truth: Bools) -> float:
    """Mean squared difference of probability and truth."""
    return float(((p - truth) ** 2).mean())


def bins(p: Floats, truth: Bools, count: int = BINS) -> list[tuple[float, float, int]]:
    """(mean probability, share that is true, how many) of up to `count` groups of about equal size, by probability."""
    order = np.argsort(p, kind="stable")
    return [
        (float(p[part].mean()), float(truth[part].mean()), len(part))
        for part in np.array_split(order, min(count, len(p)))
        if len(part)
    ]


def ece(p: Floats, truth: Bools) -> float:
    """Expected calibration error over bins of equal size (Nixon et al., CVPR workshops 2019)."""
    return sum(abs(mean - share) * n for mean, share, n in bins(p, truth)) / len(p)


def sensitivity(p: Floats, truth: Bools, threshold: float) -> float:
    """Share of the true that reach the threshold."""
    return float((p[truth] >= threshold).mean()) if truth.any() else float("nan")


def specificity(p: Floats, truth: Bools, threshold: float) -> float:
    """Share of the false that stay under the threshold."""
    return float((p[~truth] < threshold).mean()) if (~truth).any() else float("nan")


def bootstrap(
    measure: Callable[[Floats, Bools], float],
    p: Floats,
    truth: Bools,
    groups: npt.NDArray[np.int64],
    *,
    samples: int = 1000,
    seed: int = 0,
) -> Figure:
    """A figure with its interval; whole groups (patients) are drawn with replacement.

    Args:
        measure: of probabilities and truth, each (N,).
        groups: (N,) the patient of each film, from 0.
    """
    random = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == group) for group in range(int(groups.max()) + 1)]
    values = []
    for _ in range(samples):
        drawn = np.concatenate([members[group] for group in random.integers(0, len(members), len(members))])
        values.append(measure(p[drawn], truth[drawn]))
    low, high = np.nanpercentile(values, (2.5, 97.5)) if not np.isnan(values).all() else (np.nan, np.nan)
    return Figure(measure(p, truth), float(low), float(high))
