"""Log of a server on stderr: one line a record, nothing that a caller sent, and no flood of the same line."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from aris.faults import described, locations

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

log = logging.getLogger("aris.service")

# Of one kind of line so many in a row, and then so many a second; how many were left out is said.
_BURST, _A_SECOND = 200, 20.0
_KINDS = 256
_OURS = ("aris",)


class _OneLine(logging.Formatter):
    """A line for each record.

    Another library's message, or an exception's, may quote what was asked: of those only the kind and the place are
    written.
    """

    def format(self, record: logging.LogRecord) -> str:
        line = record.getMessage() if record.name.partition(".")[0] in _OURS else _foreign(record)
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            line = f"{line}: {' < '.join([type(error).__name__, *locations(error)[:4]])}"
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        return f"{stamp} {' '.join(line.split())}"


def _foreign(record: logging.LogRecord) -> str:
    """Another library's record: which, how bad, and where it was written."""
    return f"{record.name} {record.levelname.lower()} ({Path(record.pathname).name}:{record.lineno})"


def _not_a_cut(record: logging.LogRecord) -> bool:
    """Leave out that an answer was cancelled, which uvicorn takes for a defect of ours."""
    kind = record.exc_info[0] if record.exc_info else None
    cut = kind is not None and issubclass(kind, asyncio.CancelledError)
    return not cut and not record.getMessage().rstrip().endswith("CancelledError")


class Sparing(logging.Filter):
    """Lets through so many lines of a kind, and counts the others in the next one that it lets through.

    Lines are of one kind if one statement wrote them, with one text for its first argument but the last two: access
    lines of one route and status are, whatever the time that they took.

    Args:
        burst: lines in a row.
        a_second: lines after that.
    """

    def __init__(self, burst: int = _BURST, a_second: float = _A_SECOND) -> None:
        super().__init__()
        self._burst, self._a_second = burst, a_second
        self._kinds: OrderedDict[tuple[object, ...], list[float]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is written."""
        given = record.args if isinstance(record.args, tuple) else ()
        kind = (record.name, record.pathname, record.lineno, *map(str, given[:3] if len(given) > 3 else ()))
        room, last, left_out = self._kinds.pop(kind, (float(self._burst), record.created, 0.0))
        room = min(float(self._burst), room + max(0.0, record.created - last) * self._a_second)
        passes = room >= 1.0
        if passes and left_out:
            record.msg = f"{record.getMessage()} ({left_out:.0f} lines like this were left out before)"
            record.args = ()
        self._kinds[kind] = [room - passes, record.created, 0.0 if passes else left_out + 1]
        if len(self._kinds) > _KINDS:
            self._kinds.popitem(last=False)
        return passes


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    """In place of Python's, which prints a traceback with the exception's words."""
    if failed.exc_value is not None:
        log.error("a thread failed: %s", described(failed.exc_value))


def _not_raised(failed: UnraisableHookArgs) -> None:
    """Likewise, of an exception that nobody could be told of."""
    if failed.exc_value is not None:
        log.error("while something was freed: %s", described(failed.exc_value))


def configure_logs() -> None:
    """Logs go to stderr, one line each; other libraries' only where something is wrong, and without their words."""
    # A descriptor of its own: image decoders silence number 2 for as long as they work.
    stream = os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1, errors="replace")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_OneLine())
    handler.addFilter(_not_a_cut)
    handler.addFilter(Sparing())
    logging.captureWarnings(True)  # Python's own would be printed with their words
    threading.excepthook = _thread_failed
    sys.unraisablehook = _not_raised
    logging.raiseExceptions = False  # a record that cannot be formatted would be printed with its arguments
    for name, level in (("aris", logging.INFO), ("uvicorn", logging.ERROR), ("", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False
