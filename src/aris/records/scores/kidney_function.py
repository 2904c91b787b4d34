"""Estimated glomerular filtration: CKD-EPI 2021, bedside Schwartz, MDRD, Cockcroft-Gault, and the slope of years."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from aris.records.scores.conversions import creatinine_mg_dl
from aris.records.scores.outcome import Score, not_assessable
from aris.records.scores.trend import Trend, theil_sen

Sex = Literal["female", "male"]
RATE = "mL/min/{1.73_m2}"
CKD_EPI_SOURCE = (
    "Inker LA et al. New creatinine- and cystatin C-based equations to estimate GFR without race. "
    "N Engl J Med 2021;385:1737-1749"
)
SCHWARTZ_SOURCE = (
    "Schwartz GJ et al. New equations to estimate GFR in children with CKD. J Am Soc Nephrol 2009;20:629-637"
)
MDRD_SOURCE = (
    "Levey AS et al. Using standardized serum creatinine values in the MDRD study equation. Ann Intern Med "
    "2006;145:247-254 (without the coefficient for race)"
)
COCKCROFT_SOURCE = (
    "Cockcroft DW, Gault MH. Prediction of creatinine clearance from serum creatinine. Nephron 1976;16:31-41"
)
STAGE_SOURCE = "KDIGO 2024 Clinical Practice Guideline for CKD. Kidney Int 2024;105(4S):S117-S314, table 4"
ADULT = 18
_YEAR_DAYS = 365.25
# KDIGO 2024, G categories: (at least, name).
_CATEGORIES = ((90, "G1"), (60, "G2"), (45, "G3a"), (30, "G3b"), (15, "G4"), (0, "G5"))


def ckd_epi_2021(
    creatinine: float,
    *,
    unit: str = "umol/L",
    age: float | None,
    sex: str | None,
    pregnant: bool = False,
    dialysis: bool = False,
    unsteady: bool = False,
) -> Score:
    """Estimate GFR in adults by the CKD-EPI equation of 2021, which takes no race.

    Args:
        creatinine: serum, standardised (IDMS), in `unit`.
        unit: "umol/L", "mmol/L" or "mg/dL".
        age: years; from 18.
        sex: "female" or "male"; the equation has no other coefficient.
        pregnant, dialysis: it does not apply.
        unsteady: creatinine is changing, as in acute kidney injury: an estimate would mislead.
    """
    reason = _why_not(creatinine, age, sex, pregnant=pregnant, dialysis=dialysis)
    if not reason and age is not None and age < ADULT:
        reason = "below 18 years; bedside Schwartz is for children"
    if not reason and unsteady:
        reason = "creatinine is not steady (acute kidney injury); the equation does not apply"
    if reason or age is None:
        return not_assessable("eGFR (CKD-EPI 2021)", RATE, CKD_EPI_SOURCE, reason)
    female = sex == "female"
    ratio = creatinine_mg_dl(creatinine, unit) / (0.7 if female else 0.9)
    low = min(ratio, 1.0) ** (-0.241 if female else -0.302)
    value = 142 * low * max(ratio, 1.0) ** -1.200 * 0.9938**age * (1.012 if female else 1.0)
    return Score("eGFR (CKD-EPI 2021)", value, RATE, CKD_EPI_SOURCE, note=category(value))


def bedside_schwartz(
    creatinine: float, *, unit: str = "umol/L", height_cm: float | None, age: float | None, dialysis: bool = False
) -> Score:
    """Estimate GFR from 1 to 17 years by the bedside Schwartz equation: 0.413 x height / creatinine.

    Args:
        creatinine: serum, standardised (IDMS), in `unit`.
        unit: "umol/L", "mmol/L" or "mg/dL".
        height_cm: length or height.
        age: years.
        dialysis: it does not apply.
    """
    reason = _why_not(creatinine, age, "male", dialysis=dialysis)
    if not reason and age is not None and not 1 <= age < ADULT:
        reason = "outside 1 to 17 years"
    if not reason and (height_cm is None or height_cm <= 0):
        reason = "the height is not documented"
    if reason or height_cm is None:
        return not_assessable("eGFR (bedside Schwartz)", RATE, SCHWARTZ_SOURCE, reason)
    value = 0.413 * height_cm / creatinine_mg_dl(creatinine, unit)
    return Score("eGFR (bedside Schwartz)", value, RATE, SCHWARTZ_SOURCE, note=category(value))


def mdrd(creatinine: float, *, unit: str = "umol/L", age: float | None, sex: str | None) -> Score:
    """Estimate GFR in adults by the older MDRD equation, for records that compare with it."""
    reason = _why_not(creatinine, age, sex)
    if not reason and age is not None and age < ADULT:
        reason = "below 18 years"
    if reason or age is None:
        return not_assessable("eGFR (MDRD)", RATE, MDRD_SOURCE, reason)
    value = 175 * creatinine_mg_dl(creatinine, unit) ** -1.154 * age**-0.203 * (0.742 if sex == "female" else 1.0)
    return Score("eGFR (MDRD)", value, RATE, MDRD_SOURCE)


def cockcroft_gault(
    creatinine: float, *, unit: str = "umol/L", age: float | None, sex: str | None, weight_kg: float | None
) -> Score:
    """Estimate creatinine clearance (mL/min) in adults, as the labels of many drugs dose by it."""
    name = "creatinine clearance (Cockcroft-Gault)"
    reason = _why_not(creatinine, age, sex)
    if not reason and age is not None and age < ADULT:
        reason = "below 18 years"
    if not reason and (weight_kg is None or weight_kg <= 0):
        reason = "the weight is not documented"
    if reason or age is None or weight_kg is None:
        return not_assessable(name, "mL/min", COCKCROFT_SOURCE, reason)
    value = (140 - age) * weight_kg / (72 * creatinine_mg_dl(creatinine, unit)) * (0.85 if sex == "female" else 1.0)
    return Score(name, value, "mL/min", COCKCROFT_SOURCE)


def category(egfr: float) -> str:
    """Return KDIGO's category of a GFR in mL/min/1.73 m2, "G1" to "G5"; one value alone is no chronic disease."""
    return next(name for least, name in _CATEGORIES if egfr >= least)


def egfr_slope(
    times: Sequence[datetime], values: Sequence[float], *, span: timedelta = timedelta(days=365)
) -> Trend | None:
    """Fit the yearly change of eGFR by Theil-Sen.

    Args:
        times: of the estimates.
        values: mL/min/1.73 m2.
        span: the least between first and last, or there is no slope of years.

    Returns:
        The slope a year with its interval; None with fewer than three estimates, or within too short a span.
    """
    if len(times) < 3 or max(times) - min(times) < span:
        return None
    first = min(times)
    return theil_sen([(each - first).total_seconds() / 86400 / _YEAR_DAYS for each in times], values)


def _why_not(
    creatinine: float, age: float | None, sex: str | None, *, pregnant: bool = False, dialysis: bool = False
) -> str:
    if not creatinine > 0:
        return "creatinine must be above 0"
    if age is None:
        return "the age is not documented"
    if sex not in ("female", "male"):
        return "the sex is not documented as female or male; the equation has no other coefficient"
    if pregnant:
        return "pregnancy; the equation does not apply"
    return "dialysis; the equation does not apply" if dialysis else ""
