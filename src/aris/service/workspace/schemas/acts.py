"""Acts of readers on a study: bodies of requests and their answers, with bounds."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from aris.exchange.documents.report import clean
from aris.service.workspace.schemas.common import Sent, Taken
from aris.service.workspace.schemas.worklist import State

LONGEST_SECTION = 100_000


def _line(text: str) -> str:
    """Return one line, of what every format and database can hold."""
    made = " ".join(clean(text).split())
    if not made:
        raise ValueError("must not be empty")
    return made


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("must be a number")
    return value


Uid = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)+$", max_length=64)]
Line = Annotated[str, StringConstraints(max_length=4000), AfterValidator(_line)]
Note = Annotated[str, StringConstraints(max_length=4000), AfterValidator(clean)]
Section = Annotated[str, StringConstraints(max_length=LONGEST_SECTION)]
Number = Annotated[float, AfterValidator(_finite)]
Password = Annotated[str, StringConstraints(max_length=1024)]



class NewSections(Taken):
    """Sections that were changed; one that is left out stays as it was in the base."""

    examination: Section | None = None
    indication: Section | None = None
    technique: Section | None = None
    comparison: Section | None = None
    findings: Section | None = None
    impression: Section | None = None


class NewText(Taken):
    """A text, and the number of the one that it changes (0: there was none)."""

    sections: NewSections
    base: Annotated[int, Field(ge=0, lt=1 << 31)]


class Saved(Sent):
    """The outcome of a text: `number` is None where another reader's came first, and this one is kept beside."""

    number: int | None
    newest: int
    author: str


class Seen(Taken):
    """Count of the study's images that were on the screen."""

    images: Annotated[int, Field(ge=0, lt=1 << 31)]
    of: Annotated[int, Field(ge=0, lt=1 << 31)]


class SignRequest(Taken):
    """A signature under a text; `correction`: of a study whose report is signed."""

    password: Password
    text: Annotated[int, Field(ge=0, lt=1 << 31)]
    correction: bool = False
    seen: Seen | None = None


class AddendumRequest(Taken):
    """An addendum to a signed report."""

    password: Password
    text: Annotated[str, StringConstraints(max_length=LONGEST_SECTION)]


class Signed(Sent):
    """The outcome of a signature."""

    number: int
    state: State
    digest: str
    destinations: list[str]
    warnings: list[str]


class NewVerdict(Taken):
    """A verdict on a finding or a sentence of the draft of a number; of the newest where none is named.

    "unchanged": a sentence that was signed as it was drafted, and that nobody judged.
    """

    kind: Literal["finding", "sentence"]
    about: Line
    verdict: Literal["accepted", "edited", "rejected", "added", "unchanged"]
    said: Note = ""
    draft: Annotated[int, Field(ge=1, lt=1 << 31)] | None = None


class NewMeasurement(Taken):
    """A measurement; `points` are columns and rows in pixels of the stored image, `unit` a UCUM code."""

    image: Uid
    frame: Annotated[int, Field(ge=1, lt=1 << 31)] | None = None
    name: Annotated[Line, StringConstraints(max_length=128)]
    value: Number
    unit: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,16}$")]
    calibration: Literal["calibrated", "at detector", "pixels only"]
    points: Annotated[list[tuple[Number, Number]], Field(max_length=1000)]


class NewCritical(Taken):
    """A critical result, in words."""

    finding: Line


class NewAttempt(Taken):
    """An attempt to tell somebody; "reached" is "told". Only "read back" ends it, or "withdrawn" with a note."""

    whom: Annotated[str, StringConstraints(max_length=256), AfterValidator(clean)] = ""
    how: Annotated[str, StringConstraints(max_length=64), AfterValidator(clean)] = ""
    outcome: Literal["reached", "told", "read back", "message left", "not reached", "withdrawn"]
    note: Note = ""
