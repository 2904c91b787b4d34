"""Step of 8-bit AdamW over many parameters in one kernel: a program has 256 numbers, its block of both moments."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 256
_FIELDS = 6


@triton.jit
def _nearest(value, edges):
    """The codes of values in a table of 256, by the 255 middles between its entries."""
    code = tl.zeros_like(value).to(tl.int32)
    for power in tl.static_range(8):
        code = tl.where(tl.load(edges + code + (128 >> power) - 1) < value, code + (128 >> power), code)
    return code


@triton.jit
def _step_kernel(
    positions, sizes, owners, firsts, signed, unsigned, signed_edges, unsigned_edges,
    rate, decay, low, high, first_factor, second_factor, eps,
    FIELDS: tl.constexpr, BLOCK: tl.constexpr,
):
    owner = tl.load(owners + tl.program_id(0)).to(tl.int64)
    block = tl.program_id(0) - tl.load(firsts + owner)
    position = positions + owner * FIELDS
    weight = tl.load(position).to(tl.pointer_type(tl.float32))
    slope = tl.load(position + 1).to(tl.pointer_type(tl.float32))
    first_codes = tl.load(position + 2).to(tl.pointer_type(tl.uint8))
    first_largest = tl.load(position + 3).to(tl.pointer_type(tl.float32))
    second_codes = tl.load(position + 4).to(tl.pointer_type(tl.uint8))
    second_largest = tl.load(position + 5).to(tl.pointer_type(tl.float32))
    at = block.to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    live = at < tl.load(sizes + owner)
    grad = tl.load(slope + at, mask=live, other=0.0)
    value = tl.load(weight + at, mask=live, other=0.0)
    first = tl.load(signed + tl.load(first_codes + at).to(tl.int32)) * tl.load(first_largest + block)
    second = tl.load(unsigned + tl.load(second_codes + at).to(tl.int32)) * tl.load(second_largest + block)
    first = tl.where(live, first + (1 - low) * (grad - first), 0.0)
    second = tl.where(live, second * high + (1 - high) * grad * grad, 0.0)
    size = tl.sqrt(second * second_factor) + eps
    value = value * (1 - rate * decay) - rate * first_factor * first / size
    tl.store(weight + at, value, mask=live)
    largest = tl.max(tl.abs(first), axis=0)
    tl.store(first_largest + block, largest)
    tl.store(first_codes + at, _nearest(first / tl.where(largest == 0, 1.0, largest), signed_edges).to(tl.uint8))
    largest = tl.max(second, axis=0)
    tl.store(second_largest + block, largest)
    tl.store(second_codes + at, _nearest(second / tl.where(largest == 0, 1.0, largest), unsigned_edges).to(tl.uint8))


class Step:
    """The step of a fixed set of parameters, their moments and the tables of both.

    Args:
        parameters: float32, contiguous.
        moments: for each parameter the codes uint8 (blocks, 256) and largest sizes float32 (blocks,) of its first
            moment, then of its second; they are written in place.
        tables: 256 rising values float32 of the first moments' codes, and of the second's.
    """

    def __init__(
        self, parameters: Sequence[Tensor], moments: Sequence[Sequence[Tensor]], tables: tuple[Tensor, Tensor]
    ) -> None:
        device = parameters[0].device
        blocks = torch.tensor([-(-p.numel() // BLOCK) for p in parameters])
        self._parameters = list(parameters)
        self._moments = [list(states) for states in moments]
        self._blocks = int(blocks.sum())
        self._owners = torch.arange(len(parameters)).repeat_interleave(blocks).int().to(device)
        self._firsts = (blocks.cumsum(0) - blocks).int().to(device)
        self._sizes = torch.tensor([p.numel() for p in parameters]).to(device)
        self._tables = (*tables, *((table[1:] + table[:-1]) / 2 for table in tables))
        self._grads: list[int] = []
        self._positions = torch.empty(0)

    def __call__(
        self, *, rate: float, decay: float, betas: tuple[float, float], eps: float, count: int
    ) -> None:
        """Update every parameter from its `.grad` (float32, contiguous), as step number `count`, from 1."""
        grads = [p.grad for p in self._parameters]
        addresses = [0 if grad is None else grad.data_ptr() for grad in grads]
        if addresses != self._grads:
            table = [
                [parameter.data_ptr(), address, *(state.data_ptr() for state in states)]
                for parameter, address, states in zip(self._parameters, addresses, self._moments, strict=True)
            ]
            self._positions = torch.tensor(table, dtype=torch.int64).to(self._sizes.device)
            self._grads = addresses
        low, high = betas
        _step_kernel[(self._blocks,)](
            self._positions, self._sizes, self._owners, self._firsts, *self._tables,
            rate, decay, low, high, 1 / (1 - low**count), 1 / (1 - high**count), eps,
            FIELDS=_FIELDS, BLOCK=BLOCK,
        )  # fmt: skip
