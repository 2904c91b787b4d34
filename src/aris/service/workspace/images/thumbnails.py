"""Thumbnails: small JPEGs, displayed as the models' images are, and kept for those who ask again."""

from __future__ import annotations

import threading
from collections import OrderedDict

from aris.errors import ImageError
from aris.exchange.dicomweb import frames, rendering
from aris.exchange.dicomweb.opened import opened
from aris.exchange.dicomweb.problems import WebError
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.imaging.memory_budget import DECODING
from aris.store.store import Store, Stored

SIDE = 256
_KEPT_BYTES = 64 << 20
_WANTED = rendering.Rendering(size=(SIDE, SIDE), quality=80)


class Thumbnails:
    """Makes thumbnails of a store's objects. Threads share it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    def of(self, found: Stored) -> bytes:
        """A JPEG of an image, or of the frame in the middle of several.

        Raises:
            ImageError: it cannot be shown.
            MemoryBusyError: no memory became free in time.
            StoreError: the file is gone or damaged.
        """
        with self._lock:
            if (known := self._kept.get(found.digest)) is not None:
                self._kept.move_to_end(found.digest)
                return known
        try:
            with quiet_pydicom():
                made = self._made(found)
        except WebError:
            raise ImageError("image: it cannot be shown") from None
        with self._lock:
            if found.digest not in self._kept:
                self._kept[found.digest] = made
                self._size += len(made)
            while self._size > _KEPT_BYTES:
                self._size -= len(self._kept.popitem(last=False)[1])
        return made

    def _made(self, found: Stored) -> bytes:
        one = opened(self._store, found)
        if not one.has_pixels:
            raise ImageError("image: the object has no pixels")
        with DECODING.holding(frames.memory(one.dataset)):
            span = rendering.span_of(one, _WANTED)
            return rendering.render(*one.frame(one.total // 2 if one.total > 1 else 0), _WANTED, span)
