"""The tables of units, aliases and LOINC quantities, read once when they are first needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Factor:
    """A unit's place among those of its kind: base = (number + offset) * factor."""

    kind: str
    factor: float
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Analyte:
    """A quantity that LOINC codes name.

    Attributes:
        name: such as "creatinine".
        unit: the UCUM unit that Aris compares it in.
        loinc: its codes.
        molar_mass: in g/mol, or `None`.
        valence: of the ion, or `None`.
        also: (factor, offset) to `unit` from units that UCUM alone does not lead from.
        aliases: spellings of units that mean something for this quantity alone.
        annotation: what the unit's braces must not contradict, or empty.
        ratio: whether the molar mass is of the denominator.
        ambiguous: units that laboratories use for two different things under these codes.
    """

    name: str
    unit: str
    loinc: tuple[str, ...]
    molar_mass: float | None = None
    valence: int | None = None
    also: dict[str, tuple[float, float]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    annotation: str = ""
    ratio: bool = False
    ambiguous: tuple[str, ...] = ()


@cache
def factors() -> dict[str, Factor]:
    """The units of `units.yaml` by their codes."""
    found: dict[str, Factor] = {}
    for kind, entry in _load("units.yaml").items():
        for code, given in entry["units"].items():
            factor, offset = given if isinstance(given, list) else (given, "0")
            found[str(code)] = Factor(kind, float(factor), float(offset))
    return found


@cache
def aliases() -> dict[str, str]:
    """UCUM codes by what people write."""
    return {str(key): str(value) for key, value in _load("aliases.yaml").items()}


@cache
def atoms() -> tuple[tuple[str, ...], frozenset[str], frozenset[str]]:
    """UCUM's prefixes, its atoms that take one, and its other atoms."""
    found = _load("atoms.yaml")
    return tuple(found["prefixes"]), frozenset(found["metric"]), frozenset(found["others"])


@cache
def analytes() -> dict[str, Analyte]:
    """The quantities of `loinc.yaml` by their names."""
    found = {}
    for name, entry in _load("loinc.yaml").items():
        also = {unit: (float(pair[0]), float(pair[1])) for unit, pair in entry.get("also", {}).items()}
        found[name] = Analyte(
            name, entry["unit"], tuple(entry["loinc"]), entry.get("molar_mass"), entry.get("valence"), also,
            entry.get("aliases", {}), entry.get("annotation", ""), entry.get("ratio", False),
            tuple(entry.get("ambiguous", ())),
        )  # fmt: skip
    return found


@cache
def analytes_by_code() -> dict[str, Analyte]:
    """The quantities by LOINC code."""
    return {code: analyte for analyte in analytes().values() for code in analyte.loinc}


def _load(name: str) -> dict[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return dict(yaml.load(files("aris.records.units").joinpath(name).read_text("utf-8"), loader))
