"""Values that must be one of some words."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TypeVar

import typer

Word = TypeVar("Word", bound=str)


def one_of(value: str, known: Sequence[Word], *, param: str | None = None) -> Word:
    """The value, if it is one of the known ones.

    Raises:
        typer.BadParameter: it is not; the nearest is suggested.
    """
    for each in known:
        if value == each:
            return each
    near = difflib.get_close_matches(value.lower(), [each.lower() for each in known], n=1, cutoff=0.6)
    meant = next((each for each in known if near and each.lower() == near[0]), None)
    hint = f"; did you mean {meant}?" if meant else ""
    raise typer.BadParameter(f"{value!r:.60} is not one of {', '.join(known)}{hint}", param_hint=param)
