"""The memory that decoding may take at once, over all requests of a process: what counts is the decoded size."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class MemoryBusyError(Exception):
    """No memory became free in time."""


class MemoryBudget:
    """Bytes that may be in use at once. What asks for more than there is has all of it, alone.

    Args:
        most: bytes.
        patience_s: seconds that one waits for others.
    """

    def __init__(self, most: int, patience_s: float = 30.0) -> None:
        self.most, self.patience_s = most, patience_s
        self._used = 0
        self._free = threading.Condition()

    @property
    def used(self) -> int:
        """Bytes in use."""
        return self._used

    def take(self, size: int) -> int:
        """Take so many bytes, when they are free.

        Returns:
            how many to give back.

        Raises:
            MemoryBusyError: they were not in time.
        """
        size = max(0, min(size, self.most))
        end = time.monotonic() + self.patience_s
        with self._free:
            while self._used + size > self.most:
                if not self._free.wait(end - time.monotonic()) and self._used + size > self.most:
                    raise MemoryBusyError
            self._used += size
        return size

    def give_back(self, size: int) -> None:
        """Let others have so many bytes."""
        with self._free:
            self._used -= size
            self._free.notify_all()

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Within this so many bytes are taken.

        Raises:
            MemoryBusyError: they were not free in time.
        """
        taken = self.take(size)
        try:
            yield
        finally:
            self.give_back(taken)


# Of a process: images of chats, frames, renderings and metadata of DICOMweb.
DECODING = MemoryBudget(2 << 30)
