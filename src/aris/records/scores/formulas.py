"""Formulas of the bedside: electrolytes, acid and base, heart and body. Values in, value out; None where undefined.

Each names its publication. Units are in the arguments' names; concentrations of sodium, chloride and bicarbonate in
mmol/L equal mEq/L.
"""

from __future__ import annotations

import math


def anion_gap(*, sodium: float, chloride: float, bicarbonate: float) -> float:
    """Return sodium - chloride - bicarbonate, mmol/L (Emmett M, Narins RG. Medicine 1977;56:38-54)."""
    return sodium - chloride - bicarbonate


def corrected_anion_gap(gap: float, *, albumin_g_dl: float) -> float:
    """Return the gap as it would be at an albumin of 4 g/dL (Figge J et al. Crit Care Med 1998;26:1807-1810)."""
    return gap + 2.5 * (4.0 - albumin_g_dl)


def delta_gap(gap: float) -> float:
    """Return an anion gap's distance from 12 mmol/L (Wrenn K. Ann Emerg Med 1990;19:1310-1313)."""
    return gap - 12.0


def delta_ratio(gap: float, *, bicarbonate: float) -> float | None:
    """Return the rise of the gap over the fall of bicarbonate from 24 mmol/L (Wrenn 1990); None at 24."""
    fall = 24.0 - bicarbonate
    return delta_gap(gap) / fall if fall else None


def corrected_calcium(*, calcium_mg_dl: float, albumin_g_dl: float) -> float:
    """Return calcium, mg/dL, as it would be at an albumin of 4 g/dL (Payne RB et al. BMJ 1973;4:643-646)."""
    return calcium_mg_dl + 0.8 * (4.0 - albumin_g_dl)


def corrected_sodium(*, sodium: float, glucose_mg_dl: float) -> float:
    """Return sodium, mmol/L, at a glucose of 100 mg/dL (Hillier TA et al. Am J Med 1999;106:399-403: 2.4 per 100)."""
    return sodium + 0.024 * (glucose_mg_dl - 100.0)


def osmolality(*, sodium: float, glucose_mg_dl: float, urea_nitrogen_mg_dl: float) -> float:
    """Return calculated serum osmolality, mOsm/kg (Dorwart WV, Chalmers L. Clin Chem 1975;21:190-194)."""
    return 2 * sodium + urea_nitrogen_mg_dl / 2.8 + glucose_mg_dl / 18.0


def fractional_sodium_excretion(
    *, sodium: float, creatinine_mg_dl: float, urine_sodium: float, urine_creatinine_mg_dl: float
) -> float | None:
    """Return the excreted share of filtered sodium, percent (Espinel CH. JAMA 1976;236:579-581)."""
    filtered = sodium * urine_creatinine_mg_dl
    return 100 * creatinine_mg_dl * urine_sodium / filtered if filtered else None


def ldl_friedewald(*, total_mg_dl: float, hdl_mg_dl: float, triglycerides_mg_dl: float) -> float | None:
    """Return LDL cholesterol, mg/dL (Friedewald WT. Clin Chem 1972;18:499-502); None from triglycerides of 400 on."""
    return None if triglycerides_mg_dl >= 400 else total_mg_dl - hdl_mg_dl - triglycerides_mg_dl / 5


def mean_arterial_pressure(*, systolic: float, diastolic: float) -> float:
    """Return the mean arterial pressure, mmHg: a third of the way from diastolic to systolic."""
    return diastolic + (systolic - diastolic) / 3


def qtc_bazett(*, qt_ms: float, pulse: float) -> float:
    """Return QT corrected by the root of RR, ms (Bazett HC. Heart 1920;7:353-370)."""
    return qt_ms / math.sqrt(60 / pulse)


def qtc_fridericia(*, qt_ms: float, pulse: float) -> float:
    """Return QT corrected by the cube root of RR, ms (Fridericia LS. Acta Med Scand 1920;53:469-486)."""
    return qt_ms / (60 / pulse) ** (1 / 3)


def qtc_framingham(*, qt_ms: float, pulse: float) -> float:
    """Return QT + 154 (1 - RR), ms (Sagie A et al. Am J Cardiol 1992;70:797-801)."""
    return qt_ms + 154 * (1 - 60 / pulse)


def qtc_hodges(*, qt_ms: float, pulse: float) -> float:
    """Return QT + 1.75 (pulse - 60), ms (Hodges M et al. J Am Coll Cardiol 1983;1:694)."""
    return qt_ms + 1.75 * (pulse - 60)


def qtc_rautaharju(*, qt_ms: float, pulse: float) -> float:
    """Return QT (120 + pulse) / 180, ms (Rautaharju PM et al. J Electrocardiol 1993;26 Suppl:175-180)."""
    return qt_ms * (120 + pulse) / 180


def body_mass_index(*, weight_kg: float, height_cm: float) -> float:
    """Return kg/m2 (Quetelet)."""
    return weight_kg / (height_cm / 100) ** 2


def body_surface_area(*, weight_kg: float, height_cm: float) -> float:
    """Return m2 (Mosteller RD. N Engl J Med 1987;317:1098)."""
    return math.sqrt(weight_kg * height_cm / 3600)


def ideal_body_weight(*, height_cm: float, sex: str) -> float:
    """Return kg (Devine BJ. Drug Intell Clin Pharm 1974;8:650-655)."""
    return (45.5 if sex == "female" else 50.0) + 2.3 * (height_cm / 2.54 - 60)


def adjusted_body_weight(*, weight_kg: float, height_cm: float, sex: str) -> float:
    """Return kg: ideal weight and 40% of what is above it (Bauer LA. Applied Clinical Pharmacokinetics)."""
    ideal = ideal_body_weight(height_cm=height_cm, sex=sex)
    return ideal + 0.4 * (weight_kg - ideal)


def fib_4(*, age: float, ast: float, alt: float, platelets: float) -> float | None:
    """Return the FIB-4 index of liver fibrosis (Sterling RK et al. Hepatology 2006;43:1317-1325).

    Args:
        age: years.
        ast, alt: U/L.
        platelets: 10^9/L.
    """
    below = platelets * math.sqrt(alt) if alt > 0 else 0.0
    return age * ast / below if below else None
