"""Verdicts on a statement, and the reasons for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["supported", "contradicted", "unsupported", "not checkable"]
ReasonKind = Literal[
    "number", "unit", "date", "drug", "problem", "test", "allergy", "name", "status", "negation", "direction", "range",
    "person", "source", "word", "duration", "uncertain",
]  # fmt: skip
_ORDER: tuple[Outcome, ...] = ("contradicted", "unsupported", "not checkable")


@dataclass(frozen=True, slots=True)
class Reason:
    """Reason for which a statement is not supported.

    Attributes:
        outcome: "contradicted" by a source, "unsupported" by all that it cites, or "not checkable".
        kind: of what is wrong.
        text: the words of the statement, as they stand.
        start: of them in the statement, in characters.
        end: of them in the statement.
        message: one line for a person; it may quote the statement and name what the source says.
    """

    outcome: Outcome
    kind: ReasonKind
    text: str
    start: int
    end: int
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Verdict on a statement.

    Attributes:
        outcome: the worst of the reasons; "supported" only where everything in the statement was held against a source.
        reasons: all of them, contradictions first.
        checked: how many things of the statement (names, numbers, dates, states, directions) were held against sources.
    """

    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    checked: int = 0

    @property
    def ok(self) -> bool:
        """Return whether the statement is supported."""
        return self.outcome == "supported"

    @property
    def message(self) -> str:
        """The reasons in one line; empty for a supported statement."""
        return "; ".join(reason.message for reason in self.reasons)


def verdict(reasons: list[Reason], checked: int) -> Verdict:
    """The verdict that reasons amount to; without any thing that was checked nothing is supported."""
    if not reasons and not checked:
        nothing = "it holds no number, date, drug, problem or test that could be held against a source"
        return Verdict("not checkable", (Reason("not checkable", "word", "", 0, 0, nothing),), 0)
    ordered = sorted(dict.fromkeys(reasons), key=lambda reason: (_ORDER.index(reason.outcome), reason.start))
    return Verdict(ordered[0].outcome if ordered else "supported", tuple(ordered), checked)
