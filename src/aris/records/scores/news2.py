"""NEWS2, the National Early Warning Score of the Royal College of Physicians (2017).

Reproduced from: Royal College of Physicians. National Early Warning Score (NEWS) 2: Standardising the assessment of
acute-illness severity in the NHS. Updated report of a working party. London: RCP, 2017.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from aris.records.scores.outcome import Score, not_assessable, points

NAME = "NEWS2"
SOURCE = (
    "Royal College of Physicians. National Early Warning Score (NEWS) 2. Updated report of a working party. "
    "London: RCP, 2017"
)
YOUNGEST = 16

# Chart 1 of the report: (the highest value of the band, its points), lowest band first.
Bands = Sequence[tuple[float, int]]
_RESPIRATION: Bands = ((8, 3), (11, 1), (20, 0), (24, 2), (math.inf, 3))
_SATURATION_1: Bands = ((91, 3), (93, 2), (95, 1), (math.inf, 0))
_SATURATION_2_AIR: Bands = ((83, 3), (85, 2), (87, 1), (math.inf, 0))
_SATURATION_2_OXYGEN: Bands = ((83, 3), (85, 2), (87, 1), (92, 0), (94, 1), (96, 2), (math.inf, 3))
_SYSTOLIC: Bands = ((90, 3), (100, 2), (110, 1), (219, 0), (math.inf, 3))
_PULSE: Bands = ((40, 3), (50, 1), (90, 0), (110, 1), (130, 2), (math.inf, 3))
_TEMPERATURE: Bands = ((35.0, 3), (36.0, 1), (38.0, 0), (39.0, 1), (math.inf, 2))


def news2(
    *,
    respiratory_rate: float | None = None,
    spo2: float | None = None,
    supplemental_oxygen: bool | None = None,
    systolic: float | None = None,
    pulse: float | None = None,
    alert: bool | None = None,
    temperature: float | None = None,
    age: float | None = None,
    pregnant: bool = False,
    scale_2: bool = False,
) -> Score:
    """Score the seven parameters of NEWS2.

    Args:
        respiratory_rate: breaths a minute.
        spo2: percent.
        supplemental_oxygen: whether oxygen is given; None is not known, which scores the saturation on scale 2 as
            on air and gives no points for oxygen.
        systolic: mmHg.
        pulse: beats a minute.
        alert: False for new confusion, voice, pain or unresponsive (ACVPU).
        temperature: degrees Celsius.
        age: years; below 16 the score does not apply, and unknown is not assessable.
        pregnant: it does not apply.
        scale_2: a target saturation of 88-92% was prescribed by a clinician; never inferred.

    Returns:
        0 to 20 points; with missing parameters the least that it can be. `note` is the report's level of response.
    """
    if age is None:
        return not_assessable(NAME, "1", SOURCE, "the age is not documented; NEWS2 applies from 16 years")
    if age < YOUNGEST:
        return not_assessable(NAME, "1", SOURCE, "below 16 years; NEWS2 was not made for children")
    if pregnant:
        return not_assessable(NAME, "1", SOURCE, "pregnancy; NEWS2 does not apply")
    saturation = _SATURATION_1
    if scale_2:
        saturation = _SATURATION_2_OXYGEN if supplemental_oxygen else _SATURATION_2_AIR
    parts = {
        "respiratory rate": _band(respiratory_rate, _RESPIRATION),
        "SpO2": _band(spo2, saturation),
        "supplemental oxygen": None if supplemental_oxygen is None else 2 * supplemental_oxygen,
        "systolic pressure": _band(systolic, _SYSTOLIC),
        "pulse": _band(pulse, _PULSE),
        "consciousness": None if alert is None else 0 if alert else 3,
        "temperature": _band(temperature, _TEMPERATURE, decimals=1),
    }
    score = points(NAME, SOURCE, parts)
    if score.value is None:
        return score
    red = any(value == 3 for value in parts.values())
    return points(NAME, SOURCE, parts, note=level(score.value, red=red))


def level(total: float, *, red: bool) -> str:
    """Return the report's clinical risk of a score: "low", "low-medium", "medium" or "high".

    Args:
        total: the aggregate score.
        red: whether a single parameter has 3 points.
    """
    if total >= 7:
        return "high"
    if total >= 5:
        return "medium"
    return "low-medium" if red else "low"


def _band(value: float | None, bands: Bands, decimals: int = 0) -> int | None:
    """Points of a value, which is first rounded (half up) to the chart's own precision."""
    if value is None or not math.isfinite(value):
        return None
    scale = 10**decimals
    rounded = math.floor(value * scale + 0.5 + 1e-9) / scale
    return next(given for highest, given in bands if rounded <= highest)
