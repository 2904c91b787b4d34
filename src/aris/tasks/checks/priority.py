"""Priority of a draft: rules raise it; nothing lowers it, a model's words least of all."""

from __future__ import annotations

from collections.abc import Sequence

from aris.tasks.results import Finding, Priority
from aris.tasks.text.assertion import assertions, mentions

# After the American College of Radiology's categories of actionable findings (Larson et al., J Am Coll Radiol 2014;
# 11: 552): what must be told within minutes, and within hours. In American spelling and the singular; texts are turned
# to that.
CRITICAL = (
    "pneumothorax", "tension pneumothorax", "hydropneumothorax", "hemopneumothorax", "hemothorax", "pneumoperitoneum",
    "free air", "free gas", "free intraperitoneal air", "free intraperitoneal gas", "free abdominal air",
    "free intra-abdominal air", "free subdiaphragmatic air", "air under the diaphragm", "bowel perforation",
    "perforated viscus", "aortic dissection", "dissection of the aorta", "aortic rupture", "aortic transection",
    "ruptured aneurysm", "ruptured aortic aneurysm", "pulmonary embolism", "pulmonary embolus", "pulmonary emboli",
    "pulmonary artery embolism", "pulmonary thromboembolism", "intracranial hemorrhage", "intracranial bleed",
    "intracerebral hemorrhage", "intraparenchymal hemorrhage", "intraventricular hemorrhage",
    "subarachnoid hemorrhage", "subdural hemorrhage", "subdural hematoma", "epidural hemorrhage", "epidural hematoma",
    "extradural hematoma", "midline shift", "brain herniation", "uncal herniation", "tonsillar herniation",
    "acute stroke", "acute infarct", "acute infarction", "acute ischemia", "spinal cord compression",
    "cord compression", "bowel ischemia", "ischemic bowel", "mesenteric ischemia", "volvulus", "testicular torsion",
    "ovarian torsion", "ectopic pregnancy",
)  # fmt: skip
URGENT = (
    "pneumonia", "pleural effusion", "edema", "consolidation", "fracture", "dislocation", "mass", "masses",
    "metastasis", "metastases", "lung lesion", "abscess", "abscesses", "appendicitis", "cholecystitis",
    "diverticulitis", "pancreatitis", "bowel obstruction", "venous thrombosis", "vein thrombosis",
)  # fmt: skip
_BRITISH = (("haem", "hem"), ("oedem", "edem"))
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
    text = text.lower()
    for british, american in _BRITISH:
        text = text.replace(british, american)
    over = {each.name.lower() for each in findings if each.present or (each.over and each.assessed)}
    for names, level in ((CRITICAL, _ORDER[2]), (URGENT, _ORDER[1])):
        stated = (assertions(text, each) for name in names for each in _spelled(name, text))
        if over & set(names) or any(said & {"present", "uncertain"} for said in stated):
            found.append(level)
    return max(found, key=_ORDER.index)


def _spelled(name: str, text: str) -> tuple[str, ...]:
    """The forms of a finding's name to look for: none where no word of it stands in the text."""
    if not any(each in text for each in mentions(name)):
        return ()
    return (name, f"{name}s")
