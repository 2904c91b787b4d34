"""The tensor work of the engine, behind one protocol: what is computed, never when or for whom.

`TorchRunner` is the plain one, on the model's own modules, and the reference that every other is tested against.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from aris.engine.cache.kv_pool import BLOCK, KVPool
from aris.engine.cache.pool_views import RowsView, SlotView
from aris.engine.runners.batch_invariant import AlignedRowsView, AlignedSlotView, RowGroups, encode_alone
from aris.model import AdapterBank, MedGemma

T = TypeVar("T")
# Rows of a product on a CPU without compiled kernels. On a Zen 3, MKL takes for 4 rows about what it takes for 16.
CPU_GROUP = 16


@dataclass(frozen=True)
class PrefillChunk:
    """T successive prompt tokens of one sequence. An image is in one chunk as a whole.

    Attributes:
        token_ids: the T tokens.
        start: the first one's position; everything before it is in the pool.
        slot: the sequence's ring.
        block_table: its blocks, in order; they reach to the last token of the chunk at least.
        image_embeddings: (n, mm_tokens_per_image, W) soft tokens of the chunk's n images; None if n = 0.
        outputs: how many of the last tokens' hidden states are asked for, at least 1; None is all T.
        adapter: name of the sequence's adapter; None is the base model.
    """

    token_ids: Sequence[int]
    start: int
    slot: int
    block_table: Sequence[int]
    image_embeddings: Tensor | None = None
    outputs: int | None = None
    adapter: str | None = None


@dataclass(frozen=True)
class Rows:
    """R rows of a decode step: each one token of one sequence at one position, in order of position in a sequence.

    All keys and values of a layer are written before any row attends, so rows of one sequence see each other. A row
    at position p sees [0, p] in global layers and [max(0, p - window + 1), p] in local ones.

    Attributes:
        token_ids, positions, slots: R numbers each.
        block_tables: R lists of blocks; rows of one sequence may share one list.
        adapters: R names of adapters, None for the base model; () if all are None.
    """

    token_ids: Sequence[int]
    positions: Sequence[int]
    slots: Sequence[int]
    block_tables: Sequence[Sequence[int]]
    adapters: Sequence[str | None] = ()

    def __len__(self) -> int:
        return len(self.token_ids)

    def only(self, rows: Sequence[int]) -> Rows:
        """Some of the rows, by number."""

        def chosen(of: Sequence[T]) -> list[T]:
            return [of[row] for row in rows]

        adapters = chosen(self.adapters) if self.adapters else ()
        return Rows(
            chosen(self.token_ids), chosen(self.positions), chosen(self.slots), chosen(self.block_tables), adapters
        )


class Runner(Protocol):
    """Runs the decoder over a pool. W is the hidden size; all tensors are on the model's device."""

    @property
    def model(self) -> MedGemma:
        """The model that is run."""
        ...

    @property
    def prefill_chunk(self) -> int:
        """Tokens that a chunk of a long prompt should have: a multiple of BLOCK."""
        ...

    def prefill(self, chunk: PrefillChunk) -> Tensor:
        """Read prompt tokens into the pool; the final hidden states of the last ones, `outputs` or T of them."""
        ...

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Pixels (N, 3, S, S) to soft tokens (N, mm_tokens_per_image, W)."""
        ...

    def decode(self, rows: Rows) -> Tensor:
        """Compute rows and write them into the pool; their final hidden states (R, W)."""
        ...

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores (R, vocab_size) over the next token, for hidden states (R, W)."""
        ...

    def greedy(self, hidden: Tensor, banned: Tensor) -> Tensor:
        """(R,) int64: the likeliest tokens but `banned` (int64 ids on the CPU), the first of equals; as by `logits`.

        After `decode` the engine passes its result as it is, if all of its rows are greedy; so does it to `logits`.
        """
        ...

    def copy_slot(self, source: int, target: int) -> None:
        """Copy a sequence's rings, in order with the rest of the work."""
        ...

    def copy_block(self, source: int, target: int) -> None:
        """Copy a block, in order with the rest of the work."""
        ...


class TorchRunner:
    """The plain runner: the model's own modules on views of the pool.

    Args:
        model: in eval mode.
        pool: of the same device and dtype.
        group: 0 computes all rows at once. Any other number makes products of so many rows each (see `invariant`):
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

    def copy_slot(self, source: int, target: int) -> None:
        """See `Runner.copy_slot`."""
        self.pool.copy_slot(source, target)

    def copy_block(self, source: int, target: int) -> None:
        """See `Runner.copy_block`."""
        self.pool.copy_block(source, target)


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

    def copy_slot(self, source: int, target: int) -> None:
        """See `Runner.copy_slot`."""
        self.fast.copy_slot(source, target)

    def copy_block(self, source: int, target: int) -> None:
        """See `Runner.copy_block`."""
        self.fast.copy_block(source, target)


def make_runner(model: MedGemma, pool: KVPool, adapters: AdapterBank | None = None) -> Runner:
    """The fastest runner for a model where it is, and for the adapters that its sequences may ask for."""
    if model.device.type == "cuda":
        if torch.cuda.get_device_capability(model.device) < (8, 0):  # no bfloat16, and too little shared memory
            return TorchRunner(model, pool, adapters=adapters)
        try:
            from aris.engine.runners.cuda import CudaRunner
        except ImportError:  # no Triton
            return TorchRunner(model, pool, adapters=adapters)
        fast: Runner | None = CudaRunner.wrap(model, pool)
        if fast is not None:
            return fast if adapters is None else AdapterRunner(fast, TorchRunner(model, pool, adapters=adapters))
    elif model.device.type == "cpu":
        from aris.engine.runners.cpu import CpuRunner
        from aris.engine.runners.cpu_dense import DenseRunner

        fast = CpuRunner.wrap(model, pool, adapters) or DenseRunner.wrap(model, pool, adapters)
        return fast or TorchRunner(model, pool, group=CPU_GROUP, adapters=adapters)
    return TorchRunner(model, pool, adapters=adapters)
