"""Listening to drafts while they are written, as the reading room's screens do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aris.tasks import ScoredFinding

__all__ = ["Hearing", "Listener"]


class Hearing(Protocol):
    """A listener to one draft. It is called in the thread that drafts, and must return at once."""

    def found(self, findings: Sequence[ScoredFinding], warnings: Sequence[str]) -> None:
        """Hear what was scored before the text. Called again where another examination of the study is described."""
        ...

    def wrote(self, section: str, text: str, anew: bool) -> None:
        """Hear more of a section's text; `anew` where it begins, or is told from its beginning again."""
        ...


class Listener(Protocol):
    """A listener to every draft of a house."""

    def begun(self, study: str) -> Hearing:
        """Hear that a study's draft is begun; what is returned hears of the rest."""
        ...

    def ended(self, study: str, outcome: str, reason: str = "") -> None:
        """Hear how it ended.

        Args:
            outcome: as `drafting.draft_next` returns it, or "given back" where the worker was told to stop.
            reason: of a failure, without anything of the patient.
        """
        ...
