"""The soak of `benchmarks/soak.py` in a short form: it runs, no answer is a 5xx, nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).resolve().parents[2] / "benchmarks" / "soak.py"


@pytest.mark.timeout(200)
def test_a_short_soak(endless_folder: Path) -> None:
    # Memory is judged by the long form: in seconds nothing is warm yet.
    done = subprocess.run(
        [sys.executable, str(SOAK), "--minutes", "0", "--requests", "30", "--warm-up", "30", "--leavers", "20",
         "--model", str(endless_folder), "--clients", "6", "--growth", "10"],
        capture_output=True, text=True, timeout=180, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left behind: {'running': 0.0, 'waiting': 0.0}" in done.stdout
    assert "20 clients left in mid-stream ({200: 20}): left behind {'running': 0.0, 'waiting': 0.0}" in done.stdout
    assert "status 200" in done.stdout and "status 5" not in done.stdout
