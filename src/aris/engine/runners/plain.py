"""The plain runner, on the model's own modules: the reference that every other runner is tested against."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from aris.engine.cache.kv_pool import BLOCK, KVPool
from aris.engine.cache.pool_views import RowsView, SlotView
from aris.engine.runners.batch_invariant import AlignedRowsView, AlignedSlotView, RowGroups, encode_alone
from aris.engine.runners.protocol import PrefillChunk, Rows
from aris.model import AdapterBank, MedGemma


class TorchRunner:
    """The plain runner: the model's own modules on views of the pool.

    Args:
        model: in eval mode.
        pool: of the same device and dtype.
        group: 0 computes all rows at once. Any other number makes products of so many rows each (`batch_invariant`):
            a sequence then gets the same bits alone and in company, however its prompt is cut and whatever of it was
            taken over. Without it the differences are rounding, which can flip a token.
        adapters: those that sequences may ask for; they are put on the model's layers.
    """

    def __init__(
        self,
        model: MedGemma,
        pool: KVPool,
        *,
        group: int = 0,
        prefill_chunk: int = 512,
        adapters: AdapterBank | None = None,
    ) -> None:
        self.model = model
        self.pool = pool
        self.adapters = adapters
        if adapters is not None:
            adapters.install(model)
        self.group = group
        self.prefill_chunk = max(prefill_chunk // BLOCK, 1) * BLOCK

    def prefill(self, chunk: PrefillChunk) -> Tensor:
        """See `Runner.prefill`."""
        count, before, behind = len(chunk.token_ids), 0, 0
        if self.group:
            before = chunk.start % self.group
            behind = -(before + count) % self.group
            view: SlotView = AlignedSlotView(self.pool, chunk.slot, chunk.block_table, chunk.start, before, behind)
        else:
            view = SlotView(self.pool, chunk.slot, chunk.block_table, chunk.start)
        ids = torch.tensor([[0] * before + list(chunk.token_ids) + [0] * behind], device=self.model.device)
        with self._grouped(), self._adapted([chunk.adapter]):
            hidden = self.model.hidden_states(ids, chunk.image_embeddings, view)[0, before : before + count]
        return hidden if chunk.outputs is None else hidden[-chunk.outputs :]

    def encode_images(self, pixels: Tensor) -> Tensor:
        """See `Runner.encode_images`."""
        if not self.group:
            return self.model.encode_images(pixels)
        return encode_alone(self.model, pixels)

    def decode(self, rows: Rows) -> Tensor:
        """See `Runner.decode`."""
        more = [0] * (-len(rows) % self.group if self.group else 0)  # rows of the scratch slot and block
        tables = [*rows.block_tables, *([0] for _ in more)]
        made = AlignedRowsView if self.group else RowsView
        view = made(self.pool, [*rows.positions, *more], [*rows.slots, *more], tables, real=len(rows))
        ids = torch.tensor([*rows.token_ids, *more], device=self.model.device)[:, None]
        with self._grouped(), self._adapted([*rows.adapters, *([None] * len(more))] if rows.adapters else ()):
            return self.model.hidden_states(ids, None, view)[: len(rows), 0]

    def logits(self, hidden: Tensor) -> Tensor:
        """See `Runner.logits`."""
        with self._grouped():
            return self.model.logits(hidden)

    def greedy(self, hidden: Tensor, banned: Tensor) -> Tensor:
        """See `Runner.greedy`."""
        return self.logits(hidden).index_fill(1, banned.to(hidden.device), float("-inf")).argmax(dim=1)

    def _grouped(self) -> AbstractContextManager[object]:
        return RowGroups(self.group) if self.group else nullcontext()

    def _adapted(self, names: Sequence[str | None]) -> AbstractContextManager[object]:
        if self.adapters is None or not any(names):
            return nullcontext()
        return self.adapters.chosen(names, self.model.device)

    def copy_slot(self, source: int, target: int, tokens: int | None = None) -> None:
        """See `Runner.copy_slot`."""
        self.pool.copy_slot(source, target, tokens)

    def copy_block(self, source: int, target: int) -> None:
        """See `Runner.copy_block`."""
        self.pool.copy_block(source, target)
