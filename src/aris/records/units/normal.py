"""Values in the unit that Aris compares a quantity in. A unit that is not known is said to be, and never guessed."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from aris.records.units.syntax import is_unit
from aris.records.units.tables import Analyte, aliases, analytes_by_code, factors
from aris.records.units.ucum import UnitError, convert_ucum

NO_UNIT = "no unit is stated"
UNKNOWN = "the unit is not known"
AMBIGUOUS = "the unit can mean two things for this test"
OTHER_KIND = "the unit does not fit what is measured"
_BRACES = re.compile(r"\{[^{}]*\}")
_LITRE = re.compile(r"(?<![A-Za-z\[])([munpfdck]?)l(?![A-Za-z\]])")
_FARTHEST = 1e7  # no two units of one test are further apart
_KINDS = {"mass concentration", "substance concentration", "charge concentration"}


class Normal(NamedTuple):
    """A value in the unit that Aris compares it in, or why there is none.

    Attributes:
        value: the number, or `None`.
        unit: its UCUM unit; empty where there is no number.
        problem: why there is no number; empty where there is one.
    """

    value: float | None
    unit: str
    problem: str


class _Line(NamedTuple):
    """Conversion of a number: value * factor + offset, in `unit`; or the problem."""

    factor: float
    offset: float
    unit: str
    problem: str


def normalise(loinc: str | None, value: float, unit: str) -> Normal:
    """Return a value in the unit that Aris compares its quantity in.

    Args:
        loinc: the code of what is measured, or `None`. Without one of `loinc.yaml` a known unit stays as it is.
        value: the number.
        unit: as the record writes it: UCUM, or a common spelling.
    """
    line = _line(loinc if loinc in analytes_by_code() else None, unit)
    if line.problem:
        return Normal(None, "", line.problem)
    if line.factor == 1.0 and line.offset == 0.0:
        return Normal(value, line.unit, "")
    return Normal(_rounded(value * line.factor + line.offset), line.unit, "")


def convert(value: float, unit: str, to: str, *, loinc: str | None = None) -> float:
    """Convert a number from one unit to another.

    Args:
        value: the number.
        unit: its unit: UCUM, or a common spelling.
        to: the wanted unit, likewise.
        loinc: what is measured: allows conversion between mass and substance concentration, and from milliequivalents.

    Raises:
        UnitError: a unit is not known, or the two are not of the same kind of quantity.
    """
    analyte = analytes_by_code().get(loinc or "")
    source, target = _code(unit, analyte), _code(to, analyte)
    if not source or not target:
        raise UnitError("no unit is given; nothing was converted")
    if analyte is not None:
        if _contradicts(unit, analyte) or _contradicts(to, analyte):
            raise UnitError("D-dimer in FEU and in DDU differ about twofold; nothing was converted")
        forth, back = _line(loinc, unit), _line(loinc, to)
        if not forth.problem and not back.problem:
            return _rounded((value * forth.factor + forth.offset - back.offset) / back.factor)
    pair = _between(source, target, analyte)
    if pair is None:
        raise UnitError("the units are not of the same kind of quantity, or one is not known; nothing was converted")
    return _rounded(value * pair[0] + pair[1])


def quantity_name(loinc: str | None) -> str | None:
    """The name of what a LOINC code measures, such as "creatinine", or `None` where the table has no such code."""
    analyte = analytes_by_code().get(loinc or "")
    return analyte.name if analyte else None


@lru_cache(maxsize=8192)
def _line(loinc: str | None, unit: str) -> _Line:
    analyte = analytes_by_code().get(loinc or "")
    code = _code(unit, analyte)
    if not code:
        if analyte is not None and analyte.unit == "1":
            return _Line(1.0, 0.0, "1", "")
        return _Line(1.0, 0.0, "", NO_UNIT)
    if analyte is None:
        return _Line(1.0, 0.0, code, "" if _known(code) else UNKNOWN)
    if _contradicts(unit, analyte):
        return _Line(1.0, 0.0, "", OTHER_KIND)
    if code in analyte.ambiguous:
        return _Line(1.0, 0.0, "", AMBIGUOUS)
    if code in analyte.also:
        return _Line(*analyte.also[code], analyte.unit, "")
    pair = _between(code, _code(analyte.unit, analyte), analyte)
    if pair is None:
        return _Line(1.0, 0.0, "", OTHER_KIND if _known(code) else UNKNOWN)
    return _Line(*pair, analyte.unit, "")


def _contradicts(unit: str, analyte: Analyte) -> bool:
    """Return whether a unit ("ng/mL{DDU}", "ng/mL DDU") names another kind of unit than the test's."""
    said = unit.upper()
    return bool(analyte.annotation) and ("FEU" in said or "DDU" in said) and analyte.annotation not in said


def _known(code: str) -> bool:
    return code in factors() or is_unit(code)


def _code(unit: str, analyte: Analyte | None) -> str:
    """The UCUM code for a unit as written, without annotations; "" for none."""
    unit = unit.strip()
    if analyte is not None and unit in analyte.aliases:
        return analyte.aliases[unit]
    unit = aliases().get(unit, unit).replace("µ", "u").replace("μ", "u")
    if unit in factors():
        return unit
    unit = aliases().get(unit, unit)
    had = "{" in unit
    unit = _BRACES.sub("", unit) if had else unit
    if had and unit in ("", "/"):
        return "1"
    if had:
        unit = unit.strip(".").removesuffix("/").replace("//", "/")
    if unit not in factors():
        litre = _LITRE.sub(r"\1L", unit)
        litre = aliases().get(litre, litre)
        unit = litre if litre in factors() else aliases().get(unit, unit)
    return unit


def _between(source: str, target: str, analyte: Analyte | None) -> tuple[float, float] | None:
    """(factor, offset) from one UCUM code to another, or `None`."""
    if source == target:
        return 1.0, 0.0
    known = factors()
    one, other = known.get(source), known.get(target)
    if one is not None and other is not None:
        if one.kind == other.kind:
            return one.factor / other.factor, one.offset * one.factor / other.factor - other.offset
        bridge = _bridge(one.kind, other.kind, analyte)
        return None if bridge is None else (one.factor * bridge / other.factor, 0.0)
    if not (is_unit(source) and is_unit(target)) or "eq" in source or "eq" in target:
        return None  # UCUM counts an equivalent as a mole, which holds for one charge only
    try:
        zero, unity = convert_ucum(0.0, source, target), convert_ucum(1.0, source, target)
    except UnitError:
        return None
    factor = unity - zero
    # "Mg/dL" is UCUM's megagram: no laboratory means that, and what it means is not guessed.
    return (factor, zero) if 1 / _FARTHEST <= abs(factor) <= _FARTHEST else None


def _bridge(one: str, other: str, analyte: Analyte | None) -> float | None:
    """The factor between the base units of two kinds, by the molar mass or the valence of what is measured."""
    if analyte is None:
        return None
    if analyte.ratio and analyte.molar_mass:  # mg/mmol of creatinine = mg/g * molar mass in g/mmol
        if (one, other) == ("mass per substance", "fraction"):
            return 1.0 / analyte.molar_mass
        return analyte.molar_mass if (one, other) == ("fraction", "mass per substance") else None
    if one not in _KINDS or other not in _KINDS:
        return None
    moles = _moles(one, analyte)
    back = _moles(other, analyte)
    return moles / back if moles and back else None


def _moles(kind: str, analyte: Analyte) -> float | None:
    """Return the mol/L that the base unit of a kind of concentration is."""
    if kind == "substance concentration":
        return 1.0
    if kind == "mass concentration":
        return 1.0 / analyte.molar_mass if analyte.molar_mass else None
    return 1.0 / analyte.valence if analyte.valence else None


def _rounded(value: float) -> float:
    """A value to twelve significant digits: what lies behind them is the arithmetic's and not the laboratory's."""
    return float(f"{value:.12g}")
