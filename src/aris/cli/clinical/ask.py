"""`aris ask`: one question, with or without images."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from aris.cli.clinical.summarize import RecordOptions, answer_of_record
from aris.cli.groups import FilmOptions, ModelOptions, WritingOptions, with_groups
from aris.cli.options import answer_form as f
from aris.cli.options import shared as o
from aris.cli.options.kinds import KindOption, kind
from aris.cli.outcome import FAILED, interruptible
from aris.cli.terminal import note, one_line, working, write, write_json

if TYPE_CHECKING:
    from aris.tasks import AnswerStream

NEVER = "never for patient care"
INCOMPLETE = "the answer is not complete"


@with_groups
def ask(
    text: Annotated[str, typer.Argument(metavar="TEXT", help='The question; "-" reads it from stdin.')],
    model: ModelOptions,
    writing: WritingOptions,
    film: FilmOptions,
    about: RecordOptions,
    image: Annotated[
        list[str] | None, typer.Option("--image", "-i", metavar="FILE", help="An image it is about; may be repeated.")
    ] = None,
    record: Annotated[
        str | None,
        typer.Option(
            "--record", "-r", metavar="FILE", help="A patient's record it is about: a FHIR R4 file, a folder or a URL."
        ),
    ] = None,
    image_kind: KindOption = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    force: o.ForceOption = False,
    think: Annotated[bool, typer.Option("--think", help="Ask the model to think first, if it can.")] = False,
    json_schema: f.JsonSchemaOption = None,
    regex: f.RegexOption = None,
    choice: f.ChoiceOption = None,
) -> None:
    """Ask one question; the answer comes as it is written.

    An image outside the model's declared scope, or a question that it cannot answer, is not answered: the reason
    is printed, and the exit code is 1. With --force the model answers, and the answer is marked. What a reader must
    know of an image is said before the answer, on stderr.

    Examples:

        aris ask -i chest.dcm "Is there pneumonia?"

        aris ask "What does blunting of the costophrenic angle suggest?"

        aris ask -i chest.dcm "Is the heart enlarged?" --model medgemma-1.5-4b-it

        aris ask -i chest.dcm --choice yes --choice no "Is there pneumonia?"

        aris ask --record bundle.json "Which drugs were stopped?"
    """
    session = model.session()
    generation = writing.generation(thinking=think)
    if record is not None:
        if image:
            raise typer.BadParameter("a question is about images or about a record, not both", param_hint="--record")
        if json_schema or regex or choice:
            raise typer.BadParameter(
                "an answer from a record has a form of its own: leave --json-schema, --regex and --choice out",
                param_hint="--record",
            )
        question = sys.stdin.read() if text == "-" else text
        answer_of_record(session, record, question, about, options=generation, json=json, force=force)
        return
    if about.patient is not None or about.at is not None:
        raise typer.BadParameter("--patient and --at are about a record: give it with --record")
    with interruptible(INCOMPLETE, text=False):
        generation = replace(generation, grammar=f.grammar(json_schema, regex, choice))
        cases = []
        if image:
            from aris.tasks.cases import as_case
            from aris.tasks.film_facts import with_facts

            said = film.facts()
            cases = [with_facts(as_case(file, kind(image_kind), session.spec), said) for file in image]
        question = sys.stdin.read() if text == "-" else text
        backend = session.backend
        with working("reading the question"):
            from aris.tasks import AnswerStream

            stream = AnswerStream(backend, question, cases, options=generation, force=force)
    with interruptible(INCOMPLETE, text=not json):
        if not json:
            tell(stream)
        for piece in stream:
            if not json:
                write(piece)
        answer = stream.answer
        if json:
            write_json(answer.model_dump(mode="json"))
        else:
            write("" if answer.answer.endswith("\n") else "\n")
            for warning in answer.warnings:
                if warning not in stream.warnings:
                    note(f"! {warning}")
            if NEVER not in answer.answer:  # a given answer may say so itself
                note(session.caution)
    if not answer.answered:
        raise typer.Exit(FAILED)


def tell(stream: AnswerStream) -> None:
    """Print what must be known before an answer: on stderr, and a forced answer's mark beside it on stdout."""
    for warning in stream.warnings:
        if stream.judgement.forced:
            write(f"! {one_line(warning)}\n", raw=True)
        else:
            note(f"! {warning}")
