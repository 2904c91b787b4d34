"""Records in words: summaries, handoffs, discharge and referral forms, answers; each statement with its citations."""

from aris.tasks.summary.asking import ask_record
from aris.tasks.summary.rendering import answer_text, as_text
from aris.tasks.summary.results import (
    Omission,
    PatientLine,
    RecordAnswer,
    Section,
    Statement,
    Struck,
    Summary,
)
from aris.tasks.summary.summarizing import summarize

__all__ = [
    "Omission",
    "PatientLine",
    "RecordAnswer",
    "Section",
    "Statement",
    "Struck",
    "Summary",
    "answer_text",
    "as_text",
    "ask_record",
    "summarize",
]
