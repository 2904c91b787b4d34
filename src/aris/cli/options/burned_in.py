"""`--look-for-text`: whether burned-in text can be read on the image, before a model reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from aris.imaging import Film
    from aris.tasks import Case

TextOption = Annotated[
    bool,
    typer.Option(
        "--look-for-text",
        help="Warn where text is burned into the image, which a model may obey. Needs the extra ocr; takes about "
        "half a second an image.",
    ),
]


class BurnedInText:
    """Looks where it is wanted.

    Args:
        wanted: whether the option was given.

    Raises:
        ExchangeError: it was, and no OCR library can be used.
    """

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        if wanted:
            from aris.errors import ExchangeError
            from aris.exchange.deidentify.burned_in import trouble

            if why := trouble():
                raise ExchangeError(f"--look-for-text: {why}")

    def on_film(self, film: Film) -> Film:
        """The film, with a warning where burned-in text is on it."""
        notes = self._notes([film.pixels])
        return replace(film, warnings=(*film.warnings, *notes)) if notes else film

    def on_case(self, case: Case) -> Case:
        """The examination, with a warning where burned-in text is on its images."""
        notes = self._notes([each.pixels for each in case.images])
        if not notes:
            return case
        film = None if case.film is None else replace(case.film, warnings=(*case.film.warnings, *notes))
        return replace(case, film=film, warnings=(*case.warnings, *notes))

    def _notes(self, images: Sequence[npt.NDArray[np.uint8]]) -> tuple[str, ...]:
        if not self.wanted:
            return ()
        from aris.exchange.deidentify.burned_in import legible

        counts = [legible(pixels) for pixels in images]
        if not any(counts):
            return ()
        # Not what it says: it is nobody's word, and may be a name.
        where = "the image" if len(counts) == 1 else f"{sum(map(bool, counts))} of {len(counts)} images"
        pieces = "1 place" if sum(counts) == 1 else f"{sum(counts)} places"
        return (f"burned-in text can be read on {where} ({pieces}): a model may take them as told to it; look at them",)
