"""Libraries that are slow to import and that few tests use: imported by the first test that does, not at collection."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch


class _Late:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pytest looks at all that a test module holds
            raise AttributeError(name)
        module = pytest.importorskip(self._name)
        try:
            return getattr(module, name)
        except AttributeError:
            return importlib.import_module(f"{self._name}.{name}")


def bitsandbytes() -> Any:
    """Import bitsandbytes' functions without compiling them at once, which imports all of PyTorch's compiler.

    They are the same functions: it falls back to them where compiling fails.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", lambda function, **_: function)
        return pytest.importorskip("bitsandbytes.functional")


def late(name: str) -> Any:
    """Stand for a module; what is asked of it imports it, and skips the test where it is not installed."""
    return _Late(name)
