"""Output to the terminal: model output and file names made harmless, JSON lines, progress.

Text from models, films and file names is untrusted. Printed raw, an escape sequence in it could recolour, retitle or
overwrite what the reader sees, and a bidirectional override could reorder it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aris.errors import ArisError

_KEPT = {"\n", "\t"}
_HARMLESS: dict[int, str] = {
    # Control characters as their visible pictures (U+2400 block); those of the upper range have none.
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in _KEPT},
    0x7F: "\u2421",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    # Bidirectional embeddings, overrides and isolates; the plain marks of right-to-left scripts stay.
    **dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\ufffd"),
    # What is not seen: zero-width spaces, byte order marks, annotations, tags (of which whole texts can be made).
    **dict.fromkeys([0x200B, *range(0x2060, 0x2065), *range(0x206A, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFC)], "\ufffd"),
    **dict.fromkeys(range(0xE0000, 0xE0080), "\ufffd"),
    # Lone surrogates stand for bytes of a file name that is not UTF-8.
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
    0x2028: "\n",
    0x2029: "\n",
}
_ONE_LINE = _HARMLESS | {ord("\n"): "\u240a", ord("\t"): "\u2409", 0x2028: "\u240a", 0x2029: "\u240a"}


def plain(text: str) -> str:
    """The text with control characters, escape sequences and reordering made visible; newlines and tabs stay."""
    return text.translate(_HARMLESS)


def one_line(text: str) -> str:
    """As `plain`, newlines and tabs made visible too: for names and messages."""
    return text.translate(_ONE_LINE)


def write(text: str, *, raw: bool = False) -> None:
    """Write to stdout at once, harmless unless `raw`.

    Raises:
        BrokenPipeError: whoever read it has gone.
        ArisError: it cannot be written for another reason, such as a full disk.
    """
    try:
        sys.stdout.write(text if raw else plain(text))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ArisError(f"output: {error.strerror or error}; the result is not complete") from None


def write_json(value: Mapping[str, Any]) -> None:
    """Write one JSON object on one line, in ASCII, so that no terminal or log can be upset by it."""
    write(json.dumps(value, allow_nan=False) + "\n", raw=True)


def heading(text: str) -> None:
    """Write one line that stands out where stdout is a terminal."""
    line = one_line(text)
    styled = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    write(f"\x1b[1;33m{line}\x1b[0m\n" if styled else f"{line}\n", raw=True)


def probability(value: float) -> str:
    """A probability in two places, never rounded to certainty."""
    return ">0.99" if value > 0.99 else "<0.01" if value < 0.01 else f"{value:.2f}"


def note(text: str) -> None:
    """Write one line to stderr."""
    print(one_line(text), file=sys.stderr, flush=True)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on stderr, if it is a terminal, that something takes a while."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text(one_line(what))):
        yield


@contextmanager
def counting(what: str, total: int) -> Iterator[Any]:
    """A progress bar on stderr, stepped by calling what this gives; only where results do not scroll by themselves."""
    if total < 2 or not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), redirect_stdout=False, transient=True) as progress:
        task = progress.add_task(one_line(what), total=total)
        yield lambda: progress.advance(task)
