"""Help texts as a terminal shows them: paragraphs wrapped to its width, examples as they are, brackets kept.

Typer breaks lines where the source does, and takes words in square brackets for markup of rich's, which swallows them.
"""

from __future__ import annotations

import inspect
from typing import Any

_DONE = "_aris_help"
# Under the examples: without a last line that is not indented, their indentation is taken for the text's own.
_EXIT_CODES = "\n\nExit codes: 0 done, 1 failed or not answered, 2 misused, 130 stopped."


def readable(command: Any) -> Any:
    """The command, its help and its parameters' made fit for a terminal; once."""
    if command is None or getattr(command, _DONE, False):
        return command
    setattr(command, _DONE, True)
    if command.help:
        command.help = _text(command.help)
    for each in command.params:
        if getattr(each, "help", None):
            each.help = _kept(each.help)
    return command


def _text(text: str) -> str:
    paragraphs = inspect.cleandoc(text).split("\n\n")
    joined = [each if each.startswith("    ") else " ".join(each.split()) for each in paragraphs]
    end = _EXIT_CODES if any(each.startswith("    ") for each in joined) else ""
    return _kept("\n\n".join(joined)) + end


def _kept(text: str) -> str:
    from rich.markup import escape

    return escape(text)
