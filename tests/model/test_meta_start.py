"""A model without weights is made at once: PyTorch's compiler, which takes seconds to import, is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_no_compiler_is_imported_for_first_values_that_nobody_uses() -> None:
    code = (
        "import sys, torch, tiny_checkpoint\n"
        "from aris.model import MedGemma\n"
        "with torch.device('meta'):\n"
        "    model = MedGemma(tiny_checkpoint.config())\n"
        "assert all(each.is_meta for each in model.parameters())\n"
        "print(*sorted({name for name in sys.modules if name.startswith('torch._dynamo')}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and done.stdout.strip() == "", done.stdout + done.stderr
