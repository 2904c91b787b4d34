"""Memory that runs out, said in one line; and memory that the C library holds back, given to the system."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from aris.errors import ModelError
from aris.memory_errors import is_device_memory, is_out_of_memory

_M_ARENA_MAX = -8


@contextmanager
def memory_errors(device: torch.device | str) -> Iterator[None]:
    """Raise `ModelError` where the block runs out of memory, on the device or on the CPU."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(_message(str(device) if is_device_memory(error) else "cpu")) from None


def give_back_freed() -> None:
    """Give what was freed back to the system: after loading, a third of a small model's memory. glibc only."""
    trim = getattr(_c_library(), "malloc_trim", None)
    if trim is not None:
        trim(0)


def share_arenas(count: int = 2) -> None:
    """Have threads that are started from now on allocate from a few arenas together (glibc's M_ARENA_MAX).

    By default there are eight for each core. Threads that take turns at the same work then each leave holes in one of
    their own, and a server's memory grows for hours.
    """
    option = getattr(_c_library(), "mallopt", None)
    if option is not None:
        option(_M_ARENA_MAX, count)


def _c_library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows has no such handle
        return None


def _message(device: str) -> str:
    return f"{device}: out of memory; use a smaller model, fewer or smaller images, or another device"
