"""Memory that runs out, said in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from aris.errors import ModelError


@contextmanager
def memory_errors(device: torch.device | str) -> Iterator[None]:
    """Raise `ModelError` where the block runs out of memory, on the device or on the CPU."""
    try:
        yield
    except MemoryError:
        raise ModelError(_message("cpu")) from None
    except torch.OutOfMemoryError:
        raise ModelError(_message(str(device))) from None
    except RuntimeError as error:
        # PyTorch's CPU allocator has no exception class of its own.
        if "can't allocate memory" not in str(error) and "not enough memory" not in str(error):
            raise
        raise ModelError(_message("cpu")) from None


def _message(device: str) -> str:
    return f"{device}: out of memory; use a smaller model, fewer or smaller images, or another device"
