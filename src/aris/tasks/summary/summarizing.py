"""A summary of one patient's record: facts laid out by rule, worded by a model where its words hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from aris.backends import Backend, GenerationOptions
from aris.errors import PromptError, RecordError
from aris.records import Timeline, read_timeline
from aris.tasks.summary.forms import Draft, drafts, reference_moment
from aris.tasks.summary.models import Writer, caution_of, writer_of
from aris.tasks.summary.omissions import omissions
from aris.tasks.summary.prompts import wording_prompt
from aris.tasks.summary.results import Form, PatientLine, Section, Statement, Summary

FORMS: tuple[Form, ...] = ("summary", "ipass", "discharge", "referral")
FAILED_CHECK = "the model's text did not hold against the record; the facts are laid out by rule"
NOTHING_LEFT = "nothing of the model's text held against the record; the facts are laid out by rule"


def summarize(
    record: Timeline | str | Path,
    model: Backend | None = None,
    *,
    form: Form = "summary",
    at: datetime | None = None,
    question: str = "",
    patient: str | None = None,
    token: str | None = None,
    options: GenerationOptions | None = None,
    force: bool = False,
    heard: Callable[[int, Section], None] | None = None,
) -> Summary:
    """Summarize one patient's record, each statement with the resources that it rests on.

    The facts of each section are laid out by rule. A model may word them: each of its statements is then held against
    the resources that it cites, and struck where they do not support it; a section with a contradicted statement, or
    with nothing left, is laid out by rule.

    Args:
        record: a timeline, or what `aris.records.read_timeline` reads: a FHIR R4 file, a folder, a server's address.
        model: to word the sections; `None` for rules alone.
        form: "summary", "ipass" (handoff), "discharge" or "referral".
        at: the moment that the record is seen from: what was recorded later is left out. `None` for all of it.
        question: what a referral asks.
        patient: the patient's id, where the source has several.
        token: the bearer token for a server.
        options: how to generate; greedy and up to 400 tokens a section by default.
        force: let a model word records that is not made for it; the summary says so.
        heard: is called with each section that a model was asked to word, and its place, as soon as it was checked.

    Raises:
        RecordError: the record cannot be read, holds nothing, or is not of one patient.
        PromptError: the form is none of the four.
    """
    if form not in FORMS:
        raise PromptError(f"form: {form!r} is none of {', '.join(FORMS)}")
    timeline = seen(record, at, patient, token)
    laid_out = drafts(timeline, form, timeline.moment, " ".join(question.split()))
    warnings = record_warnings(timeline)
    sections = [Section(title=d.title, statements=d.statements) for d in laid_out]
    writer, said = writer_of(model, timeline, options, force=force)
    warnings += said
    if writer is not None:
        sections = _worded(writer, laid_out, heard)
        warnings += writer.warnings
    reference = reference_moment(timeline, timeline.moment)
    return Summary(
        model="none" if model is None else model.name,
        form=form,
        patient=patient_line(timeline),
        source=", ".join(timeline.sources),
        as_of="" if reference is None else reference.date().isoformat(),
        sections=tuple(sections),
        omissions=tuple(omissions(timeline, timeline.moment, sections)),
        struck=tuple(writer.struck) if writer else (),
        excluded=tuple(dict.fromkeys(f"{e.record.id}: {e.reason}" for e in timeline.excluded)),
        problems=tuple(dict.fromkeys(map(str, timeline.problems))),
        warnings=tuple(dict.fromkeys(warnings)),
        caution=caution_of(model),
    )


def seen(record: Timeline | str | Path, at: datetime | None, patient: str | None, token: str | None) -> Timeline:
    """Return the timeline, as it was known at a moment where one is given.

    Raises:
        RecordError: it cannot be read, or holds no fact.
    """
    timeline = record if isinstance(record, Timeline) else read_timeline(record, patient=patient, token=token)
    if at is not None:
        timeline = timeline.known_at(at if at.tzinfo else at.replace(tzinfo=UTC))
    if not timeline.records:
        where = timeline.sources[0] if timeline.sources else "the record"
        then = " at that time" if at is not None else ""
        raise RecordError(f"{where}: the record holds no fact about a patient{then}; there is nothing to summarize")
    return timeline


def record_warnings(timeline: Timeline) -> list[str]:
    """Return the warnings that stand before a record."""
    found = []
    if timeline.problems:
        found.append("parts of the record could not be read as they should (see the problems); it may not be whole")
    if not timeline.patient.name and not timeline.patient.birth:
        found.append("the record has no Patient resource: whose it is, is not documented")
    return found


def patient_line(timeline: Timeline) -> PatientLine:
    """Return whose record it is."""
    person = timeline.patient
    birth = person.birth.day if person.birth else ""
    return PatientLine(id=person.id, name=person.name, birth=birth, gender=person.gender)


def _worded(
    writer: Writer, laid_out: Sequence[Draft], heard: Callable[[int, Section], None] | None
) -> list[Section]:
    """The sections as a model words them, where its words hold.

    All facts stand at the head of each prompt while they fit, so that an engine reads them once for all sections; a
    longer record is read section by section, in parts.
    """
    facts = [s for d in laid_out if d.purpose for s in d.statements if s.cites]
    together = sum(len(f.text) + 8 for f in facts) <= writer.budget
    sections = []
    for place, draft in enumerate(laid_out):
        own = facts if together else [s for s in draft.statements if s.cites]
        sections.append(_section(writer, draft, own))
        if heard is not None:
            heard(place, sections[-1])
    return sections


def _section(writer: Writer, draft: Draft, facts: Sequence[Statement]) -> Section:
    own = [s for s in draft.statements if s.cites]
    plain = Section(title=draft.title, statements=draft.statements)
    if not draft.purpose or not own or writer.broken:
        return plain
    kept: list[Statement] = []
    contradicted = False

    def prompt(part: Sequence[Statement]) -> str:
        numbers = [n for n, fact in enumerate(part, 1) if fact in own]
        return wording_prompt(part, numbers, draft.purpose, draft.title)

    for reply, start in writer.ask_in_parts(facts, prompt):
        good, wrong = writer.checked(reply, facts[start:], draft.title)
        kept += good
        contradicted |= wrong
    if writer.broken:
        return plain
    if contradicted or not kept:
        return plain.model_copy(update={"note": FAILED_CHECK if contradicted else NOTHING_LEFT})
    # What is not documented is said by rule, whatever the model made of the rest.
    missing = [s for s in draft.statements if not s.cites]
    return Section(title=draft.title, statements=(*dict.fromkeys(kept), *missing), by="model")
