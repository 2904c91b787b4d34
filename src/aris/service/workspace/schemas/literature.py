"""Libraries of papers, passages that were found, and answers with references, as the pages get them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from aris.exchange.documents.report import clean
from aris.service.workspace.schemas.common import Sent, Taken
from aris.tasks.literature.results import LiteratureAnswer

Retraction = Literal["retracted", "concern", "not listed", "unknown"]
Question = Annotated[str, StringConstraints(max_length=2000), AfterValidator(clean)]
LibraryName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9 ._-]{0,62}[A-Za-z0-9_-])?$")]
Year = Annotated[int, Field(ge=1500, le=2100)]
Text = Annotated[str, StringConstraints(max_length=200), AfterValidator(clean)]


class LibraryInfo(Sent):
    """A library. `own` is the command line's; `making`: vectors are being made, `vectors` of `passages` are there.

    `lexical` says why it is searched by words alone, "" where it is not; `listed` whether retractions were imported.
    """

    name: str
    own: bool
    papers: int
    passages: int
    vectors: int
    retracted: int
    size: int
    making: bool
    lexical: str
    listed: bool
    problem: str


class Libraries(Sent):
    """The libraries of this server; `model`: whether one is loaded that can write, else passages answer alone."""

    libraries: list[LibraryInfo]
    model: str
    study_types: list[str]


class PaperInfo(Sent):
    """A paper; `reference` in Vancouver style."""

    id: int
    title: str
    authors: list[str]
    journal: str
    year: int | None
    pmid: str
    doi: str
    url: str
    licence: str
    types: list[str]
    study_type: str
    retraction: Retraction
    source: str
    reference: str


class PaperPage(Sent):
    """Papers of a library."""

    total: int
    papers: list[PaperInfo]


class PassageInfo(Sent):
    """A passage: `text` stands in the paper's section at [start:end]; `page` where the format has pages."""

    id: int
    section: int
    heading: str
    page: int | None
    start: int
    end: int
    text: str


class PaperText(Sent):
    """A paper with its passages in its order; `cut` where it has more than are told."""

    paper: PaperInfo
    passages: list[PassageInfo]
    cut: bool


class FoundPassage(Sent):
    """A passage that was found, with its paper."""

    paper: PaperInfo
    passage: PassageInfo


class Found(Sent):
    """Passages of a search, best first."""

    hits: list[FoundPassage]
    mode: Literal["hybrid", "lexical"]
    warnings: list[str]


class PapersAdded(Sent):
    """The outcome of a file. `error`: it was not read to its end; `faults`: records of it that cannot be used."""

    name: str
    added: int
    updated: int
    known: int
    faulty: int
    faults: list[str]
    error: str
    unchanged: bool


class RetractionsRead(Sent):
    """The outcome of a list of retractions: identifiers that were read, and papers of the library that are on it."""

    identifiers: int
    retracted: int


class SavedAnswer(Sent):
    """An answer that the caller kept."""

    number: int
    library: str
    question: str
    answer: LiteratureAnswer
    saved_at: str


class NewLibrary(Taken):
    """A library to be made."""

    name: LibraryName


class AskLiterature(Taken):
    """A question to a library. `written` false: the passages' own words alone, no model."""

    question: Question
    since: Year | None = None
    until: Year | None = None
    types: Annotated[tuple[Text, ...], Field(max_length=20)] = ()
    journal: Text = ""
    written: bool = True


class KeepAnswer(Taken):
    """An answer to be kept for the caller."""

    library: LibraryName
    answer: LiteratureAnswer
