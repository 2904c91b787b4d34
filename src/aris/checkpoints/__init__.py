"""Formats in and out, the registry of named models, and the embedded one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aris.lazy import lazy

if TYPE_CHECKING:
    from aris.checkpoints.checkpoint import Checkpoint, load_model, open_checkpoint, open_nano
    from aris.checkpoints.entries import Entry, TokenizerSource
    from aris.checkpoints.export.quantize import Calibration, QuantizationReport, Rounding, quantize_checkpoint
    from aris.checkpoints.peft.adapters import AdapterReport, load_adapter, save_adapter
    from aris.checkpoints.registry import REGISTRY, FindingScope, ModelSpec, Scope, find

__all__ = [
    "REGISTRY",
    "AdapterReport",
    "Calibration",
    "Checkpoint",
    "Entry",
    "FindingScope",
    "ModelSpec",
    "QuantizationReport",
    "Rounding",
    "Scope",
    "TokenizerSource",
    "find",
    "load_adapter",
    "load_model",
    "open_checkpoint",
    "open_nano",
    "quantize_checkpoint",
    "save_adapter",
]

__getattr__ = lazy(
    __name__,
    {
        "checkpoint": ("Checkpoint", "load_model", "open_checkpoint", "open_nano"),
        "entries": ("Entry", "TokenizerSource"),
        "peft.adapters": ("AdapterReport", "load_adapter", "save_adapter"),
        "export.quantize": ("Calibration", "QuantizationReport", "Rounding", "quantize_checkpoint"),
        "registry": ("REGISTRY", "FindingScope", "ModelSpec", "Scope", "find"),
    },
)
