"""Layer inputs that are kept for the backward pass in the computer's memory instead of the GPU's.

With checkpointing, only a layer's input is kept for the backward pass. Here it is copied to pinned memory on a
stream of its own while the next layers compute, and copied back one layer ahead of its use. All waits are events, so a
step can be recorded as a CUDA graph: the first batch of a shape, which is never recorded, makes the pinned buffers.
"""

from __future__ import annotations

from collections import deque

import torch
import torch.utils.checkpoint
from torch import Tensor, nn

from aris.model.decoder import Decoder

# Copies to the host under way at a time; a layer waits for the one before these.
IN_FLIGHT = 2


class HostStore:
    """A store of a decoder's layer inputs on the host. On a CPU it copies them as well, which is of use to tests alone.

    Args:
        decoder: checkpointed; its `keep_input` is replaced by this store's.
        buffer_bytes: least size of a buffer; inputs up to this size share buffers, whatever their shape.

    Attributes:
        buffers: number of buffers; the layers' less one, unless a pass begins before another's backward pass.
    """

    def __init__(self, decoder: Decoder, buffer_bytes: int = 0) -> None:
        self.device = decoder.norm.weight.device
        self.buffers = 0
        self._buffer_bytes = buffer_bytes
        self._stream = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None
        self._free: list[Tensor] = []
        self._first, self._last = decoder.layers[0], decoder.layers[-1]
        self._before: _Kept | None = None  # of the layer before, in the current pass
        self._leaving: deque[tuple[Tensor, torch.cuda.Event]] = deque()
        decoder.keep_input = self.keep_input

    def keep_input(self, layer: nn.Module, x: Tensor, *rest: object) -> Tensor:
        """Run a layer as `aris.model.decoder.keep_input` does. The last layer's input stays: it is due first."""
        kept = _Kept(self, x, None if layer is self._first else self._before)
        began = None if self._stream is None else torch.cuda.current_stream(self.device).record_event()

        def run(*rest: object) -> Tensor:
            out: Tensor = layer(kept.use(), *rest)
            return out

        out: Tensor = torch.utils.checkpoint.checkpoint(run, *rest, use_reentrant=False, preserve_rng_state=False)
        self._before = None
        if out.requires_grad:  # otherwise there is no backward pass
            if layer is self._last:
                kept.here = x.detach()
            else:
                kept.buffer = self._take(x.nbytes)
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
        """Wait for all but `most` copies to the host: later kernels may take their memory."""
        while len(self._leaving) > most:
            torch.cuda.current_stream(self.device).wait_event(self._leaving.popleft()[1])

    def bring(self, there: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
        """Start a copy to the device; return it and the event after which it is whole."""
        here = torch.empty_like(there, device=self.device)
        if self._stream is None:
            return here.copy_(there), None
        self._stream.wait_stream(torch.cuda.current_stream(self.device))  # for earlier users of this memory
        with torch.cuda.stream(self._stream):
            here.copy_(there, non_blocking=True)
            return here, self._stream.record_event()

    def _take(self, size: int) -> Tensor:
        for index, buffer in enumerate(self._free):
            if buffer.nbytes >= size:
                return self._free.pop(index)
        self.buffers += 1
        size = max(size, self._buffer_bytes)
        return torch.empty(size, dtype=torch.uint8, pin_memory=self.device.type == "cuda")

    def give(self, buffer: Tensor) -> None:
        """Return a buffer: copies out of it and into it follow each other on one stream."""
        self._free.append(buffer)


class _Kept:
    """A layer's input: the tensor itself in the forward pass, a copy brought back from its buffer later."""

    def __init__(self, store: HostStore, x: Tensor, before: _Kept | None) -> None:
        self.store, self.before = store, before
        self.first: Tensor | None = x
        self.shape, self.dtype, self.needs_grad = x.shape, x.dtype, x.requires_grad
        self.buffer: Tensor | None = None
        self.here: Tensor | None = None  # the last layer's, which stays
        self.coming: tuple[Tensor, torch.cuda.Event | None] | None = None

    def there(self) -> Tensor:
        """Return the input in its buffer."""
        assert self.buffer is not None
        return self.buffer[: self.shape.numel() * self.dtype.itemsize].view(self.dtype).view(self.shape)

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
        """Start to bring the input back, unless it is here or coming."""
        if self.here is None and self.coming is None:
            self.coming = self.store.bring(self.there())

    def __del__(self) -> None:
        if self.buffer is not None:
            self.store.give(self.buffer)
