"""Clinical scores as pure functions: each with its source, where it applies, and "not assessable" where it does not."""

from aris.records.scores.delta import Delta, Point, largest_change
from aris.records.scores.kdigo import Creatinine, KidneyInjury, UrineSpan, kdigo
from aris.records.scores.kidney_function import (
    bedside_schwartz,
    ckd_epi_2021,
    cockcroft_gault,
    egfr_slope,
    mdrd,
)
from aris.records.scores.news2 import news2
from aris.records.scores.outcome import Score
from aris.records.scores.sepsis import qsofa, shock_index, sirs
from aris.records.scores.trend import Trend, theil_sen

__all__ = [
    "Creatinine",
    "Delta",
    "KidneyInjury",
    "Point",
    "Score",
    "Trend",
    "UrineSpan",
    "bedside_schwartz",
    "ckd_epi_2021",
    "cockcroft_gault",
    "egfr_slope",
    "kdigo",
    "largest_change",
    "mdrd",
    "news2",
    "qsofa",
    "shock_index",
    "sirs",
    "theil_sen",
]
