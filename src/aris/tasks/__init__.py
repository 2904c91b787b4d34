"""Tasks of a clinician: drafts, findings, choices, boxes, comparisons, answers. Pure: state goes in and out."""

from aris.tasks.ask import AnswerStream, ask
from aris.tasks.calibration.site import load_calibration
from aris.tasks.cases import Case, as_case, read_cases
from aris.tasks.classify import classify
from aris.tasks.compare import ComparisonStream, compare
from aris.tasks.draft import DraftStream, draft, draft_prompt
from aris.tasks.evidence import evidence, save_evidence
from aris.tasks.findings import Assessment, assess, findings
from aris.tasks.locate import locate
from aris.tasks.monitor import monitor
from aris.tasks.results import (
    Answer,
    Classification,
    Comparison,
    Confidence,
    Draft,
    Evidence,
    FailedCheck,
    FilmFindings,
    Finding,
    Location,
    Measurement,
    Region,
    ScoredFinding,
    Sections,
    SentenceConfidence,
)
from aris.tasks.summary import RecordAnswer, Summary, ask_record, summarize

__all__ = [
    "Answer",
    "AnswerStream",
    "Assessment",
    "Case",
    "Classification",
    "Comparison",
    "ComparisonStream",
    "Confidence",
    "Draft",
    "DraftStream",
    "Evidence",
    "FailedCheck",
    "FilmFindings",
    "Finding",
    "Location",
    "Measurement",
    "RecordAnswer",
    "Region",
    "ScoredFinding",
    "Sections",
    "SentenceConfidence",
    "Summary",
    "as_case",
    "ask",
    "ask_record",
    "assess",
    "classify",
    "compare",
    "draft",
    "draft_prompt",
    "evidence",
    "findings",
    "load_calibration",
    "locate",
    "monitor",
    "read_cases",
    "save_evidence",
    "summarize",
]
