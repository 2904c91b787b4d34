"""Answers from the literature: each sentence with the passages behind it, or "not enough in this library"."""

from aris.tasks.literature.answering import LiteratureStream, answer
from aris.tasks.literature.results import (
    AnswerSentence,
    Conflict,
    EvidenceRow,
    LiteratureAnswer,
    PassageReference,
    RemovedSentence,
)
from aris.tasks.literature.support import Support, check, check_written

__all__ = [
    "AnswerSentence",
    "Conflict",
    "EvidenceRow",
    "LiteratureAnswer",
    "LiteratureStream",
    "PassageReference",
    "RemovedSentence",
    "Support",
    "answer",
    "check",
    "check_written",
]
