"""A fast runner without adapters beside a plain one with them, over one pool."""

from __future__ import annotations

import torch
from torch import Tensor

from aris.engine.runners.plain import TorchRunner
from aris.engine.runners.protocol import PrefillChunk, Rows, Runner


class AdapterRunner:
    """A runner that knows no adapters, and the plain one for sequences that have one. Both work on one pool.

    Rows of a step go to either by whether they have an adapter. The plain runner's are neither captured nor fused.

    Args:
        fast: for the base model.
        plain: on the same model and pool, with the adapters. Make it after `fast`, which looks at the layers first.
    """

    def __init__(self, fast: Runner, plain: TorchRunner) -> None:
        self.fast = fast
        self.plain = plain
        self.model = fast.model
        self.prefill_chunk = fast.prefill_chunk

    def prefill(self, chunk: PrefillChunk) -> Tensor:
        """See `Runner.prefill`."""
        return (self.fast if chunk.adapter is None else self.plain).prefill(chunk)

    def decode(self, rows: Rows) -> Tensor:
        """See `Runner.decode`."""
        if not any(rows.adapters):
            return self.fast.decode(rows)
        base = [row for row, name in enumerate(rows.adapters) if name is None]
        adapted = [row for row, name in enumerate(rows.adapters) if name is not None]
        found = self.plain.decode(rows.only(adapted))
        if not base:
            return found
        hidden = found.new_empty(len(rows), found.shape[1])
        hidden[torch.tensor(adapted, device=found.device)] = found
        hidden[torch.tensor(base, device=found.device)] = self.fast.decode(rows.only(base))
        return hidden

    def encode_images(self, pixels: Tensor) -> Tensor:
        """See `Runner.encode_images`."""
        return self.fast.encode_images(pixels)

    def logits(self, hidden: Tensor) -> Tensor:
        """See `Runner.logits`; no adapter is on the head."""
        return self.fast.logits(hidden)

    def greedy(self, hidden: Tensor, banned: Tensor) -> Tensor:
        """See `Runner.greedy`."""
        return self.fast.greedy(hidden, banned)

    def copy_slot(self, source: int, target: int, tokens: int | None = None) -> None:
        """See `Runner.copy_slot`."""
        self.fast.copy_slot(source, target, tokens)

    def copy_block(self, source: int, target: int) -> None:
        """See `Runner.copy_block`."""
        self.fast.copy_block(source, target)
