"""`aris compare`: two images of one patient."""

from __future__ import annotations

from typing import Annotated

import typer

from aris.cli.groups import ModelOptions, with_groups
from aris.cli.options import shared as o
from aris.cli.options.kinds import KindOption, kind
from aris.cli.outcome import interruptible
from aris.cli.terminal import heading, one_line, working, write, write_json


@with_groups
def compare(
    one: Annotated[str, typer.Argument(metavar="FILE", help="An image.")],
    other: Annotated[str, typer.Argument(metavar="FILE", help="Another of the same patient.")],
    model: ModelOptions,
    image_kind: KindOption = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    force: o.ForceOption = False,
) -> None:
    """Compare two images of one patient. Their headers' dates tell which is the earlier one.

    Examples:

        aris compare march.dcm june.dcm --model medgemma-1.5-4b-it
    """
    session = model.session()
    with interruptible("the comparison is not complete", text=not json):
        with working(f"reading {one} and {other}"):
            from aris.tasks.cases import as_case

            first, second = (as_case(file, kind(image_kind), session.spec) for file in (one, other))
        backend = session.backend
        from aris.tasks import ComparisonStream
        from aris.tasks.results import DRAFT_MARK

        stream = ComparisonStream(backend, first, second, force=force)
        if not json:
            heading(f"{DRAFT_MARK} \u00b7 {backend.name} \u00b7 {stream.prior.source} then {stream.current.source}")
        for piece in stream:
            if not json:
                write(piece)
    result = stream.comparison
    if json:
        write_json(result.model_dump(mode="json"))
        return
    write("" if result.text.endswith("\n") else "\n")
    for warning in result.warnings:
        write(f"! {one_line(warning)}\n", raw=True)
    heading(f"{DRAFT_MARK}. {session.caution}")
