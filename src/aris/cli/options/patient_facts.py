"""The options that say of a film what its file cannot: `--age` and `--view`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from aris.cli.options.choices import one_of

if TYPE_CHECKING:
    from aris.tasks.film_facts import Facts

# View Position (0018,5101), PS3.3 C.8.1.1.1 and C.8.11.5.1.1.
VIEWS = ("AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO")
_PER_YEAR = {"y": 1.0, "m": 12.0, "w": 52.18, "d": 365.25}


def _age(value: str | None) -> str | None:
    if value is not None:
        years(value)
    return value


def _view(value: str | None) -> str | None:
    return value if value is None else one_of(value.upper(), VIEWS)


def years(value: str) -> float:
    """An age in years, as "4", "4.5", "18M", "3W" or "10D"."""
    found = re.fullmatch(r"\s*(\d{1,3}(?:\.\d+)?)\s*([ymwd]?)\s*", value.lower())
    age = float(found[1]) / _PER_YEAR[found[2] or "y"] if found else -1.0
    if not 0 <= age <= 130:
        raise typer.BadParameter(f"{value!r:.40} is not an age; give years, as 4 or 0.5, or 18M, 3W, 10D")
    return age


AgeOption = Annotated[
    str | None,
    typer.Option(
        "--age",
        metavar="YEARS",
        callback=_age,
        help="The patient's age where the file cannot say it (PNG, JPEG): 4, 0.5, 18M, 3W or 10D.",
    ),
]
ViewOption = Annotated[
    str | None,
    typer.Option(
        "--view",
        metavar="AP|PA|LL|...",
        callback=_view,
        help="The view where the file cannot say it: AP or PA of frontal films, LL or RL of lateral ones.",
    ),
]


def told(age: str | None, view: str | None) -> Facts:
    """Return the facts that the options state."""
    from aris.tasks.film_facts import Facts

    return Facts(None if age is None else years(age), view)
