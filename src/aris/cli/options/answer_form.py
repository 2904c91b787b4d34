"""The form of an answer, as the command line gives it: `--json-schema FILE`, `--regex` or `--choice`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aris.errors import ModelError
from aris.regular import read_regular

if TYPE_CHECKING:
    from aris.backends import Grammar

_FORM = "Form of the answer"

JsonSchemaOption = Annotated[
    str | None,
    typer.Option(
        "--json-schema",
        metavar="FILE",
        help="Answer with JSON that this JSON schema describes.",
        rich_help_panel=_FORM,
    ),
]
RegexOption = Annotated[
    str | None,
    typer.Option("--regex", metavar="PATTERN", help="Answer with text that this matches.", rich_help_panel=_FORM),
]
ChoiceOption = Annotated[
    list[str] | None,
    typer.Option("--choice", metavar="TEXT", help="Answer with one of these; repeated.", rich_help_panel=_FORM),
]


def grammar(json_schema: str | None, regex: str | None, choice: list[str] | None) -> Grammar | None:
    """Make the grammar that the options ask for; None if they ask for none.

    Raises:
        ModelError: the schema's file cannot be read, or the form is not one.
    """
    if sum(each is not None and each != [] for each in (json_schema, regex, choice)) > 1:
        raise typer.BadParameter("give only one of --json-schema, --regex and --choice")
    if json_schema is None and regex is None and not choice:
        return None
    from aris.backends import Grammar

    if json_schema is not None:
        try:
            text = read_regular(Path(json_schema).expanduser()).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise ModelError(f"{json_schema}: {reason}; give the file of a JSON schema") from None
        return Grammar.json_schema(text)
    return Grammar.regex(regex) if regex is not None else Grammar.choice(choice or [])
