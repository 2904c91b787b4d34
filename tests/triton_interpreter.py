"""Import this before anything that imports Triton: without a GPU its kernels then run in Triton's interpreter."""

from __future__ import annotations

import os

import pytest
import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is first imported; tests/conftest.py sets it too
pytest.importorskip("triton", reason="needs Triton, which is for Linux only")
from triton.runtime import interpreter  # noqa: E402 - after the check above

_patch = interpreter._patch_lang_tensor


def _patch_for_new_numpy(tensor: type, scope: object) -> None:
    """Triton 3.6's interpreter turns arrays of one element into loop bounds in a way that NumPy 2.4 refuses."""
    _patch(tensor, scope)
    scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())  # type: ignore[attr-defined]


interpreter._patch_lang_tensor = _patch_for_new_numpy
