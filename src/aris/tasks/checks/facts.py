"""Facts of an examination, for checks of a text on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aris.tasks.results import Region
from aris.tasks.scope import Kind


@dataclass(frozen=True)
class Facts:
    """Facts of an examination.

    Attributes:
    kind: of the images.
    body_part: Body Part Examined; None where the file says nothing.
    laterality: "L" or "R" from Image Laterality or Laterality; None for both, none or unknown.
    spacing: as `Film.spacing_attribute`, "" where lengths are not known; only of "PixelSpacing" they are measured.
    has_prior: whether an earlier image was given too.
    words: scored findings and what the score says, as ("pneumonia", "not seen").
    header_text: what the header says, as the report quotes it.
    regions: boxes or evidence of findings; sides: the patient's side of each, "" where it cannot be told.
    """

    kind: Kind = "chest film"
    body_part: str | None = None
    laterality: str | None = None
    spacing: str = ""
    has_prior: bool = False
    words: Sequence[tuple[str, str]] = ()
    header_text: str = ""
    regions: Sequence[Region] = ()
    sides: Sequence[str] = ()
