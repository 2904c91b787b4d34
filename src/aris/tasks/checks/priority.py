"""How soon a draft should be read. Rules raise it; nothing lowers it, a model's words least of all."""

from __future__ import annotations

from collections.abc import Sequence

from aris.tasks.assertion import assertions
from aris.tasks.results import Finding, Priority

# After the American College of Radiology's categories of actionable findings (Larson et al., J Am Coll Radiol 2014;
# 11: 552): what must be told within minutes, and within hours.
CRITICAL = (
    "pneumothorax", "tension pneumothorax", "pneumoperitoneum", "free air", "aortic dissection", "pulmonary embolism",
    "intracranial hemorrhage", "intracranial haemorrhage", "subdural hematoma", "spinal cord compression",
)  # fmt: skip
URGENT = ("pneumonia", "pleural effusion", "edema", "consolidation", "fracture", "mass", "lung lesion", "abscess")
_ORDER: tuple[Priority, ...] = ("routine", "urgent", "critical")


def priority(findings: Sequence[Finding], text: str, *, at_least: Priority = "routine") -> Priority:
    """The highest that a score over its operating point, or a statement of the text, asks for.

    A score counts by its probability against the operating point. A text counts where it states a finding or does not
    rule it out; where score and text disagree the more urgent one holds.

    Args:
        findings: as scored.
        text: of findings and impression.
        at_least: what was asked for before.
    """
    found = [at_least]
    over = {each.name.lower() for each in findings if each.present or (each.over and each.assessed)}
    for names, level in ((CRITICAL, _ORDER[2]), (URGENT, _ORDER[1])):
        stated = (assertions(text, name) for name in names)
        if over & set(names) or any(said & {"present", "uncertain"} for said in stated):
            found.append(level)
    return max(found, key=_ORDER.index)
