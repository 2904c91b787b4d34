"""Errors that mean that memory is full, told from all others."""

from __future__ import annotations

import torch

# PyTorch has an exception class for an accelerator's memory alone; for the computer's it raises a RuntimeError.
_MESSAGES = ("can't allocate memory", "not enough memory", "CUDA error: out of memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that the device's or the computer's memory is full."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(message in str(error) for message in _MESSAGES)


def is_device_memory(error: BaseException) -> bool:
    """Return whether an out-of-memory error is about an accelerator's memory."""
    return isinstance(error, torch.OutOfMemoryError) or "CUDA" in str(error)
