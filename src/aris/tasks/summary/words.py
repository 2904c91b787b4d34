"""Numbers, dates, names and values as a summary shows them: nothing that the record does not state."""

from __future__ import annotations

import re

from aris.records import Concept, Measurement, When

# SNOMED CT's semantic tags, which fully specified names end in.
_TAG = re.compile(
    r" \((?:disorder|finding|procedure|situation|regime/therapy|event|morphologic abnormality|substance|product|"
    r"observable entity|qualifier value|physical object|context-dependent category|clinical drug|medicinal product)\)$"
)
# "Leukocytes [#/volume] in Blood by Automated count": component [property] in specimen by method.
_LOINC_NAME = re.compile(r"(?P<name>[^\[]+?) \[[^\]]+\](?: in (?P<specimen>[^\[]+?))?(?: by .+)?")
_FLAGS = {
    "H": "high", "HH": "critically high", "HU": "significantly high", "L": "low", "LL": "critically low",
    "LU": "significantly low", "A": "abnormal", "AA": "critically abnormal", "N": "normal", "POS": "positive",
    "NEG": "negative", ">": "above the measurable range", "<": "below the measurable range", "I": "intermediate",
    "R": "resistant", "S": "susceptible", "DET": "detected", "ND": "not detected", "IND": "indeterminate",
    "B": "better", "W": "worse", "U": "significant change up", "D": "significant change down",
}  # fmt: skip
_ABNORMAL = frozenset(("H", "HH", "HU", "HX", "L", "LL", "LU", "LX", "A", "AA", "POS", "R", "DET", ">", "<"))
_CRITICAL = frozenset(("HH", "LL", "AA"))
_NORMAL = frozenset(("N", "NORMAL", "WITHIN NORMAL LIMITS"))
# Laboratories that send words and no codes.
_ABNORMAL_WORDS = re.compile(
    r"^(?!not? |within ).*\b(?:high|low|abnormal|critical\w*|panic|above|below)\b", re.IGNORECASE
)
_CRITICAL_WORDS = re.compile(r"^(?!not? ).*\b(?:critical\w*|panic)\b", re.IGNORECASE)
_SETTINGS = {
    "AMB": "ambulatory", "IMP": "inpatient", "ACUTE": "inpatient", "NONAC": "inpatient", "EMER": "emergency",
    "HH": "at home", "VR": "virtual", "SS": "short stay", "OBSENC": "observation", "FLD": "in the field",
    "PRENC": "before admission",
}  # fmt: skip
LONGEST = 400  # characters of a text that is quoted


def name_of(concept: Concept) -> str:
    """Return a concept's words without SNOMED's semantic tag."""
    return _TAG.sub("", concept.text) or concept.text


def number(value: float) -> str:
    """Return a number as written if that is short, else rounded to what is measurable: two decimals or three digits."""
    plain = f"{value:.10g}" if abs(value) < 1e10 else f"{value:.6g}"
    if len(plain.replace("-", "").replace(".", "")) <= 4 or "e" in plain:
        return plain
    if value == int(value) and abs(value) < 1e10:
        return str(int(value))
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:#.3g}"


def unit_of(measurement: Measurement) -> str:
    """Return the unit for people: as the record writes it for them; nothing for a pure number."""
    unit = measurement.unit_text or measurement.unit
    if unit in ("1", "") or (unit.startswith("{") and unit.endswith("}")):
        return ""
    return unit


def test_name(measurement: Measurement) -> str:
    """Return a test's name: of a LOINC long name the component, with the specimen where it is not blood."""
    name = name_of(measurement.concept)
    found = _LOINC_NAME.fullmatch(name) if measurement.loinc else None
    if found is None:
        return name
    specimen = found["specimen"] or ""
    blood = not specimen or any(word in specimen for word in ("Blood", "Serum", "Plasma"))
    return found["name"] if blood else f"{found['name']} in {specimen}"


def value_of(measurement: Measurement) -> str:
    """Return the value with its comparator and unit, or its words."""
    if measurement.value is None:
        return measurement.said or (measurement.coded.text if measurement.coded else "")
    unit = unit_of(measurement)
    joined = "" if unit == "%" else " "
    return f"{measurement.comparator}{number(measurement.value)}{joined if unit else ''}{unit}"


def flags_of(measurement: Measurement) -> str:
    """Return the laboratory's flags in words, else how the value lies to the reference range, else nothing."""
    said = [_FLAGS.get(f.upper(), f if f.isprintable() and len(f) < 30 else "") for f in measurement.interpretation]
    words = ", ".join(dict.fromkeys(w for w in said if w))
    return words or {1: "above the reference range", -1: "below the reference range"}.get(position(measurement), "")


def range_of(measurement: Measurement) -> str:
    """Return the reference range in words, or nothing."""
    found = measurement.range
    if found is None:
        return ""
    low, high = found.low, found.high
    if low is not None and high is not None:
        return f"reference {number(low)} to {number(high)}"
    if high is not None:
        return f"reference up to {number(high)}"
    return f"reference from {number(low)}" if low is not None else ""


def position(measurement: Measurement) -> int:
    """Return 1 above, -1 below the reference range, 0 inside or unknown."""
    found, value = measurement.range, measurement.value
    if found is None or value is None:
        return 0
    if found.high is not None and value > found.high and measurement.comparator not in ("<", "<="):
        return 1
    if found.low is not None and value < found.low and measurement.comparator not in (">", ">="):
        return -1
    return 0


def is_abnormal(measurement: Measurement) -> bool:
    """Return whether the laboratory flagged the value, or it lies outside the laboratory's range."""
    flags = {flag.upper() for flag in measurement.interpretation}
    if flags & _ABNORMAL or any(_ABNORMAL_WORDS.search(flag) for flag in flags):
        return True
    return not flags & _NORMAL and position(measurement) != 0


def is_critical(measurement: Measurement) -> bool:
    """Return whether the laboratory flagged the value as critical."""
    return any(flag.upper() in _CRITICAL or _CRITICAL_WORDS.search(flag) for flag in measurement.interpretation)


def setting_of(code: str) -> str:
    """Return an encounter's class in words."""
    return _SETTINGS.get(code.upper(), code.lower())


def on(when: When | None, *, clock: bool = False) -> str:
    """Return "on 2019-03-04" ("in 2019", "at an unknown time"), with the clock time where it is asked for and known."""
    if when is None:
        return "at an unknown time"
    if when.precision in ("year", "month"):
        return f"in {when.day}"
    return f"on {stamp(when, clock=clock)}"


def stamp(when: When, *, clock: bool = False) -> str:
    """Return the date as written, with hours and minutes where they are asked for and known."""
    return f"{when.day} {when.text[11:16]}" if clock and when.exact else when.day


def quoted(text: str) -> str:
    """Return the beginning of a text on one line, in quotation marks."""
    line = " ".join(text.split())
    if len(line) > LONGEST:
        line = line[:LONGEST].rsplit(" ", 1)[0] + " ..."
    return f'"{line}"'
