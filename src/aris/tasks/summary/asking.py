"""Questions about one patient's record: answers with citations, or "not in the record"."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from aris.backends import Backend, GenerationOptions
from aris.errors import PromptError
from aris.records import Timeline
from aris.tasks.summary.entries import Entry, entries
from aris.tasks.summary.finding import Found, find
from aris.tasks.summary.models import Writer, caution_of, writer_of
from aris.tasks.summary.prompts import NOT_THERE, answering_prompt, numbers_of, planning_prompt
from aris.tasks.summary.results import RecordAnswer, Statement
from aris.tasks.summary.summarizing import patient_line, record_warnings, seen

NOT_IN_RECORD = "Not in the record. That is not the same as not present."
_SHOWN = 20
_NAMED = 150  # parts that a model may choose among


def ask_record(
    record: Timeline | str | Path,
    question: str,
    model: Backend | None = None,
    *,
    at: datetime | None = None,
    patient: str | None = None,
    token: str | None = None,
    options: GenerationOptions | None = None,
    force: bool = False,
) -> RecordAnswer:
    """Answer a question about one patient's record, each statement with the resources that it rests on.

    The entries that the question is about are found by its words, and by the model's own choice among the record's
    parts. What the model answers from them is held against the resources; what they do not support is struck.

    Args:
        record: a timeline, or what `aris.records.read_timeline` reads.
        question: in words.
        model: to answer; `None` gives the entries alone.
        at: the moment that the record is seen from; `None` for all of it.
        patient: the patient's id, where the source has several.
        token: the bearer token for a server.
        options: how to generate; greedy and up to 400 tokens by default.
        force: let a model answer that is not made for records.

    Raises:
        PromptError: the question has no words.
        RecordError: the record cannot be read, holds nothing, or is not of one patient.
    """
    question = " ".join(question.split())
    if not any(c.isalpha() for c in question):
        raise PromptError("question: it has no words; ask something about the record")
    timeline = seen(record, at, patient, token)
    every = entries(timeline)
    found = find(every, question)
    warnings = record_warnings(timeline)
    statements: tuple[Statement, ...] = ()
    writer, said = writer_of(model, timeline, options, force=force)
    warnings += said
    if writer is not None:
        statements = _answer(writer, every, found, question)
        warnings += writer.warnings
    if found.missing:
        warnings.append(f"no entry of the record has: {', '.join(found.missing)}")
    about = tuple(dict.fromkeys(e.statement for e in found.entries[:_SHOWN]))
    return RecordAnswer(
        model="none" if model is None else model.name,
        question=question,
        patient=patient_line(timeline),
        found=bool(statements) or found.hit,
        statements=statements,
        facts=about,
        struck=tuple(writer.struck) if writer else (),
        problems=tuple(dict.fromkeys(map(str, timeline.problems))),
        warnings=tuple(dict.fromkeys(warnings)),
        caution=caution_of(model),
    )


def _answer(writer: Writer, every: Sequence[Entry], found: Found, question: str) -> tuple[Statement, ...]:
    facts = _chosen(writer, every, found, question)
    kept: list[Statement] = []
    for reply, start in writer.ask_in_parts(facts, lambda part: answering_prompt(part, question)):
        if NOT_THERE not in reply.upper():
            kept += writer.checked(reply, facts[start:], "answer")[0]
    return tuple(dict.fromkeys(kept))


def _chosen(writer: Writer, every: Sequence[Entry], found: Found, question: str) -> list[Statement]:
    """The facts to read: all of a short record, else those found by words and those that the model chose."""
    whole = [e.statement for e in every]
    if sum(len(s.text) + 8 for s in whole) <= writer.budget // 2:
        return whole
    groups: dict[str, list[Entry]] = {}
    for entry in every:
        groups.setdefault(f"{entry.topic}: {entry.name}", []).append(entry)
    names = list(groups)[:_NAMED]
    try:
        reply = writer.ask(planning_prompt(names, question))
    except PromptError:  # a small model's prompt is full: the words of the question lead alone
        reply = ""
    planned = [e for n in numbers_of(reply, len(names))[:12] for e in groups[names[n - 1]][:10]]
    return list(dict.fromkeys(e.statement for e in (*found.entries, *planned)))
