"""An answer from the literature, typed: its sentences, the passages behind each, and what the papers are."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal["model", "verbatim"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class PassageReference(_Frozen):
    """A passage that the answer refers to as [number].

    Attributes:
        number: in this answer, from 1.
        passage, paper: their numbers in the library.
        section: the place of its section in the paper, from 0, -1 for the title; heading: that section's.
        page: from 1; None where the format has no pages.
        start, end: its characters in the section's text, whose [start:end] is `text`.
        source: the name of the file that it was read from.
        vancouver: the paper's reference.
    """

    number: int
    passage: int
    paper: int
    section: int
    heading: str
    page: int | None
    start: int
    end: int
    text: str
    source: str
    title: str
    year: int | None
    pmid: str | None
    doi: str | None
    retraction: str
    vancouver: str


class AnswerSentence(_Frozen):
    """A sentence of the answer.

    Attributes:
        kind: "verbatim" stands word for word in the passage; "model" was written by the model and passed every check.
        references: numbers of the passages that support it.
        coverage: the share of its telling words that those passages have, 0..1.
        entailment: the model's own probability that the passage supports it; None where it was not asked.
    """

    text: str
    kind: Kind
    references: tuple[int, ...]
    coverage: float
    entailment: float | None = None


class RemovedSentence(_Frozen):
    """A sentence that the model wrote and no passage supports; its words are kept for the reader of the JSON alone."""

    text: str
    reason: str


class EvidenceRow(_Frozen):
    """A row of the evidence table: the paper's sentence that answers the question best."""

    number: int
    study_type: str
    year: int | None
    finding: str
    retraction: str


class Conflict(_Frozen):
    """Two papers that say opposite things, in their own words."""

    numbers: tuple[int, int]
    first: str
    second: str
    reason: str


class LiteratureAnswer(_Frozen):
    """An answer from a library.

    Attributes:
        answered: False where the library does not hold enough; `sentences` is empty then.
        sentences: in order.
        verbatim_share: of the sentences, those that are the passages' own words; None without sentences.
        removed: what the model wrote and no passage supports.
        passages: those that sentences, table and conflicts refer to.
        references: Vancouver style, by number.
        sufficiency: how well the best passage fits the question, and the least that is answered.
        model: None where none was asked.
        mode: "hybrid" or "lexical", by which passages were found.
    """

    question: str
    answered: bool
    sentences: tuple[AnswerSentence, ...]
    verbatim_share: float | None
    removed: tuple[RemovedSentence, ...]
    evidence: tuple[EvidenceRow, ...]
    conflicts: tuple[Conflict, ...]
    passages: tuple[PassageReference, ...]
    references: tuple[str, ...]
    sufficiency: float
    sufficiency_threshold: float
    model: str | None
    mode: str
    warnings: tuple[str, ...]
    caution: str

    @property
    def text(self) -> str:
        """The answer's sentences with their references."""
        return " ".join(
            f"{each.text} {''.join(f'[{number}]' for number in each.references)}" for each in self.sentences
        )
