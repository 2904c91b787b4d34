"""Formats in and out, the registry of named models, and the embedded one."""

from aris.checkpoints.checkpoint import Checkpoint, load_model, open_checkpoint, open_nano
from aris.checkpoints.entries import Entry, TokenizerSource
from aris.checkpoints.peft import AdapterReport, load_adapter, save_adapter
from aris.checkpoints.quantize import Calibration, QuantizationReport, Rounding, quantize_checkpoint
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
