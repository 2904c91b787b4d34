"""Summaries and answers as plain text, with their citations."""

from __future__ import annotations

from collections.abc import Iterable

from aris.tasks.summary.asking import NOT_IN_RECORD
from aris.tasks.summary.forms import TITLES
from aris.tasks.summary.results import PatientLine, RecordAnswer, Statement, Summary

_SHORT = 40  # characters of an id that stands in the text
DRAFT = "DRAFT: a clinician must check every line against the record and sign before any use."


def as_text(summary: Summary) -> str:
    """Return a summary as plain text: caution, warnings, sections with citations, omissions, what was struck."""
    cites = _Citations()
    lines = [summary.caution] if summary.caution else []
    lines += [DRAFT, *(f"! {warning}" for warning in summary.warnings), ""]
    up_to = f" (record up to {summary.as_of})" if summary.as_of else ""
    lines += [f"{TITLES[summary.form]}{up_to}", _who(summary.patient)]
    for section in summary.sections:
        lines += ["", section.title.upper()]
        lines += [f"({section.note})"] if section.note else []
        lines += cites.listed(section.statements)
    if summary.omissions:
        lines += ["", "LEFT OUT ABOVE"]
        lines += [f"- {o.kind}: {o.text} {cites.shown(o.cites)}" for o in summary.omissions]
    if summary.struck:
        lines += ["", "STRUCK: the record does not support these statements of the model"]
        lines += [f"- {s.section}: {s.text} ({s.reason})" for s in summary.struck]
    if summary.excluded:
        lines += ["", "KEPT OUT OF THE RECORD", *(f"- {each}" for each in summary.excluded)]
    if summary.problems:
        lines += ["", "PROBLEMS IN READING", *(f"- {each}" for each in summary.problems)]
    return "\n".join([*lines, *cites.sources()]) + "\n"


def answer_text(answer: RecordAnswer) -> str:
    """Return an answer as plain text, with its citations and the entries that it is about."""
    cites = _Citations()
    lines = [answer.caution] if answer.caution else []
    lines += [f"! {warning}" for warning in answer.warnings]
    if not answer.found:
        lines.append(NOT_IN_RECORD)
    lines += cites.listed(answer.statements)
    if answer.facts:
        lines += [""] if answer.statements else []
        lines.append("The record's entries on this:" if answer.found else "Of the same kind the record has:")
        lines += cites.listed(answer.facts)
    if answer.struck:
        lines += ["", "STRUCK: the record does not support these statements of the model"]
        lines += [f"- {s.text} ({s.reason})" for s in answer.struck]
    return "\n".join([*lines, *cites.sources()]) + "\n"


class _Citations:
    """Shows ids as they are while they are short; long ones (UUIDs) as numbers, with a list of sources at the end."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def shown(self, cites: tuple[str, ...]) -> str:
        """The citations of one statement, in brackets; nothing for none."""
        words = [c if len(c) <= _SHORT else str(self._numbers.setdefault(c, len(self._numbers) + 1)) for c in cites]
        return f"[{', '.join(words)}]" if words else ""

    def listed(self, statements: Iterable[Statement]) -> list[str]:
        """A line for each statement."""
        return [f"- {s.text} {self.shown(s.cites)}".rstrip() for s in statements]

    def sources(self) -> list[str]:
        """The list of what the numbers stand for."""
        return ["", "SOURCES", *(f"[{number}] {id_}" for id_, number in self._numbers.items())] if self._numbers else []


def _who(patient: PatientLine) -> str:
    parts = [patient.name or "Name not documented", f"born {patient.birth}" if patient.birth else "", patient.gender]
    named = ", ".join(p for p in parts if p)
    return f"{named} [{patient.id}]" if patient.id else named
