"""`aris ask`: one question, with or without images."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated

import typer

from aris.cli import form as f
from aris.cli import options as o
from aris.cli.outcome import interruptible
from aris.cli.session import Session, generation_options
from aris.cli.terminal import note, working, write, write_json

INCOMPLETE = "the answer is not complete"


def ask(
    text: Annotated[str, typer.Argument(metavar="TEXT", help='The question; "-" reads it from stdin.')],
    image: Annotated[
        list[str] | None, typer.Option("--image", "-i", metavar="FILE", help="An image it is about; may be repeated.")
    ] = None,
    model: o.ModelOption = "aris-nano",
    mmproj: o.MmprojOption = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    think: Annotated[bool, typer.Option("--think", help="Ask the model to think first, if it can.")] = False,
    max_tokens: o.MaxTokensOption = None,
    temperature: o.TemperatureOption = 0.0,
    top_k: o.TopKOption = 0,
    top_p: o.TopPOption = 1.0,
    min_p: o.MinPOption = 0.0,
    seed: o.SeedOption = None,
    json_schema: f.JsonSchemaOption = None,
    regex: f.RegexOption = None,
    choice: f.ChoiceOption = None,
    backend_url: o.BackendOption = None,
    adapter: o.AdapterOption = None,
    quantize: o.QuantizeOption = None,
    dtype: o.DtypeOption = "auto",
    device: o.DeviceOption = "auto",
) -> None:
    """Ask one question; the answer comes as it is written.

    Examples:

        aris ask "What does blunting of the costophrenic angle suggest?"

        aris ask -i chest.dcm "Is the heart enlarged?"

        aris ask -i chest.dcm --choice yes --choice no "Is there an effusion?"
    """
    session = Session(
        model, dtype=dtype, device=device, adapter=adapter, quantize=quantize, mmproj=mmproj, backend_url=backend_url
    )
    generation = generation_options(
        temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, seed=seed, max_tokens=max_tokens, thinking=think
    )
    with interruptible(INCOMPLETE, text=False):
        generation = replace(generation, grammar=f.grammar(json_schema, regex, choice))
        films = []
        if image:
            from aris.imaging import read_film

            films = [read_film(file) for file in image]
        question = sys.stdin.read() if text == "-" else text
        backend = session.backend
        with working("reading the question"):
            from aris.tasks import AnswerStream

            stream = AnswerStream(backend, question, films, options=generation)
    with interruptible(INCOMPLETE, text=not json):
        for piece in stream:
            if not json:
                write(piece)
        answer = stream.answer
        if json:
            write_json(answer.model_dump(mode="json"))
            return
        write("" if answer.answer.endswith("\n") else "\n")
    for warning in answer.warnings:
        note(f"! {warning}")
    note(session.caution)
