"""The hybrid key-value cache: a ring of `window` entries on local layers, growing blocks on global ones.

A local layer never looks further back than its window, so it never keeps more: this is what makes 128K tokens fit
(Gemma 3 report, section 2). Keys are stored after RoPE, so a slot needs no place in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from aris.model.attention import Visible, attend_all
from aris.model.config import LOCAL, TextConfig

# Global layers grow by at least this many entries, and by a quarter, so that appending stays cheap.
GROWTH_BLOCK = 256


class Cache(Protocol):
    """Cache of B sequences, as the decoder uses it. `HybridCache` is the plain one; the engine has its own."""

    def attends(self, tokens: int) -> bool:
        """Return whether so many new tokens of each sequence go through `attend`, instead of `before` and `write`."""
        ...

    def positions(self, tokens: int, device: torch.device) -> Tensor:
        """(B, tokens) int64: where the next `tokens` of each sequence stand."""
        ...

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, visible: Visible
    ) -> Tensor:
        """Write T tokens of each sequence, keys and values (B, kv heads, T, head_dim); attend what each of them sees.

        `query` and the result are (B, heads, T, head_dim).
        """
        ...

    def before(self, layer: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return a layer's keys and values (B, kv heads, S, head_dim), and positions (B, S) int64 or -1 for none."""
        ...

    def write(self, layer: int, key: Tensor, value: Tensor, real: list[int]) -> None:
        """Put a layer's new keys and values (B, kv heads, T, head_dim), `real[b]` of them tokens, in their places."""
        ...

    def advance(self, real: list[int]) -> None:
        """Count the tokens that every layer has now written."""
        ...


@dataclass
class _Layer:
    key: Tensor  # (B, kv heads, capacity, head_dim)
    value: Tensor


class HybridCache:
    """Keys and values of `batch` sequences, which may be of unequal lengths.

    Args:
        config: the decoder's shape.
        batch: sequences.
        device, dtype: of the keys and values; the same as the model's.

    Attributes:
        lengths: tokens held for each sequence, so also the position of each one's next token.
    """

    def __init__(self, config: TextConfig, batch: int, device: torch.device | str, dtype: torch.dtype) -> None:
        self.config = config
        self.batch = batch
        self.lengths = [0] * batch
        self.window = config.sliding_window
        self._local = [kind == LOCAL for kind in config.layer_types]
        self._layers: list[_Layer] = []
        for local in self._local:
            shape = (batch, config.num_key_value_heads, self.window if local else GROWTH_BLOCK, config.head_dim)
            self._layers.append(
                _Layer(torch.zeros(shape, device=device, dtype=dtype), torch.zeros(shape, device=device, dtype=dtype))
            )
        # Which position lies in which ring slot, shared by all local layers; -1 is empty.
        self._ring_positions = torch.full((batch, self.window), -1, device=device, dtype=torch.int64)

    @property
    def nbytes(self) -> int:
        """Bytes that the keys and values take now."""
        return sum(layer.key.nbytes + layer.value.nbytes for layer in self._layers)

    def positions(self, tokens: int, device: torch.device) -> Tensor:
        """(B, tokens) int64: where the next `tokens` of each sequence stand."""
        starts = torch.tensor(self.lengths, device=device)
        return starts[:, None] + torch.arange(tokens, device=device)

    def before(self, layer: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return a layer's keys and values (B, kv heads, S, head_dim), and positions (B, S) int64 or -1 for none."""
        held = self._layers[layer]
        longest = max(self.lengths)
        if self._local[layer]:
            used = min(longest, self.window)
            return held.key[:, :, :used], held.value[:, :, :used], self._ring_positions[:, :used]
        positions = torch.arange(longest, device=held.key.device).expand(self.batch, longest)
        # The same slot is empty in a shorter sequence.
        lengths = torch.tensor(self.lengths, device=held.key.device)
        return (
            held.key[:, :, :longest],
            held.value[:, :, :longest],
            torch.where(positions < lengths[:, None], positions, -1),
        )

    def attends(self, tokens: int) -> bool:
        """True for one token of one sequence: it sees every key that is kept."""
        return self.batch == 1 and tokens == 1

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, visible: Visible
    ) -> Tensor:
        """Write one token (1, kv heads, 1, head_dim) of the only sequence and attend every key that is kept."""
        self.write(layer, key, value, [1])
        held = self._layers[layer]
        used = self.lengths[0] + 1
        if self._local[layer]:
            used = min(used, self.window)
        return attend_all(query, held.key[:, :, :used], held.value[:, :, :used], scale)

    def write(self, layer: int, key: Tensor, value: Tensor, real: list[int]) -> None:
        """Put a layer's new keys and values (B, kv heads, T, head_dim) where they belong.

        `real[b]` of sequence b's T tokens are tokens; the rest is padding on the right and is left out. The
        lengths move on only in `advance`, after the last layer.
        """
        held = self._layers[layer]
        if not self._local[layer]:
            self._reserve(held, max(n + r for n, r in zip(self.lengths, real, strict=True)))
        for row, (length, count) in enumerate(zip(self.lengths, real, strict=True)):
            if self._local[layer]:
                kept = min(count, self.window)
                start = (length + count - kept) % self.window
                head = min(kept, self.window - start)
                for target, new in ((held.key, key), (held.value, value)):
                    target[row, :, start : start + head] = new[row, :, count - kept : count - kept + head]
                    if head < kept:
                        target[row, :, : kept - head] = new[row, :, count - kept + head : count]
            else:
                held.key[row, :, length : length + count] = key[row, :, :count]
                held.value[row, :, length : length + count] = value[row, :, :count]

    def advance(self, real: list[int]) -> None:
        """Count the tokens that every layer has now written."""
        for row, count in enumerate(real):
            kept = min(count, self.window)
            new = torch.arange(self.lengths[row] + count - kept, self.lengths[row] + count)
            new = new.to(self._ring_positions.device)
            self._ring_positions[row, new % self.window] = new
            self.lengths[row] += count

    @staticmethod
    def _reserve(held: _Layer, entries: int) -> None:
        capacity = held.key.shape[2]
        if entries <= capacity:
            return
        wanted = max(entries, capacity + capacity // 4)
        wanted = -(-wanted // GROWTH_BLOCK) * GROWTH_BLOCK
        for name in ("key", "value"):
            old = getattr(held, name)
            new = old.new_zeros((*old.shape[:2], wanted, old.shape[3]))
            new[:, :, :capacity] = old
            setattr(held, name, new)
