"""Training steps as CUDA graphs: loss and gradients of a batch in one launch.

A step of a 4B model is several thousand short kernels. Launched one by one, they leave a fast GPU idle most of the
time. A batch is padded to one of a few shapes; the second batch of a shape is recorded, later ones are replayed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from aris.model import MedGemma
from aris.tuning.data.collate import StaticBatch
from aris.tuning.layers.cross_entropy import chunked_cross_entropy
from aris.tuning.trainable import soft_tokens

# Shapes that are recorded at most; batches of further shapes run as they are.
MAX_GRAPHS = 24


class _Select(torch.autograd.Function):
    """Selection of states (K, W) among (N, W); only the last position may occur twice, and its gradient is 0."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, positions: Tensor) -> Tensor:
        ctx.save_for_backward(positions)
        ctx.shape = states.shape
        return states.index_select(0, positions)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (positions,) = ctx.saved_tensors
        return grad.new_zeros(ctx.shape).index_copy_(0, positions, grad), None


def static_loss(model: MedGemma, batch: StaticBatch, *, train_tower: bool) -> Tensor:
    """Compute a batch's share of the step's loss (), without waiting for the device."""
    soft = soft_tokens(model, batch.pixels, train_tower=train_tower)
    states = model.hidden_states(batch.token_ids, soft, starts=batch.starts, image_positions=batch.image_positions)
    hidden: Tensor = _Select.apply(states.flatten(0, 1), batch.positions)  # type: ignore[no-untyped-call]
    head = model.language_model.head
    assert isinstance(head, nn.Embedding)
    return (chunked_cross_entropy(hidden, head.weight, batch.targets) * batch.shares).sum()


@dataclass(frozen=True)
class _Recorded:
    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor | None]
    loss: Tensor


class GraphedSteps:
    """Training steps that add up losses and gradients of batches; gradients lie in one buffer that graphs write to.

    Args:
        trained: parameters, on a CUDA device if anything is to be recorded; their `.grad` become views of the buffer
            and must stay so: call `zero`, never an optimizer's `zero_grad`.
        loss: a batch's loss with its gradients' graph.
        log: receives one line that says why batches are not recorded, if they cannot be.

    Attributes:
        records: batches of a shape that was seen before are recorded.
        flat: the gradients of all parameters, one after another.
    """

    def __init__(
        self, trained: dict[str, Tensor], loss: Callable[[StaticBatch], Tensor], log: Callable[[str], None]
    ) -> None:
        parameters = list(trained.values())
        self._device = device = parameters[0].device
        self.flat = torch.zeros(sum(p.numel() for p in parameters), device=self._device)
        at = 0
        for parameter in parameters:
            parameter.grad = self.flat[at : at + parameter.numel()].view_as(parameter)
            at += parameter.numel()
        self._loss, self._log = loss, log
        self._seen: set[tuple[Any, ...]] = set()
        self._graphs: dict[tuple[Any, ...], _Recorded] = {}
        self._pool: Any = None
        # One stream for recorded and other batches: gradients are added up on the stream of a parameter's first use.
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.records = device.type == "cuda"

    def __len__(self) -> int:
        """Return the number of shapes that are recorded."""
        return len(self._graphs)

    def zero(self) -> None:
        """Set the gradients to 0."""
        self.flat.zero_()

    def add(self, batch: StaticBatch) -> Tensor:
        """Add a batch's gradients to the buffer; return its loss ()."""
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
        key = tuple(None if each is None else (each.shape, each.dtype) for each in given)
        recorded = self._graphs.get(key)
        if recorded is None and self.records and key in self._seen and len(self._graphs) < MAX_GRAPHS:
            recorded = self._record(key, given)
        if recorded is None:
            self._seen.add(key)
            here = [None if each is None else each.to(self._device, non_blocking=True) for each in given]
            loss = self._loss(StaticBatch(*here))  # type: ignore[arg-type]
            loss.backward()
            return loss.detach()
        for value, static in zip(given, recorded.inputs, strict=True):
            if value is not None and static is not None:
                static.copy_(value, non_blocking=True)
        recorded.graph.replay()
        return recorded.loss.clone()

    def _record(self, key: tuple[Any, ...], given: list[Tensor | None]) -> _Recorded | None:
        inputs = [None if each is None else each.to(self._device, copy=True) for each in given]
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()  # a graph cannot use the memory that earlier batches left cached
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads (NCCL's, for example) may go on meanwhile.
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                loss = self._loss(StaticBatch(*inputs))  # type: ignore[arg-type]
                loss.backward()
                loss = loss.detach()
        except RuntimeError as error:
            self.records = False
            self._log(f"steps are not recorded as graphs, and slower: {str(error).splitlines()[0]:.200}")
            torch.cuda.synchronize(self._device)
            return None
        self._pool = graph.pool()
        self._graphs[key] = _Recorded(graph, inputs, loss)
        return self._graphs[key]
