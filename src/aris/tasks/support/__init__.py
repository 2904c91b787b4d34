"""Check statements without a model: every word of content must be held by the sources that they cite.

    from aris.tasks.support import check
    from aris.tasks.support.records import evidence_of

    evidence = evidence_of(timeline)
    verdict = check("Potassium rose to 6.1 mmol/L on 3 May 2024.", ["Observation/12", "Observation/9"], evidence)
    print(verdict.outcome, verdict.message)

The check knows no model and changes no word. It says "supported", "contradicted", "unsupported" or "not checkable".
"""

from __future__ import annotations

from aris.tasks.support.check import check, check_all
from aris.tasks.support.facts import About, Day, Evidence, Fact, Value
from aris.tasks.support.verdicts import Outcome, Reason, Verdict

__all__ = ["About", "Day", "Evidence", "Fact", "Outcome", "Reason", "Value", "Verdict", "check", "check_all"]
