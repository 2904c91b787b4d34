"""The level of a description in free text, without a conversation: the rules on what its words name."""

from __future__ import annotations

from collections.abc import Collection

from aris.tasks.intake import measures
from aris.tasks.intake.measures import DAYS
from aris.tasks.intake.reading import read
from aris.tasks.intake.rules import assess_risk
from aris.tasks.intake.state import Risk


def triage(
    text: str, *, age: float | None = None, pregnancy: str | None = None, findings: Collection[str] = ()
) -> Risk:
    """The level that the rules give to a description, with reasons.

    Args:
        text: in the patient's, a carer's or a clinician's words.
        age: of the patient in years; ages of children that the text names count beside it.
        pregnancy: "pregnant", "postpartum", "neither" or "unknown"; None if nothing is known.
        findings: of the symptom base that are known to be present.
    """
    present = set(findings)
    mentions = read(text)
    present |= {each.finding for each in mentions if each.status == "present"}
    present |= {"pregnant"} if pregnancy == "pregnant" or "pregnant_said" in present else set()
    present |= {"postpartum"} if pregnancy == "postpartum" or "postpartum_said" in present else set()
    present |= {name for name in ("sudden", "severe") if f"{name}_said" in present}
    ages = [each for each in measures.ages(text) if age is None or each < 18 * DAYS["year"]]
    ages += [] if age is None else [age * DAYS["year"]]
    return assess_risk(present, unknown={"pregnant"} if pregnancy == "unknown" else (), ages=ages, age_unknown=not ages)
