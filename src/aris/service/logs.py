"""What a server writes to stderr: one line a record, and nothing that a caller sent."""

from __future__ import annotations

import asyncio
import logging
import os
import sys


class _OneLine(logging.Formatter):
    """A line for each record. A traceback may quote what was asked; the exception's type must do."""

    def format(self, record: logging.LogRecord) -> str:
        kind = record.exc_info[0] if record.exc_info else None
        record.exc_info = record.exc_text = None
        message = record.getMessage().rstrip()
        if "\n" in message:
            record.msg, record.args = message.rpartition("\n")[2].partition(":")[0], ()
        line = super().format(record).rstrip()
        return line if kind is None else f"{line}: {kind.__name__}"


def _not_a_cut(record: logging.LogRecord) -> bool:
    """Leave out that an answer was cancelled, which uvicorn takes for a defect of ours."""
    kind = record.exc_info[0] if record.exc_info else None
    cut = kind is not None and issubclass(kind, asyncio.CancelledError)
    return not cut and not record.getMessage().rstrip().endswith("CancelledError")


def configure_logs() -> None:
    """Logs go to stderr, one line each; uvicorn's only where something is wrong."""
    # A descriptor of its own: image decoders silence number 2 for as long as they work.
    stream = os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1, errors="replace")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_OneLine("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    handler.addFilter(_not_a_cut)
    for name, level in (("aris", logging.INFO), ("uvicorn", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False
