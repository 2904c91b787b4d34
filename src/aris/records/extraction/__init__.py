"""Findings that reports and notes state, by rule, with the words that they rest on; a model only proposes."""

from __future__ import annotations

from aris.records.extraction.notes import Statement, note_statements
from aris.records.extraction.radiology import (
    FINDINGS,
    FollowUp,
    ReportFinding,
    follow_ups,
    label_report,
    report_findings,
)

__all__ = [
    "FINDINGS", "FollowUp", "ReportFinding", "Statement", "follow_ups", "label_report", "note_statements",
    "report_findings",
]  # fmt: skip
