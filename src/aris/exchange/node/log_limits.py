"""Log lines that a peer can cause as often as it likes, said a few times a minute and then counted."""

from __future__ import annotations

import logging
import threading
import time

SAID, WINDOW_S = 20, 60.0


class Repeats(logging.Filter):
    """Lets each kind of line (its text before its values are put in) pass `SAID` times in a minute.

    The first one of a later minute says how many were left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = str(record.msg)
        now = time.monotonic()
        with self._lock:
            began, count = self._seen.get(kind, (now, 0))
            left_out = 0
            if now - began >= WINDOW_S:
                left_out, began, count = max(0, count - SAID), now, 0
            self._seen[kind] = began, count + 1
        if count >= SAID:
            return False
        if left_out:
            record.msg, record.args = f"{record.getMessage()} (and {left_out} more like it before)", ()
        elif count == SAID - 1:
            record.msg, record.args = f"{record.getMessage()} (more like it are counted, not said)", ()
        return True
