"""Feedback of CDS clients: appended to a file, one JSON object a line."""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from aris.errors import ArisError
from aris.private import make_folder
from aris.service.cds_hooks.requests import Feedback

_MOST_KNOWN = 100_000


class FeedbackLog:
    """A file of feedback.

    Args:
        path: None keeps none.

    Raises:
        ArisError: it cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._rules: OrderedDict[str, str] = OrderedDict()
        self._file: int | None = None
        if path is not None:
            try:
                make_folder(path.parent)
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise ArisError(f"{path}: feedback cannot be kept there ({error.strerror or error})") from None

    def served(self, card: str, rule: str) -> None:
        """Remember which rule a card was of, so that its feedback can name it."""
        self._rules[card] = rule
        while len(self._rules) > _MOST_KNOWN:
            self._rules.popitem(last=False)

    def add(self, service: str, given: Sequence[Feedback]) -> None:
        """Append feedback.

        Raises:
            ArisError: it cannot be written.
        """
        if self._file is None:
            return
        now = datetime.now(UTC).isoformat(timespec="seconds")
        lines = b""
        for each in given:
            row = {
                "received": now, "service": service, "card": each.card, "rule": self._rules.get(each.card),
                **each.model_dump(by_alias=True, exclude_none=True, exclude={"card"}),
            }  # fmt: skip
            lines += json.dumps({key: value for key, value in row.items() if value is not None}).encode() + b"\n"
        with self._lock:
            try:
                if os.write(self._file, lines) != len(lines):
                    raise OSError("the disk is full")
            except OSError as error:
                raise ArisError(f"{self._path}: feedback cannot be written ({error.strerror or error})") from None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
