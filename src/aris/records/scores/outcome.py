"""The result of a clinical score: its value, or the reason why it has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Score:
    """A clinical score, stage or estimate.

    Attributes:
        name: of the score, as its source calls it.
        value: None where it is not assessable.
        unit: UCUM; "1" for points and stages.
        source: the publication that defines it.
        parts: what each parameter gave; None for a parameter that is missing.
        missing: the parameters that were not there. Points of a missing parameter are not guessed: where some are
            missing, `value` is the least that the score can be.
        reason: why it is not assessable; "" where it is.
        note: what a reader must know of the value, as its level or its baseline.
    """

    name: str
    value: float | None
    unit: str
    source: str
    parts: Mapping[str, float | None] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    reason: str = ""
    note: str = ""

    @property
    def assessable(self) -> bool:
        """Tell whether there is a value."""
        return self.value is not None

    @property
    def is_lower_bound(self) -> bool:
        """Tell whether parameters are missing, so that the true score may be higher."""
        return self.value is not None and bool(self.missing)


def not_assessable(name: str, unit: str, source: str, reason: str, missing: tuple[str, ...] = ()) -> Score:
    """Return a score without a value, and the reason why."""
    return Score(name, None, unit, source, missing=missing, reason=reason)


def points(name: str, source: str, parts: Mapping[str, int | None], note: str = "") -> Score:
    """Return the sum of points; not assessable where every parameter is missing."""
    missing = tuple(each for each, value in parts.items() if value is None)
    if len(missing) == len(parts):
        return not_assessable(name, "1", source, "none of its parameters is documented", missing)
    total = sum(value for value in parts.values() if value is not None)
    return Score(name, total, "1", source, dict(parts), missing, note=note)
