"""What a clinician asks for: a draft of a film, named findings, an answer. Pure: state is passed in and returned."""

from aris.tasks.film_draft import DraftStream, draft, draft_prompt
from aris.tasks.film_findings import Assessment, assess, findings
from aris.tasks.questions import AnswerStream, ask
from aris.tasks.results import Answer, Draft, FilmFindings, Finding, Measurement, Region, ScoredFinding, Sections

__all__ = [
    "Answer",
    "AnswerStream",
    "Assessment",
    "Draft",
    "DraftStream",
    "FilmFindings",
    "Finding",
    "Measurement",
    "Region",
    "ScoredFinding",
    "Sections",
    "ask",
    "assess",
    "draft",
    "draft_prompt",
    "findings",
]
