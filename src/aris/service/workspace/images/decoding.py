"""Frames decoded for the viewer, within the memory that all decoding of the process shares.

An object of many frames is opened once: its header, its offset table and its file's place are kept for the frames that
follow. Of an object of one frame nothing is kept: the viewer asks for it once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from aris.errors import ImageError
from aris.exchange.dicomweb.frames import memory
from aris.exchange.dicomweb.opened import Opened, opened
from aris.exchange.dicomweb.problems import WebError
from aris.imaging.dicom import codecs, frames
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.imaging.memory_budget import DECODING
from aris.imaging.radiograph import ensure_syntax
from aris.service.workspace.images.values import Form, form_of, values_of
from aris.store.store import Store, Stored

# Objects of many frames that are kept open.
_KEPT = 6
# Decoded at once: more threads than cores only wait for one another.
_AT_ONCE = 2
DAMAGED = "its pixels are damaged, or in an encoding that is not read"


class NoFrameError(Exception):
    """The object has no such frame."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """A frame: its values as its form says, (H, W) or (H, W, 3)."""

    values: npt.NDArray[Any]
    form: Form

    @property
    def data(self) -> bytes:
        """The values as little-endian bytes, row by row."""
        values = self.values
        return np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()


class FrameDecoder:
    """Decodes frames of a store's objects. Threads share it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._open: OrderedDict[str, tuple[Opened, threading.Lock]] = OrderedDict()

    def frame(self, found: Stored, number: int) -> Decoded:
        """A frame of an object.

        Args:
            number: from 1.

        Raises:
            NoFrameError: there is none of this number.
            ImageError: it cannot be shown.
            MemoryBusyError: no memory became free in time.
            StoreError: the file is gone or damaged.
        """
        return _threads().submit(self._frame, found, number).result()

    def _frame(self, found: Stored, number: int) -> Decoded:
        with self._opened(found) as one, quiet_pydicom():
            try:
                if not one.has_pixels or not 1 <= number <= one.total:
                    raise NoFrameError
                with DECODING.holding(memory(one.dataset)):
                    dataset, frame = _cut(one, number - 1)
                    form = form_of(dataset, frame)
                    return Decoded(values_of(dataset, frame, form), form)
            except (ImageError, NoFrameError, MemoryError):
                raise
            except (WebError, codecs.DecodeError):
                raise ImageError(f"image: {DAMAGED}") from None
            except Exception:  # pydicom raises many kinds on damaged objects
                raise ImageError(f"image: {DAMAGED}") from None

    @contextmanager
    def _opened(self, found: Stored) -> Iterator[Opened]:
        """An object, held by this thread alone."""
        with self._lock:
            kept = self._open.get(found.digest)
            if kept is not None:
                self._open.move_to_end(found.digest)
        if kept is None:
            with quiet_pydicom():
                one = opened(self._store, found)
                many = one.position is not None and "NumberOfFrames" in one.dataset
            kept = (one, threading.Lock())
            if many:
                with self._lock:
                    kept = self._open.setdefault(found.digest, kept)
                    while len(self._open) > _KEPT:
                        self._open.popitem(last=False)
        one, lock = kept
        with lock:
            yield one


@cache
def _threads() -> ThreadPoolExecutor:
    """The threads that decode. Each keeps the process that some JPEG needs (see `codecs.kept_child`) for the next."""

    def begin() -> None:
        _CHILDREN.append(kept := codecs.kept_child())
        kept.__enter__()

    return ThreadPoolExecutor(_AT_ONCE, "decoding", begin)


_CHILDREN: list[AbstractContextManager[None]] = []


def _cut(one: Opened, index: int) -> tuple[Any, Any]:
    """The object's header, and the frame with its pixels."""
    dataset, at = one.frame(index)
    ensure_syntax(dataset)
    if any(name in dataset for name in ("FloatPixelData", "DoubleFloatPixelData")):
        return dataset, dataset
    groups = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
    if one.total == 1 and not any(each in dataset for each in groups):
        return dataset, dataset
    (frame,) = frames.split(dataset, [at])
    return dataset, frame
