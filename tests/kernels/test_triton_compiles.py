"""Triton's kernels compile for cards and fit their shared memory; no GPU is needed (see `card_without_gpu.py`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="needs Triton, which is for Linux only")


@pytest.mark.parametrize(("capability", "kib"), [(89, 99), (90, 227)])
def test_steps_and_prompts_of_4b_fit_the_card(capability: int, kib: int, tmp_path: Path) -> None:
    """A GeForce has less than half of an H100's shared memory for a block."""
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path), "TRITON_INTERPRET": "0"}
    command = [sys.executable, str(Path(__file__).with_name("card_without_gpu.py")), str(capability), str(kib << 10)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    sizes = json.loads(done.stdout.splitlines()[-1])
    names = {name.split()[0] for name in sizes}
    assert {"_prefill_kernel", "_decode_kernel", "_matmul_kernel", "_dense_kernel", "_nibble_kernel"} <= names
    assert max(sizes.values()) <= kib << 10, sizes
