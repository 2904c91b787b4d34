"""Deterministic checks of every draft. A check that fails is a warning; none changes a word or lowers an alarm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aris.tasks.checks import agreement, claims, injected, places
from aris.tasks.checks.facts import Facts
from aris.tasks.checks.priority import priority
from aris.tasks.results import FailedCheck, Sections
from aris.tasks.text.assertion import assertions
from aris.tasks.text.report import sentences

CHECKS = (
    "laterality", "sections", "scores", "region", "measurement", "prior", "modality", "repetition",
    "instruction",
)  # fmt: skip

__all__ = ["CHECKS", "Facts", "check_draft", "priority"]


def check_draft(sections: Sections, facts: Facts) -> tuple[FailedCheck, ...]:
    """Check a draft's findings and impression, by the names of `CHECKS`.

    Args:
        sections: as parsed; only what the model wrote is checked.
        facts: what is known of the examination.
    """
    found = _messages(sections, facts)
    if not found:
        return ()
    told = sentences(f"{sections.findings}\n{sections.impression}")
    # A sentence is at fault if it fails alone, wherever it stands.
    alone = {each: _messages(Sections(findings=each), facts) for each in dict.fromkeys(told)}
    return tuple(
        FailedCheck(check=name, message=message, sentence=_at_fault(name, message, alone)) for name, message in found
    )


def _messages(sections: Sections, facts: Facts) -> list[tuple[str, str]]:
    text = f"{sections.findings}\n{sections.impression}".strip()
    found = (
        ("laterality", places.laterality(text, facts)),
        ("sections", agreement.between_sections(sections)),
        ("scores", agreement.with_scores(text, facts)),
        ("region", places.region(text, facts)),
        ("measurement", claims.measurement(text, facts)),
        ("prior", claims.prior(text, facts)),
        ("modality", claims.modality(text, facts)),
        ("repetition", agreement.repeated(sections)),
        ("instruction", injected.instruction(text, facts)),
    )
    return [(name, message) for name, messages in found for message in messages]


def _at_fault(name: str, message: str, alone: Mapping[str, Sequence[tuple[str, str]]]) -> str:
    """The first sentence that fails alone; of what two sentences make, the last that speaks of it; else ""."""
    for sentence, failed in alone.items():
        if (name, message) in failed:
            return sentence
    of = [finding for finding in agreement.FINDINGS if finding in message] if name in ("sections", "scores") else []
    return next((each for each in reversed(list(alone)) if any(assertions(each, finding) for finding in of)), "")
