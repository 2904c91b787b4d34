"""Layer inputs that wait for the way back in the computer's memory instead of the GPU's.

With checkpointing, what is left of a layer between the two ways is its input. Here it is copied to pinned memory on a
stream of its own while the next layers compute, and copied back one layer ahead of its use. All waits are events, so a
step can be recorded as a CUDA graph: the pinned places are made by the first batch of a shape, which is never recorded.
"""

from __future__ import annotations

from collections import deque

import torch
import torch.utils.checkpoint
from torch import Tensor, nn

from aris.model.decoder import Decoder

# Inputs on their way out at a time; a layer waits for the one before these.
IN_FLIGHT = 2


class HostStore:
    """Keeps a decoder's layer inputs on the host. On a CPU it copies them as well, which is of use to tests alone.

    Args:
        decoder: checkpointed; its `keep_input` becomes this store's.
        place_bytes: of a place, at least; inputs up to this size share places, whatever their shape.

    Attributes:
        places: how many there are; as many as layers less one, unless a pass begins before another went back.
    """

    def __init__(self, decoder: Decoder, place_bytes: int = 0) -> None:
        self.device = decoder.norm.weight.device
        self.places = 0
        self._place_bytes = place_bytes
        self._stream = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None
        self._free: list[Tensor] = []
        self._first, self._last = decoder.layers[0], decoder.layers[-1]
        self._before: _Kept | None = None  # the layer's before, in the pass that is under way
        self._leaving: deque[tuple[Tensor, torch.cuda.Event]] = deque()
        decoder.keep_input = self.keep_input

    def keep_input(self, layer: nn.Module, x: Tensor, *rest: object) -> Tensor:
        """As `aris.model.decoder.keep_input`. The last layer's input stays where it is: it is due first."""
        kept = _Kept(self, x, None if layer is self._first else self._before)
        began = None if self._stream is None else torch.cuda.current_stream(self.device).record_event()

        def run(*rest: object) -> Tensor:
            out: Tensor = layer(kept.use(), *rest)
            return out

        out: Tensor = torch.utils.checkpoint.checkpoint(run, *rest, use_reentrant=False, preserve_rng_state=False)
        self._before = None
        if out.requires_grad:  # otherwise nothing comes back for it
            if layer is self._last:
                kept.here = x.detach()
            else:
                kept.place = self._take(x.nbytes)
                self._send(x.detach(), kept.there(), began)
                self._before = kept
        return out

    def _send(self, x: Tensor, there: Tensor, began: torch.cuda.Event | None) -> None:
        if self._stream is None or began is None:
            there.copy_(x)
            return
        self._stream.wait_event(began)
        with torch.cuda.stream(self._stream):
            there.copy_(x, non_blocking=True)
            self._leaving.append((x, self._stream.record_event()))
        self.settle(IN_FLIGHT)

    def settle(self, most: int = 0) -> None:
        """Let all but `most` inputs on their way out go: what is computed after this may take their memory."""
        while len(self._leaving) > most:
            torch.cuda.current_stream(self.device).wait_event(self._leaving.popleft()[1])

    def bring(self, there: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
        """A copy on the device, and the event after which it is whole."""
        here = torch.empty_like(there, device=self.device)
        if self._stream is None:
            return here.copy_(there), None
        self._stream.wait_stream(torch.cuda.current_stream(self.device))  # for who had this memory before
        with torch.cuda.stream(self._stream):
            here.copy_(there, non_blocking=True)
            return here, self._stream.record_event()

    def _take(self, size: int) -> Tensor:
        for index, place in enumerate(self._free):
            if place.nbytes >= size:
                return self._free.pop(index)
        self.places += 1
        room = max(size, self._place_bytes)
        return torch.empty(room, dtype=torch.uint8, pin_memory=self.device.type == "cuda")

    def give(self, place: Tensor) -> None:
        """A place is free again: copies out of it and into it follow each other on one stream."""
        self._free.append(place)


class _Kept:
    """One layer's input: itself the first time, brought back from its place later."""

    def __init__(self, store: HostStore, x: Tensor, before: _Kept | None) -> None:
        self.store, self.before = store, before
        self.first: Tensor | None = x
        self.shape, self.dtype, self.needs_grad = x.shape, x.dtype, x.requires_grad
        self.place: Tensor | None = None
        self.here: Tensor | None = None  # it never left
        self.coming: tuple[Tensor, torch.cuda.Event | None] | None = None

    def there(self) -> Tensor:
        """The input in its place."""
        assert self.place is not None
        return self.place[: self.shape.numel() * self.dtype.itemsize].view(self.dtype).view(self.shape)

    def use(self) -> Tensor:
        if self.first is not None:
            x, self.first = self.first, None
            return x
        self.store.settle()
        self.call()
        if self.before is not None:
            self.before.call()
        if self.here is not None:
            return self.here.detach().requires_grad_(self.needs_grad)
        assert self.coming is not None
        (x, whole), self.coming = self.coming, None
        if whole is not None:
            torch.cuda.current_stream(self.store.device).wait_event(whole)
        return x.requires_grad_(self.needs_grad)

    def call(self) -> None:
        """Begin to bring it back, unless it is here or on its way."""
        if self.here is None and self.coming is None:
            self.coming = self.store.bring(self.there())

    def __del__(self) -> None:
        if self.place is not None:
            self.store.give(self.place)
