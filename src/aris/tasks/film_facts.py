"""Facts of a film that a person states: the patient's age and the view, as a PNG or JPEG cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, overload

from aris.imaging import Film
from aris.tasks.cases import Case


class Facts(NamedTuple):
    """Facts that a person states of films.

    Attributes:
        age_years: the patient's age, 0 to 130; None where nothing is said.
        view: View Position (0018,5101), upper case; None where nothing is said.
    """

    age_years: float | None = None
    view: str | None = None


@overload
def with_facts(what: Case, facts: Facts) -> Case: ...
@overload
def with_facts(what: Film, facts: Facts) -> Film: ...
def with_facts(what: Case | Film, facts: Facts) -> Case | Film:
    """The film, or the examination of one, with what is said of it; what its file says stands."""
    if isinstance(what, Film):
        return _told(what, facts)
    if what.film is None or facts == Facts():
        return what
    film = _told(what.film, facts)
    more = [each for each in film.warnings if each not in what.warnings]
    return replace(what, film=film, warnings=(*what.warnings, *more))


def _told(what: Film, facts: Facts) -> Film:
    said, kept = [], []
    changes: dict[str, Any] = {}
    for name, value, known, field in (
        ("age", facts.age_years, what.patient_age_years, "patient_age_years"),
        ("view", facts.view, what.view_position, "view_position"),
    ):
        if value is None:
            continue
        if known is None:
            changes[field] = value
            said.append(name)
        elif known != value:
            kept.append(name)
    warnings = list(what.warnings)
    if said:
        warnings.append(f"{' and '.join(said)}: as told, not from the file")
    warnings += [f"the file says another {name} than was told; the file's holds" for name in kept]
    return replace(what, warnings=tuple(warnings), **changes)
