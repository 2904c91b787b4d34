"""How a run ends that lacks room: which errors mean that memory or the disk is full."""

from __future__ import annotations

import errno

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """PyTorch has an error of its own for an accelerator's memory; for the computer's it raises a RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error) for words in ("can't allocate memory", "not enough memory", "CUDA error: out of memory")
    )


def is_full_disk(error: BaseException) -> bool:
    """Of the disk, of a quota, or of a limit on files."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
