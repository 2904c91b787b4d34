"""Training steps as CUDA graphs: loss and gradients of a batch in one launch.

A step of a 4B model is several thousand short kernels. Launched one by one, they leave a fast GPU idle most of the
time. A batch is padded to one of a few shapes; the second batch of a shape is recorded, later ones are replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aris.model import MedGemma
from aris.tuning.data.collate import collate
from aris.tuning.data.rows import TokenRow
from aris.tuning.layers.cross_entropy import chunked_cross_entropy
from aris.tuning.trainable import soft_tokens

# Shapes that are recorded at most; batches of further ones run as they are.
MOST_GRAPHS = 24


@dataclass(frozen=True)
class StaticBatch:
    """A batch of R rows, T tokens each and K answer tokens, all of which follow from nothing on the device.

    Attributes:
        token_ids: (R, T) int64.
        places: (K,) int64 into R * T, of the states that predict the answers; padding is the last place of all,
            which predicts nothing.
        targets: (K,) int64.
        shares: (K,) float32, of each answer token in the step's loss; 0 for padding.
        starts: (1, T) int64 of packed rows, or None.
        image_positions: (n,) int64 into R * T, of the soft tokens, or None.
        pixels: (P, 3, S, S) or the tower's features (P, M, V), or None.
    """

    token_ids: Tensor
    places: Tensor
    targets: Tensor
    shares: Tensor
    starts: Tensor | None
    image_positions: Tensor | None
    pixels: Tensor | None

    def tensors(self) -> list[Tensor | None]:
        """All parts, in order."""
        return [getattr(self, field.name) for field in fields(self)]


def roomy(count: int, least: int = 64) -> int:
    """The next size of a few: four to eight between a power of two and the next."""
    step = max(least, 1 << max(count.bit_length() - 3, 0))
    return -(-count // step) * step


def static_batch(
    rows: Sequence[TokenRow], weight: float, *, packed: bool, image_token: int, pixels: Tensor | None
) -> StaticBatch:
    """Rows padded to one of a few shapes, on the CPU but for the pixels.

    Args:
        weight: of all rows of the step; a row's share of the loss is its own weight over this.
        pixels: of the rows' pictures in order, on the device, or None if there are none.
    """
    batch = collate(rows, packed=packed)
    lines, tokens = batch.token_ids.shape
    wide = roomy(tokens)
    ids = F.pad(batch.token_ids, (0, wide - tokens))
    starts = None
    if batch.starts is not None:
        starts = F.pad(batch.starts, (0, wide - tokens), value=tokens)
    counts = torch.bincount(batch.owner, minlength=len(batch.weights)).float()
    shares = (batch.weights / counts / weight)[batch.owner]
    answers = len(shares)
    more = (0, roomy(answers) - answers)
    places = F.pad(batch.row_index * wide + batch.token_index, more, value=lines * wide - 1)
    found = (ids.flatten() == image_token).nonzero()[:, 0] if pixels is not None else None
    return StaticBatch(ids, places, F.pad(batch.targets, more), F.pad(shares, more), starts, found, pixels)


class _Picked(torch.autograd.Function):
    """Rows (K, W) of states (N, W); no place but the last one occurs twice, and its gradient is 0."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.shape = states.shape
        return states.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        return grad.new_zeros(ctx.shape).index_copy_(0, places, grad), None


def static_loss(model: MedGemma, batch: StaticBatch, *, train_tower: bool) -> Tensor:
    """The batch's part of the step's loss (), without any wait for the device."""
    soft = soft_tokens(model, batch.pixels, train_tower=train_tower)
    states = model.hidden_states(batch.token_ids, soft, starts=batch.starts, image_positions=batch.image_positions)
    hidden: Tensor = _Picked.apply(states.flatten(0, 1), batch.places)  # type: ignore[no-untyped-call]
    head = model.language_model.head
    assert isinstance(head, nn.Embedding)
    return (chunked_cross_entropy(hidden, head.weight, batch.targets) * batch.shares).sum()


@dataclass(frozen=True)
class _Recorded:
    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor | None]
    loss: Tensor


class GraphedSteps:
    """Adds up losses and gradients of batches; gradients lie in one buffer that graphs write to.

    Args:
        trained: parameters, on a CUDA device if anything is to be recorded; their `.grad` become views of the buffer
            and must stay so: call `zero`, never an optimizer's `zero_grad`.
        loss: a batch's loss with its gradients' graph.
        say: is told in one line why batches are not recorded, if they cannot be.

    Attributes:
        records: whether batches of a shape that was seen before are recorded.
        flat: the gradients of all, one behind the other.
    """

    def __init__(
        self, trained: dict[str, Tensor], loss: Callable[[StaticBatch], Tensor], say: Callable[[str], None]
    ) -> None:
        parameters = list(trained.values())
        self._device = device = parameters[0].device
        self.flat = torch.zeros(sum(p.numel() for p in parameters), device=self._device)
        at = 0
        for parameter in parameters:
            parameter.grad = self.flat[at : at + parameter.numel()].view_as(parameter)
            at += parameter.numel()
        self._loss, self._say = loss, say
        self._seen: set[tuple[Any, ...]] = set()
        self._graphs: dict[tuple[Any, ...], _Recorded] = {}
        self._pool: Any = None
        # One stream for recorded and other batches: gradients are added up on the stream of a parameter's first use.
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.records = device.type == "cuda"

    def __len__(self) -> int:
        """Shapes that are recorded."""
        return len(self._graphs)

    def zero(self) -> None:
        """Set the gradients to 0."""
        self.flat.zero_()

    def add(self, batch: StaticBatch) -> Tensor:
        """Add a batch's gradients; its loss ()."""
        if self._stream is None:
            return self._add(batch)
        around = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(around)
        with torch.cuda.stream(self._stream):
            loss = self._add(batch)
        around.wait_stream(self._stream)
        return loss

    def _add(self, batch: StaticBatch) -> Tensor:
        given = batch.tensors()
        key = tuple(None if part is None else (part.shape, part.dtype) for part in given)
        recorded = self._graphs.get(key)
        if recorded is None and self.records and key in self._seen and len(self._graphs) < MOST_GRAPHS:
            recorded = self._record(key, given)
        if recorded is None:
            self._seen.add(key)
            here = [None if part is None else part.to(self._device, non_blocking=True) for part in given]
            loss = self._loss(StaticBatch(*here))  # type: ignore[arg-type]
            loss.backward()
            return loss.detach()
        for part, place in zip(given, recorded.inputs, strict=True):
            if part is not None and place is not None:
                place.copy_(part, non_blocking=True)
        recorded.graph.replay()
        return recorded.loss.clone()

    def _record(self, key: tuple[Any, ...], given: list[Tensor | None]) -> _Recorded | None:
        inputs = [None if part is None else part.to(self._device, copy=True) for part in given]
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()  # what earlier batches left is out of a graph's reach
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads (NCCL's, for one) may go on with what is theirs meanwhile.
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                loss = self._loss(StaticBatch(*inputs))  # type: ignore[arg-type]
                loss.backward()
                loss = loss.detach()
        except RuntimeError as error:
            self.records = False
            self._say(f"steps are not recorded as graphs, and slower: {str(error).splitlines()[0]:.200}")
            torch.cuda.synchronize(self._device)
            return None
        self._pool = graph.pool()
        self._graphs[key] = _Recorded(graph, inputs, loss)
        return self._graphs[key]
