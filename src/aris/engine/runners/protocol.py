"""The protocol of runners: the tensor work of the engine, never its order or its requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from torch import Tensor

from aris.model import MedGemma

T = TypeVar("T")


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
        """Return (R,) int64: the argmax but for `banned` (int64 ids on the CPU), the first of equals; as by `logits`.

        After `decode` the engine passes its result as it is, if all of its rows are greedy; so does it to `logits`.
        """
        ...

    def copy_slot(self, source: int, target: int, tokens: int | None = None) -> None:
        """Copy a sequence's rings as far as its first `tokens` wrote them, in order with the rest of the work."""
        ...

    def copy_block(self, source: int, target: int) -> None:
        """Copy a block, in order with the rest of the work."""
        ...
