"""Creatinine in the units that its formulas were published in.

The record's measurements come normalised (`aris.records.units`); these let a score be asked with either unit.
"""

from __future__ import annotations

# µmol/L per mg/dL: 10 000 / 113.12 g/mol rounds to 88.40; KDIGO's and CKD-EPI's own tables use 88.4.
UMOL_PER_MG_DL = 88.4
_TO_UMOL = {
    "umol/L": 1.0, "µmol/L": 1.0, "μmol/L": 1.0, "mmol/L": 1000.0, "nmol/mL": 1.0,
    "mg/dL": UMOL_PER_MG_DL, "mg/L": UMOL_PER_MG_DL / 10, "mg/100mL": UMOL_PER_MG_DL,
}  # fmt: skip


def creatinine_umol(value: float, unit: str) -> float:
    """Return a creatinine in µmol/L.

    Raises:
        ValueError: the unit is none of creatinine's.
    """
    factor = _TO_UMOL.get(unit)
    if factor is None:
        raise ValueError(f"creatinine in {unit!r:.40}: give umol/L, mmol/L or mg/dL")
    return value * factor


def creatinine_mg_dl(value: float, unit: str) -> float:
    """Return a creatinine in mg/dL.

    Raises:
        ValueError: the unit is none of creatinine's.
    """
    return value if unit == "mg/dL" else creatinine_umol(value, unit) / UMOL_PER_MG_DL
