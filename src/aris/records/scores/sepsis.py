"""Screens for infection and failing organs: qSOFA, SIRS, and the shock index. None is a sole screen for sepsis."""

from __future__ import annotations

from aris.records.scores.outcome import Score, not_assessable, points

QSOFA_SOURCE = (
    "Singer M et al. The Third International Consensus Definitions for Sepsis and Septic Shock (Sepsis-3). "
    "JAMA 2016;315:801-810"
)
SIRS_SOURCE = (
    "Bone RC et al. ACCP/SCCM Consensus Conference: definitions for sepsis and organ failure. Chest 1992;101:1644-1655"
)
SHOCK_INDEX_SOURCE = "Allgöwer M, Burri C. Schockindex. Dtsch Med Wochenschr 1967;92:1947-1950"
ADULT = 18
_NEVER_ALONE = "not to be used as the only screen for sepsis (Surviving Sepsis Campaign 2021, recommendation 2)"


def qsofa(
    *,
    respiratory_rate: float | None = None,
    systolic: float | None = None,
    gcs: float | None = None,
    alert: bool | None = None,
    age: float | None = None,
) -> Score:
    """Count the criteria of the quick SOFA: respiration >= 22, systolic <= 100, altered mentation.

    Args:
        respiratory_rate: breaths a minute.
        systolic: mmHg.
        gcs: Glasgow coma scale, 3 to 15; altered below 15.
        alert: instead of `gcs`; False is altered.
        age: years; it was derived in adults.

    Returns:
        0 to 3; 2 or more is positive.
    """
    reason = _adults_only(age)
    if reason:
        return not_assessable("qSOFA", "1", QSOFA_SOURCE, reason)
    altered = gcs < 15 if gcs is not None else None if alert is None else not alert
    parts = {
        "respiratory rate": None if respiratory_rate is None else int(respiratory_rate >= 22),
        "systolic pressure": None if systolic is None else int(systolic <= 100),
        "mentation": None if altered is None else int(altered),
    }
    return points("qSOFA", QSOFA_SOURCE, parts, note=_NEVER_ALONE)


def sirs(
    *,
    temperature: float | None = None,
    pulse: float | None = None,
    respiratory_rate: float | None = None,
    pco2: float | None = None,
    leukocytes: float | None = None,
    bands: float | None = None,
    age: float | None = None,
) -> Score:
    """Count the criteria of the systemic inflammatory response syndrome.

    Args:
        temperature: degrees Celsius; > 38 or < 36.
        pulse: beats a minute; > 90.
        respiratory_rate: breaths a minute; > 20, or
        pco2: arterial, mmHg; < 32.
        leukocytes: 10^9/L; > 12 or < 4, or
        bands: immature forms, percent; > 10.
        age: years; the paediatric criteria differ.

    Returns:
        0 to 4; 2 or more is positive.
    """
    reason = _adults_only(age)
    if reason:
        return not_assessable("SIRS", "1", SIRS_SOURCE, reason)
    parts = {
        "temperature": None if temperature is None else int(temperature > 38 or temperature < 36),
        "pulse": None if pulse is None else int(pulse > 90),
        "respiration": _either(
            None if respiratory_rate is None else respiratory_rate > 20, None if pco2 is None else pco2 < 32
        ),
        "leukocytes": _either(
            None if leukocytes is None else leukocytes > 12 or leukocytes < 4, None if bands is None else bands > 10
        ),
    }
    return points("SIRS", SIRS_SOURCE, parts, note=_NEVER_ALONE)


def shock_index(*, pulse: float | None = None, systolic: float | None = None, age: float | None = None) -> Score:
    """Divide the pulse (a minute) by the systolic pressure (mmHg); above 0.9 to 1.0 in adults points to shock."""
    reason = _adults_only(age)
    missing = tuple(name for name, value in (("pulse", pulse), ("systolic pressure", systolic)) if value is None)
    if missing and not reason:
        reason = f"not documented: {', '.join(missing)}"
    if not reason and systolic is not None and systolic <= 0:
        reason = "a systolic pressure of 0"
    if reason or pulse is None or systolic is None:
        return not_assessable("shock index", "1", SHOCK_INDEX_SOURCE, reason, missing)
    return Score("shock index", pulse / systolic, "1", SHOCK_INDEX_SOURCE, {"pulse": pulse, "systolic": systolic})


def _either(first: bool | None, second: bool | None) -> int | None:
    known = [each for each in (first, second) if each is not None]
    return int(any(known)) if known else None


def _adults_only(age: float | None) -> str:
    if age is None:
        return "the age is not documented; it applies from 18 years"
    return "below 18 years; it was defined for adults" if age < ADULT else ""
