"""Intake: questions before a visit, triage rules, and a summary for the clinician.

A pure state machine: `start`, then `question` and `answer` until `question` gives None; `summarize` at the end.
"""

from aris.tasks.intake.base import Base, Complaint, base
from aris.tasks.intake.conversation import advice, answer, question, resume, start
from aris.tasks.intake.rules import assess_risk, read_rules
from aris.tasks.intake.site import Site, read_site
from aris.tasks.intake.state import LEVELS, MAX_QUESTIONS, IntakeState, Level, Question, Reason, Risk
from aris.tasks.intake.summary import Summary, as_text, summarize
from aris.tasks.intake.triage import triage

__all__ = [
    "LEVELS",
    "MAX_QUESTIONS",
    "Base",
    "Complaint",
    "IntakeState",
    "Level",
    "Question",
    "Reason",
    "Risk",
    "Site",
    "Summary",
    "advice",
    "answer",
    "as_text",
    "assess_risk",
    "base",
    "question",
    "read_rules",
    "read_site",
    "resume",
    "start",
    "summarize",
    "triage",
]
