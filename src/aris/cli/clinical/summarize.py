"""`aris summarize`: a patient's record on one page, each statement with the resources that it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from aris.cli.groups import ModelOptions, WritingOptions, with_groups
from aris.cli.options import shared as o
from aris.cli.options.choices import one_of
from aris.cli.outcome import interruptible
from aris.cli.session import Session
from aris.cli.terminal import working, write, write_json

if TYPE_CHECKING:
    from aris.backends import Backend, GenerationOptions
    from aris.tasks.summary.results import Form

NO_MODEL = "none"
MAX_TOKENS = 400  # of a section or an answer
INCOMPLETE = "the summary is not complete"
_RECORD = "Record"
_FORMS = ("summary", "ipass", "discharge", "referral")


@dataclass(frozen=True)
class RecordOptions:
    """Options of the record that a command reads."""

    patient: Annotated[
        str | None,
        typer.Option("--patient", metavar="ID", help="The patient, where several are there.", rich_help_panel=_RECORD),
    ] = None
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="See the record as it was known then, as 2019-03-04 or 2019-03-04T08:00:00Z.",
            rich_help_panel=_RECORD,
        ),
    ] = None
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="ARIS_FHIR_TOKEN",
            show_envvar=True,
            help="Bearer token of a FHIR server. Better in the environment: other users can see a command's options.",
            rich_help_panel=_RECORD,
        ),
    ] = None

    @property
    def moment(self) -> datetime | None:
        """The moment that `--at` names: of a day its end."""
        if self.at is None:
            return None
        from aris.records import parse_when

        when = parse_when(self.at)
        if when is None:
            raise typer.BadParameter("give a time such as 2019-03-04 or 2019-03-04T08:00:00Z", param_hint="--at")
        return when.end


def _form(value: str) -> str:
    return one_of(value, _FORMS)


@with_groups
def summarize(
    source: Annotated[
        str,
        typer.Argument(
            metavar="BUNDLE|FOLDER|URL",
            help="A FHIR R4 file (JSON or NDJSON, also .gz), a folder of such, or https://HOST/fhir/Patient/ID.",
        ),
    ],
    record: RecordOptions,
    model: ModelOptions,
    form: Annotated[
        str,
        typer.Option("--form", "-f", callback=_form, metavar="summary|ipass|discharge|referral", help="Its form."),
    ] = "summary",
    question: Annotated[
        str | None,
        typer.Option(
            "--question", "-q", metavar="TEXT", help="Answer this instead; with --form referral: what it asks."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    force: o.ForceOption = False,
    max_tokens: o.MaxTokensOption = None,
) -> None:
    """Summarize a patient's record; every statement names the resources that it rests on.

    The facts are laid out by rule. A model may word them: what it says is held against the record, and what the record
    does not support is struck. `--model none` uses rules alone, and needs no model. aris-nano is not made to read
    records: with it, too, the facts are laid out by rule, unless --force.

    Examples:

        aris summarize bundle.json

        aris summarize export/ --form ipass --model none

        aris summarize https://HOST/fhir/Patient/123 --model medgemma-27b-text-it

        aris summarize bundle.json --question "What is the latest creatinine?"
    """
    session = model.session()
    options = WritingOptions(max_tokens=max_tokens or MAX_TOKENS).generation()
    if question is not None and form != "referral":
        answer_of_record(session, source, question, record, options=options, json=json, force=force)
        return
    moment = record.moment
    with interruptible(INCOMPLETE, text=False):
        with working(f"reading {source}"):
            from aris.records import read_timeline
            from aris.tasks.summary import as_text
            from aris.tasks.summary import summarize as run

            timeline = read_timeline(source, patient=record.patient, token=record.token)
        backend, declined = model_of(session, force=force)
        with working("writing the summary"):
            asked = question or ""
            summary = run(
                timeline, backend, form=cast("Form", form), at=moment, question=asked, options=options, force=force
            )
            summary = summary.model_copy(update=_with(declined, summary.warnings))
        if json:
            write_json(summary.model_dump(mode="json"))
        else:
            write(as_text(summary))


def answer_of_record(
    session: Session,
    source: str,
    question: str,
    record: RecordOptions,
    *,
    options: GenerationOptions,
    json: bool,
    force: bool,
) -> None:
    """Answer a question about a record, on stdout; for `aris summarize --question` and `aris ask --record`."""
    moment = record.moment
    with interruptible("the answer is not complete", text=False):
        with working(f"reading {source}"):
            from aris.records import read_timeline
            from aris.tasks.summary import answer_text, ask_record

            timeline = read_timeline(source, patient=record.patient, token=record.token)
        backend, declined = model_of(session, force=force)
        with working("reading the question"):
            answer = ask_record(timeline, question, backend, at=moment, options=options, force=force)
            answer = answer.model_copy(update=_with(declined, answer.warnings))
        if json:
            write_json(answer.model_dump(mode="json"))
        else:
            write(answer_text(answer))


def model_of(session: Session, *, force: bool) -> tuple[Backend | None, dict[str, Any]]:
    """(the model to word with, or `None` where none is asked; what the result then says of the model).

    A model whose scope has no records is not even loaded, unless it is forced.
    """
    if session.remote:
        return session.backend, {}
    if session.name == NO_MODEL:
        return None, {}
    from aris.checkpoints.registry import find
    from aris.tasks.scope import not_for_patients
    from aris.tasks.summary.models import declined

    spec = find(session.name)
    said = None if spec is None or force else declined(spec)
    if spec is None or said is None:
        return session.backend, {}
    return None, {"model": spec.name, "caution": not_for_patients(spec), "warnings": (said,)}


def _with(declined: dict[str, Any], warnings: tuple[str, ...]) -> dict[str, Any]:
    """Return the changes of a result for which a model was declined."""
    return {**declined, "warnings": (*declined["warnings"], *warnings)} if declined else {}
