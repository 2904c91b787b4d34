"""Any UCUM unit, by ucumvert and pint: validity, conversion, products. They are loaded when first needed."""

from __future__ import annotations

import logging
from functools import cache, lru_cache
from typing import Any

from aris.errors import RecordError

LENGTH = 200  # characters; a longer "unit" is none, and would keep the parser busy


class UnitError(RecordError):
    """A unit is not known, or two units are not of the same kind of quantity."""


@cache
def _tools() -> tuple[Any, Any]:
    """(ucumvert's registry, pint)."""
    import pint
    from ucumvert import PintUcumRegistry

    logging.getLogger("pint").setLevel(logging.ERROR)
    return PintUcumRegistry(), pint


@lru_cache(maxsize=4096)
def _quantity(unit: str) -> Any:
    """The pint quantity that one of a UCUM unit is, or `None` where it is no UCUM."""
    if not unit or len(unit) > LENGTH or any(c.isspace() or not c.isprintable() for c in unit):
        return None
    registry, _ = _tools()
    try:
        return registry.from_ucum(unit)
    except RecursionError:
        return None
    except Exception:  # lark's and pint's errors have no common base but Exception
        return None


def is_ucum(unit: str) -> bool:
    """Return whether pint knows a text as a UCUM unit (case-sensitive)."""
    return _quantity(unit) is not None


def convert_ucum(value: float, unit: str, to: str) -> float:
    """Convert a number from one UCUM unit to another of the same kind of quantity.

    Raises:
        UnitError: one of them is no UCUM, or they are of different kinds.
    """
    registry, pint = _tools()
    source, target = _quantity(unit), _quantity(to)
    if source is None or target is None:
        raise UnitError("the unit is not a UCUM unit; check its spelling (UCUM is case-sensitive)")
    try:
        # An offset unit (a temperature) is multiplied by nothing; all others may hold a factor of their own.
        if _offset(source) or _offset(target):
            return float(registry.Quantity(value, source.units).to(target.units).magnitude)
        return float((value * source / target).to_base_units().to("dimensionless").magnitude)
    except (pint.errors.PintError, ArithmeticError, ValueError, TypeError, AttributeError):
        raise UnitError("the units are not of the same kind of quantity; nothing was converted") from None


def multiply_ucum(value: float, unit: str, by: float, by_unit: str, to: str) -> float:
    """Return the product of two quantities as a number of `to`.

    Raises:
        UnitError: one of the units is no UCUM, or the product is of another kind than `to`.
    """
    _, pint = _tools()
    first, second, target = _quantity(unit), _quantity(by_unit), _quantity(to)
    if first is None or second is None or target is None:
        raise UnitError("the unit is not a UCUM unit; check its spelling (UCUM is case-sensitive)")
    try:
        product = (value * first) * (by * second)
        return float((product / target).to_base_units().to("dimensionless").magnitude)
    except (pint.errors.PintError, ArithmeticError, ValueError, TypeError, AttributeError):
        raise UnitError("the units are not of the same kind of quantity; nothing was converted") from None


def _offset(quantity: Any) -> bool:
    return not bool(quantity._is_multiplicative)
