"""The keys and values of all sequences: rings of slots on local layers, pages of tokens on global ones.

A local layer never looks further back than its window, so each sequence has one ring per local layer, of the window
and a slack of `BLOCK` positions. The slack lets several tokens of a sequence be written before they attend (and
forgotten, if they were rejected draft tokens), and keeps a ring that has gone on to n right for the positions just
before n. Global layers keep every token, in blocks that sequences with the same prefix share.

Slot 0 and block 0 are scratch: rows that pad a batch write there, and no sequence ever has them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aris.errors import ModelError
from aris.model.config import LOCAL, TextConfig

# Tokens in a block of a global layer, and the slack of a ring.
BLOCK = 64


class KVPool:
    """Tensors that hold keys (after QK-norm and RoPE) and values of every layer.

    Args:
        config: the decoder's shape.
        slots: rings on local layers, the scratch slot 0 included; at least 2.
        blocks: pages on global layers, the scratch block 0 included; at least 2.
        device, dtype: of the keys and values; the same as the model's.

    Attributes:
        ring: positions in a ring, window + BLOCK; position p lies at p % ring.
        local: for each layer whether it is local.
        keys, values: for each layer a tensor in the pool's dtype: (slots, ring, K, D) if it is local, else
            (blocks, BLOCK, K, D), where K = key-value heads and D = head_dim. All zero at first.
    """

    def __init__(
        self, config: TextConfig, slots: int, blocks: int, device: torch.device | str, dtype: torch.dtype
    ) -> None:
        if slots < 2 or blocks < 2:
            raise ModelError(f"cache: {slots} slots and {blocks} blocks are too few; 2 of each at least")
        self.config = config
        self.slots = slots
        self.blocks = blocks
        self.window = config.sliding_window
        self.ring = config.sliding_window + BLOCK
        self.local = tuple(kind == LOCAL for kind in config.layer_types)
        self.device = torch.device(device)
        self.dtype = dtype
        heads, dim = config.num_key_value_heads, config.head_dim
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        for local in self.local:
            shape = (slots, self.ring, heads, dim) if local else (blocks, BLOCK, heads, dim)
            self.keys.append(_zeros(shape, self.device, dtype))
            self.values.append(_zeros(shape, self.device, dtype))

    @property
    def nbytes(self) -> int:
        """Bytes that the pool may take. On a CPU the system gives a page when it is first written."""
        return sum(tensor.nbytes for tensor in (*self.keys, *self.values))

    def copy_slot(self, source: int, target: int, tokens: int | None = None) -> None:
        """Make one slot's rings those of another, as far as its first `tokens` positions have written them."""
        rows = self.ring if tokens is None else min(tokens, self.ring)
        for local, key, value in zip(self.local, self.keys, self.values, strict=True):
            if local:
                key[target, :rows].copy_(key[source, :rows])
                value[target, :rows].copy_(value[source, :rows])

    def copy_block(self, source: int, target: int) -> None:
        """Make one block's tokens those of another, in every global layer."""
        for local, key, value in zip(self.local, self.keys, self.values, strict=True):
            if not local:
                key[target].copy_(key[source])
                value[target].copy_(value[source])


def _zeros(shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Zeros; on a CPU of pages that take no memory until they are written, so a pool may be larger than its use."""
    if device.type != "cpu":
        return torch.zeros(shape, device=device, dtype=dtype)
    count = int(np.prod(shape)) * dtype.itemsize
    return torch.from_numpy(np.zeros(count, dtype=np.uint8)).view(dtype).view(shape)


@dataclass(frozen=True)
class PoolSize:
    """Size of a pool; `max_tokens` of one sequence fit, prompt and answer."""

    slots: int
    blocks: int
    max_tokens: int


def slot_nbytes(config: TextConfig, dtype: torch.dtype) -> int:
    """Bytes of one slot: the rings of all local layers."""
    entries = (config.sliding_window + BLOCK) * config.layer_types.count(LOCAL)
    return 2 * entries * config.num_key_value_heads * config.head_dim * dtype.itemsize


def block_nbytes(config: TextConfig, dtype: torch.dtype) -> int:
    """Bytes of one block: BLOCK tokens in all global layers."""
    entries = BLOCK * (len(config.layer_types) - config.layer_types.count(LOCAL))
    return 2 * entries * config.num_key_value_heads * config.head_dim * dtype.itemsize


def fit_pool(config: TextConfig, dtype: torch.dtype, nbytes: int, slots: int, max_tokens: int) -> PoolSize:
    """The pool that fits `nbytes` with up to `slots` usable slots, for sequences of up to `max_tokens` tokens.

    Slots take half of the bytes at most, but one there is always; blocks take the rest, up to what all slots at their
    longest can use. `max_tokens` shrinks to what fits.

    Raises:
        ModelError: not even one slot and one block fit.
    """
    slot, block = slot_nbytes(config, dtype), max(block_nbytes(config, dtype), 1)
    usable = max(1, min(slots, nbytes // 2 // max(slot, 1) - 1))
    left = nbytes - (usable + 1) * slot
    longest = -(-max_tokens // BLOCK)
    blocks = min(left // block - 1, usable * longest)
    if blocks < 1:
        needed = 2 * slot + 2 * block
        raise ModelError(
            f"cache: {nbytes / 1e6:,.0f} MB are too little for one sequence, which takes {needed / 1e6:,.0f} MB; "
            "give more memory, or use a smaller model"
        )
    return PoolSize(usable + 1, blocks + 1, min(max_tokens, blocks * BLOCK))


def memory_for_cache(device: torch.device) -> int:
    """Bytes that a cache may take on a device by default.

    Half of what is free: on a GPU the rest is for activations and for the tower, on a CPU for everything else.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free // 2
    return _free_memory() // 2


def _free_memory() -> int:
    """Bytes of memory that this process may still take, also inside a container."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
    except (AttributeError, OSError, ValueError):
        free = 4 * 1024**3
    for used_file, limit_file in (
        ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.max"),
        ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    ):
        try:
            used, limit = int(Path(used_file).read_text()), int(Path(limit_file).read_text())
        except (OSError, ValueError):  # no such file, or no limit ("max")
            continue
        free = min(free, max(limit - used, 0))
    return free
