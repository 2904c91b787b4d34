"""Properties of the card that kernels depend on."""

from __future__ import annotations

import functools

import torch

SMALL_BLOCK_MEMORY = 99 << 10  # cards for consumers and workstations: 8.6, 8.9, 12.0
_BLOCK_MEMORY = {(8, 0): 163 << 10, (8, 7): 163 << 10, (9, 0): 227 << 10, (10, 0): 227 << 10, (10, 3): 227 << 10}


@functools.cache
def block_memory(device: int | None) -> int:
    """Bytes of shared memory that a thread block may take (CUDA C++ Programming Guide, compute capabilities).

    Args:
        device: a tensor's `device.index`; None is the CPU's, where Triton's interpreter has no such bound.
    """
    if device is None:
        return 1 << 30
    return _BLOCK_MEMORY.get(torch.cuda.get_device_capability(device), SMALL_BLOCK_MEMORY)


@functools.cache
def processors(device: int) -> int:
    """Streaming multiprocessors of a device."""
    return torch.cuda.get_device_properties(device).multi_processor_count
