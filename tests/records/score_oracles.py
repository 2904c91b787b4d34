"""A second implementation of the scores, written from the published tables in another way: for tests alone."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

# NEWS2, chart 1, transcribed row by row: (lowest, highest) inclusive in the chart's precision -> points.
_CHART = {
    "rr": [((-math.inf, 8), 3), ((9, 11), 1), ((12, 20), 0), ((21, 24), 2), ((25, math.inf), 3)],
    "spo2": [((-math.inf, 91), 3), ((92, 93), 2), ((94, 95), 1), ((96, math.inf), 0)],
    "spo2_2": [((-math.inf, 83), 3), ((84, 85), 2), ((86, 87), 1), ((88, 92), 0)],
    "spo2_2_oxygen": [((93, 94), 1), ((95, 96), 2), ((97, math.inf), 3)],
    "sbp": [((-math.inf, 90), 3), ((91, 100), 2), ((101, 110), 1), ((111, 219), 0), ((220, math.inf), 3)],
    "pulse": [((-math.inf, 40), 3), ((41, 50), 1), ((51, 90), 0), ((91, 110), 1),
              ((111, 130), 2), ((131, math.inf), 3)],
    "temp": [((-math.inf, 35.0), 3), ((35.1, 36.0), 1), ((36.1, 38.0), 0), ((38.1, 39.0), 1), ((39.1, math.inf), 2)],
}  # fmt: skip


def _look_up(row, value):
    (found,) = [points for (low, high), points in _CHART[row] if low <= value <= high]
    return found


def news2_total(rr, spo2, oxygen, sbp, pulse, alert, temp, scale_2=False):
    """The sum for whole numbers, and a temperature in tenths."""
    if not scale_2:
        saturation = _look_up("spo2", spo2)
    elif spo2 <= 92:
        saturation = _look_up("spo2_2", spo2)
    else:
        saturation = _look_up("spo2_2_oxygen", spo2) if oxygen else 0
    return (
        _look_up("rr", rr) + saturation + (2 if oxygen else 0) + _look_up("sbp", sbp) + _look_up("pulse", pulse)
        + (0 if alert else 3) + _look_up("temp", temp)
    )  # fmt: skip


def kdigo_stage(samples: list[tuple[datetime, float]], now: datetime) -> int | None:
    """The stage by creatinine (mg/dL) at the newest sample, from the guideline's text.

    Works from every pair of samples, not from minima.
    """
    samples = sorted(each for each in samples if each[0] <= now)
    if not samples or now - samples[-1][0] > timedelta(hours=48):
        return None
    at, value = samples[-1]
    earlier = samples[:-1]
    week = [scr for when, scr in earlier if at - when <= timedelta(days=7)]
    year: list[float] = []
    opening = min((when for when, _ in samples if at - when <= timedelta(days=7)), default=at)
    if not [when for when, _ in samples if when < opening and opening - when <= timedelta(days=7)]:
        year = sorted(scr for when, scr in samples if timedelta(days=7) < opening - when <= timedelta(days=365))
    if not week and not year:
        return None
    ratios = [value / scr for scr in week]
    if year:
        half = len(year) // 2
        ratios.append(value / (year[half] if len(year) % 2 else (year[half - 1] + year[half]) / 2))
    injured = any(ratio > 1.4989 for ratio in ratios) or any(
        value - scr > 0.2997 for when, scr in earlier if at - when <= timedelta(hours=48)
    )
    if not injured:
        return 0
    worst = max(ratios)
    if worst > 2.9989 or value > 3.9999:
        return 3
    return 2 if worst > 1.9989 else 1


def ckd_epi(scr_mg_dl: float, age: float, female: bool) -> float:
    """Table S of the paper, as its four branches."""
    if female and scr_mg_dl <= 0.7:
        return 143 * (142 * 1.012 / 143) * (scr_mg_dl / 0.7) ** -0.241 * 0.9938**age
    if female:
        return 142 * 1.012 * (scr_mg_dl / 0.7) ** -1.200 * 0.9938**age
    if scr_mg_dl <= 0.9:
        return 142 * (scr_mg_dl / 0.9) ** -0.302 * 0.9938**age
    return 142 * (scr_mg_dl / 0.9) ** -1.200 * 0.9938**age
