"""The option that says what an image is of, where its file does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from aris.cli.options.choices import one_of

if TYPE_CHECKING:
    from aris.tasks.scope import Kind

NAMES = ("chest-film", "film", "ct", "mr", "pathology", "skin", "fundus")


def _kind(value: str | None) -> str | None:
    return value if value is None else one_of(value.strip().lower().replace(" ", "-"), NAMES)


KindOption = Annotated[
    str | None,
    typer.Option(
        "--kind",
        callback=_kind,
        metavar="KIND",
        help=f"What the image is of: {', '.join(NAMES)}. By default as its file says; a PNG or JPEG counts as a "
        "chest film.",
    ),
]


def kind(value: str | None) -> Kind | None:
    """The option's value as tasks spell it."""
    return None if value is None else cast("Kind", value.replace("chest-film", "chest film"))
