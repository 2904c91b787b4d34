"""The option that says what an image is of, where its file does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from aris.tasks.scope import Kind

NAMES = ("chest-film", "film", "ct", "mr", "pathology", "skin", "fundus")


def _kind(value: str | None) -> str | None:
    if value is not None and value.replace(" ", "-") not in NAMES:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(NAMES)}")
    return value


KindOption = Annotated[
    str | None,
    typer.Option(
        "--kind",
        callback=_kind,
        metavar="|".join(NAMES),
        help="What the image is of; by default as its file says. A PNG or JPEG counts as a chest film.",
    ),
]


def kind(value: str | None) -> Kind | None:
    """The option's value as tasks spell it."""
    return None if value is None else cast("Kind", value.replace("chest-film", "chest film"))
