"""Units: UCUM by ucumvert and pint, mass to molar by a table of our own, and LOINC's common quantities."""

from aris.records.units.normal import Normal, convert, normalise, quantity_name
from aris.records.units.tables import Analyte, analytes, analytes_by_code
from aris.records.units.ucum import UnitError, convert_ucum, is_ucum, multiply_ucum

__all__ = [
    "Analyte",
    "Normal",
    "UnitError",
    "analytes",
    "analytes_by_code",
    "convert",
    "convert_ucum",
    "is_ucum",
    "multiply_ucum",
    "normalise",
    "quantity_name",
]
