"""Batches of tensors built from tokenized examples: padded or packed, of their own shape or of a fixed one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aris.tuning.data.examples import TokenizedExample


@dataclass(frozen=True)
class Batch:
    """A batch of E examples in R rows of T tokens, with K answer tokens and P images in all.

    Attributes:
        token_ids: (R, T) int64, padded with 0 on the right; one row an example, or one row of all if they are packed.
        row_index, token_index: (K,) int64, positions of the hidden states that predict the answer tokens.
        images: (P,) int64 into the image bank, in the order of their soft tokens.
        weights: (E,) float32.
        example_index: (K,) int64, the example of each answer token.
        starts: (1, T) int64 where examples are packed: the position of the first token of each token's example.
    """

    token_ids: Tensor
    row_index: Tensor
    token_index: Tensor
    images: Tensor
    weights: Tensor
    example_index: Tensor
    starts: Tensor | None = None

    @property
    def targets(self) -> Tensor:
        """Answer tokens (K,) int64."""
        return self.token_ids[self.row_index, self.token_index + 1]

    def to(self, device: torch.device) -> Batch:
        """Copy the batch to a device."""
        values = [getattr(self, field.name) for field in fields(self)]
        moved: list[Any] = [None if value is None else value.to(device, non_blocking=True) for value in values]
        return Batch(*moved)


def collate(examples: Sequence[TokenizedExample], *, packed: bool = False) -> Batch:
    """Build a batch of examples of any lengths: padded, or packed one after another into one row without padding."""
    batch = _padded(examples)
    if not packed:
        return batch
    lengths = torch.tensor([len(example.token_ids) for example in examples])
    begins = lengths.cumsum(0) - lengths
    return replace(
        batch,
        token_ids=torch.tensor([[token for example in examples for token in example.token_ids]], dtype=torch.int64),
        row_index=torch.zeros_like(batch.row_index),
        token_index=batch.token_index + begins[batch.row_index],
        starts=begins.repeat_interleave(lengths)[None],
    )


def _padded(examples: Sequence[TokenizedExample]) -> Batch:
    longest = max(len(example.token_ids) for example in examples)
    ids = np.zeros((len(examples), longest), dtype=np.int64)
    row_index, token_index = [], []
    for row, example in enumerate(examples):
        ids[row, : len(example.token_ids)] = example.token_ids
        for start, stop in example.spans():
            # The state before a token predicts it.
            token_index.append(np.arange(start - 1, stop - 1))
            row_index.append(np.full(stop - start, row))
    rows = torch.from_numpy(np.concatenate(row_index).astype(np.int64))
    return Batch(
        torch.from_numpy(ids),
        rows,
        torch.from_numpy(np.concatenate(token_index).astype(np.int64)),
        image_indices(examples),
        torch.tensor([example.weight for example in examples], dtype=torch.float32),
        rows,
    )


def image_indices(examples: Sequence[TokenizedExample]) -> Tensor:
    """Return the examples' images in order, (P,) int64 into the image bank."""
    return torch.tensor([image for example in examples for image in example.all_images()], dtype=torch.int64)


@dataclass(frozen=True)
class StaticBatch:
    """A batch whose shape does not depend on its values, so that a step on it can be recorded as a CUDA graph.

    Attributes:
        token_ids: (R, T) int64.
        positions: (K,) int64 into R * T, of the states that predict the answers; padding is the last position of all,
            which predicts nothing.
        targets: (K,) int64.
        shares: (K,) float32, of each answer token in the step's loss; 0 for padding.
        starts: (1, T) int64 of packed examples, or None.
        image_positions: (n,) int64 into R * T, of the soft tokens, or None.
        pixels: (P, 3, S, S) or the tower's features (P, M, V), or None.
    """

    token_ids: Tensor
    positions: Tensor
    targets: Tensor
    shares: Tensor
    starts: Tensor | None
    image_positions: Tensor | None
    pixels: Tensor | None

    def tensors(self) -> list[Tensor | None]:
        """Return all tensors, in order."""
        return [getattr(self, field.name) for field in fields(self)]


def static_batch(
    examples: Sequence[TokenizedExample],
    weight: float,
    shape: Callable[[int, int], tuple[int, int]],
    *,
    packed: bool,
    image_token: int,
    pixels: Tensor | None,
) -> StaticBatch:
    """Pad examples to one of a few shapes, on the CPU but for the pixels.

    Args:
        weight: of all examples of the step; an example's share of the loss is its own weight over this.
        shape: tokens of the longest row and answer tokens to the numbers that they are padded to.
        pixels: of the examples' images in order, on the device, or None if there are none.
    """
    batch = collate(examples, packed=packed)
    rows, tokens = batch.token_ids.shape
    counts = torch.bincount(batch.example_index, minlength=len(batch.weights)).float()
    shares = (batch.weights / counts / weight)[batch.example_index]
    kept = shares > 0  # an example without weight fills a bucket, and its answer need not be scored
    answers = int(kept.sum())
    width, length = shape(tokens, answers)
    ids = F.pad(batch.token_ids, (0, width - tokens))
    starts = None if batch.starts is None else F.pad(batch.starts, (0, width - tokens), value=tokens)
    positions = (batch.row_index * width + batch.token_index)[kept]
    image_positions = (ids.flatten() == image_token).nonzero()[:, 0] if pixels is not None else None
    more = (0, length - answers)
    return StaticBatch(
        ids,
        F.pad(positions, more, value=rows * width - 1),
        F.pad(batch.targets[kept], more),
        F.pad(shares[kept], more),
        starts,
        image_positions,
        pixels,
    )
