"""Deterministic checks of every draft. A check that fails is a warning; none changes a word or lowers an alarm."""

from __future__ import annotations

from aris.tasks.checks import agreement, claims, injected, places
from aris.tasks.checks.facts import Facts
from aris.tasks.checks.priority import priority
from aris.tasks.results import FailedCheck, Sections

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
    return tuple(FailedCheck(check=name, message=message) for name, messages in found for message in messages)
