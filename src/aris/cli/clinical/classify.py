"""`aris classify`: a choice among options."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import typer

from aris.cli.groups import ModelOptions, with_groups
from aris.cli.options import shared as o
from aris.cli.options.choices import one_of
from aris.cli.options.kinds import KindOption, kind
from aris.cli.outcome import FAILED, interruptible, report
from aris.cli.terminal import note, one_line, probability, working, write, write_json
from aris.errors import ImageError

_BY: tuple[Literal["auto", "score", "answer"], ...] = ("auto", "score", "answer")


@with_groups
def classify(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Images, slides or series.")],
    model: ModelOptions,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="TEXT", help="One option; repeated. Default: nine colorectal tissues."),
    ] = None,
    question: Annotated[
        str | None, typer.Option("--question", "-q", help="What the options answer; needed with own options.")
    ] = None,
    image_kind: KindOption = None,
    by: Annotated[
        str, typer.Option("--by", metavar="auto|score|answer", help="Score each whole option, or let the model write.")
    ] = "auto",
    json: Annotated[bool, typer.Option("--json", help="JSON Lines on stdout, one a file, in order.")] = False,
    force: o.ForceOption = False,
) -> None:
    """Choose among options for each image, by the log-probability of each whole option as the answer.

    How the answer was scored stands in the result: a score and a written answer are not comparable.

    Examples:

        aris classify tile.png --model medgemma-1.5-4b-it

        aris classify lesion.jpg --kind skin -o nevus -o melanoma \\
            -q "What is it?" --model medgemma-4b-it
    """
    way = one_of(by, _BY, param="--by")
    if option and question is None:
        raise typer.BadParameter("say with --question what the options answer", param_hint="--option")
    session = model.session()
    failed = 0
    for done, file in enumerate(files):
        with interruptible(f"{done} of {len(files)} files are done", text=False):
            try:
                with working(f"reading {file}"):
                    from aris.prompting.builders import COLORECTAL_TISSUES
                    from aris.tasks.classify import TISSUE_QUESTION, examination

                    options = option or COLORECTAL_TISSUES
                    case = examination(file, options, kind(image_kind), session.spec)
                backend = session.backend
                from aris.tasks import classify as task

                result = task(backend, case, options, question or TISSUE_QUESTION, by=way, force=force)
            except ImageError as error:
                failed += 1
                if json:
                    write_json({"file": file, "error": str(error)})
                report(error)
                continue
        if json:
            write_json(result.model_dump(mode="json"))
            continue
        if result.forced:
            for warning in result.warnings:
                write(f"! {one_line(warning)}\n", raw=True)
        write(f"{one_line(file)}: {one_line(result.choice or 'no option')} ({result.scored_by})\n", raw=True)
        for each in sorted(result.options, key=lambda each: -(each.logprob or 0)):
            if each.logprob is not None:
                write(f"  {probability(math.exp(each.logprob))}  {one_line(each.text)}\n", raw=True)
        for warning in () if result.forced else result.warnings:
            write(f"  ! {one_line(warning)}\n", raw=True)
    if failed < len(files):
        note(session.caution)
    if failed:
        raise typer.Exit(FAILED)
