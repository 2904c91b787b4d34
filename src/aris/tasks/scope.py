"""A film's facts against the scope that a model declares."""

from __future__ import annotations

from aris.checkpoints.registry import Scope
from aris.imaging import Film

# What Body Part Examined (0018,0015) holds on a chest film: DICOM PS3.16 annex L has CHEST, RIB, LUNG, THORAX and their
# compounds, and scanners write more ("CHEST PA", "TORAX").
_CHEST = ("CHEST", "THORA", "TORAX", "LUNG", "RIB")


def outside_scope(film: Film, scope: Scope) -> tuple[str, ...]:
    """What the file says of itself that lies outside the scope, each in one line; empty if nothing.

    No line tells the patient's age.
    """
    reasons = []
    if film.modality and scope.modalities and film.modality not in scope.modalities:
        reasons.append(f"modality {film.modality} is outside the model's scope ({', '.join(scope.modalities)})")
    if film.body_part and not any(part in film.body_part.upper() for part in _CHEST):
        reasons.append(f"body part {film.body_part} is outside the model's scope (chest)")
    if film.view_position and scope.views and film.view_position.upper() not in scope.views:
        reasons.append(f"view {film.view_position} is outside the model's scope ({', '.join(scope.views)})")
    if film.patient_age_years is not None and scope.age_years is not None:
        low, high = scope.age_years
        if not low <= film.patient_age_years <= high:
            reasons.append(f"the patient's age is outside the model's scope ({_years(low, high)})")
    return tuple(reasons)


def unknown_facts(film: Film, scope: Scope, model: str) -> str | None:
    """A warning that names what the file does not say and the scope asks for; None if nothing is missing."""
    missing = []
    if scope.age_years is not None and film.patient_age_years is None:
        missing.append("age")
    if scope.views and not film.view_position:
        missing.append("view")
    if not missing:
        return None
    verb = "are" if len(missing) > 1 else "is"
    return f"{' and '.join(missing)} {verb} not known from this file: {model} is for {describe(scope)} only"


def describe(scope: Scope) -> str:
    """The scope in a few words, as in "chest films (CR, DX; views AP, PA; age 1 to 5 years)"."""
    parts = []
    if scope.modalities:
        parts.append(", ".join(scope.modalities))
    if scope.views:
        parts.append(f"views {', '.join(scope.views)}")
    if scope.age_years is not None:
        parts.append(f"age {_years(*scope.age_years)}")
    return f"chest films ({'; '.join(parts)})" if parts else "chest films"


def _years(low: float, high: float) -> str:
    return f"{low:g} to {high:g} years"
