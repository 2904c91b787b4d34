"""Trends that a single outlier does not turn: Theil-Sen's slope with its interval.

Sen PK. Estimates of the regression coefficient based on Kendall's tau. J Am Stat Assoc 1968;63:1379-1389.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

SOURCE = "Sen PK. Estimates of the regression coefficient based on Kendall's tau. J Am Stat Assoc 1968;63:1379-1389"

_MOST = 1500


@dataclass(frozen=True)
class Trend:
    """A robust line through measurements.

    Attributes:
        slope: change of the value a unit of time.
        low, high: the slope's confidence interval.
        intercept: the value at time 0, by medians.
        n: how many measurements it rests on.
        confidence: of the interval, as 0.95.
    """

    slope: float
    low: float
    high: float
    intercept: float
    n: int
    confidence: float


def theil_sen(times: Sequence[float], values: Sequence[float], confidence: float = 0.95) -> Trend | None:
    """Fit a line by the median of all pairs' slopes.

    The pairs grow with the square of the measurements: of more than 1,500, neighbours in time are first made one by
    their medians, so that 1,500 are left at most. The interval then is that of so many, and wider.

    Args:
        times: in any unit; the slope is a unit of it. Equal times are allowed, their pairs give no slope.
        values: as many.
        confidence: between 0 and 1.

    Returns:
        The line, or None where fewer than two different times are there.

    Raises:
        ValueError: the lengths differ, or a number is not finite.
    """
    x, y = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError("times and values must be two sequences of one length")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("times and values must be finite")
    count = len(x)
    if count > _MOST:
        x, y = _thinned(x, y)
    first, second = np.triu_indices(len(x), k=1)
    run = x[second] - x[first]
    some = run != 0
    if not some.any():
        return None
    slopes = np.sort((y[second] - y[first])[some] / run[some])
    slope = float(np.median(slopes))
    low, high = _interval(slopes, x, y, confidence)
    return Trend(slope, low, high, float(np.median(y) - slope * np.median(x)), count, confidence)


def _thinned(
    x: np.ndarray[tuple[int], np.dtype[np.float64]], y: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Medians of as many neighbours in time as it takes to have few."""
    order = np.argsort(x, kind="stable")
    groups = np.array_split(order, _MOST)
    return np.array([np.median(x[g]) for g in groups]), np.array([np.median(y[g]) for g in groups])


def _interval(
    slopes: np.ndarray[tuple[int], np.dtype[np.float64]],
    x: np.ndarray[tuple[int], np.dtype[np.float64]],
    y: np.ndarray[tuple[int], np.dtype[np.float64]],
    confidence: float,
) -> tuple[float, float]:
    """Sen's interval: the order statistics about the median that Kendall's variance, with its ties, spans."""
    n = len(x)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    ties = 0.0
    for axis in (x, y):
        _, counts = np.unique(axis, return_counts=True)
        ties += float(sum(k * (k - 1) * (2 * k + 5) for k in counts.tolist()))
    variance = (n * (n - 1) * (2 * n + 5) - ties) / 18
    if variance <= 0:  # ties alone
        return -math.inf, math.inf
    half = z * math.sqrt(variance)
    lower = round((len(slopes) - half) / 2) - 1
    upper = round((len(slopes) + half) / 2)
    # Of so few measurements no order statistics are far enough out: nothing is known.
    if lower < 0 or upper > len(slopes) - 1:
        return -math.inf, math.inf
    return float(slopes[lower]), float(slopes[upper])
