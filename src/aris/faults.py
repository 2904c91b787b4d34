"""Exceptions as a log or a terminal may show them: their kind and where in our code, without their words.

The message of another library's exception may quote what it was given (a prompt, a header, a row, a URL), and so may a
traceback's last line. Our own messages hold nothing of that (see `errors`).
"""

from __future__ import annotations

import traceback
from pathlib import Path

from aris.errors import ArisError

_HERE = Path(__file__).resolve().parent
_FRAMES = 8


def described(error: BaseException, *, frames: int = _FRAMES) -> str:
    """An exception as one line: "ValueError in parse (reading.py:12) < load (files.py:7)", innermost first.

    Args:
        error: any; of an `ArisError` the message is told too.
        frames: how many of our own functions to name at most.
    """
    what = f"{type(error).__name__}: {error}" if isinstance(error, ArisError) else type(error).__name__
    found = locations(error)[: max(0, frames)]
    return f"{what} in {' < '.join(found)}" if found else what


def locations(error: BaseException) -> list[str]:
    """List the places in our own code that an exception passed, innermost first: "function (file.py:line)"."""
    ours = [each for each in traceback.extract_tb(error.__traceback__) if _HERE in Path(each.filename).parents]
    return [f"{frame.name} ({Path(frame.filename).name}:{frame.lineno})" for frame in reversed(ours)]
