"""How often files are opened and data sets parsed, counted by Python's own audit events."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
import pytest

_OPENED: list[str] = []
_COUNTING = [False]


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _COUNTING[0] and event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        _OPENED.append(os.fsdecode(arguments[0]))


# A hook cannot be taken away: it counts only where it is asked to.
sys.addaudithook(_hook)


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[tuple[Counter[str], list[int]]]:
    """How often each file of a folder is opened, by name, and how many data sets are parsed."""
    parsed: list[int] = []
    real = pydicom.dcmread
    monkeypatch.setattr(pydicom, "dcmread", lambda *given, **more: (parsed.append(1), real(*given, **more))[1])
    opened: Counter[str] = Counter()
    _OPENED.clear()
    _COUNTING[0] = True
    try:
        yield opened, parsed
    finally:
        _COUNTING[0] = False
        opened.update(Path(each).name for each in _OPENED if Path(each).is_relative_to(folder))
