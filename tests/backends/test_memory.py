"""Freed memory goes back to the system."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from aris.backends.memory import _c_library, give_back_freed


def resident_mib() -> float:
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(_c_library(), "malloc_trim"), reason="this C library has no malloc_trim"
)
def test_what_was_freed_below_something_held_is_given_back() -> None:
    pieces = [bytes(60_000 + at % 7) for at in range(3000)]
    held = [pieces[at] for at in range(0, 3000, 300)]  # what keeps the C library from shrinking its heap by itself
    del pieces
    before = resident_mib()
    give_back_freed()
    assert resident_mib() < before - 100 and len(held) == 10
