"""The pool as the decoder's modules see it: as the cache of one sequence's chunk, or of a batch of rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from aris.engine.cache.kv_pool import BLOCK, KVPool
from aris.model.attention import Visible, attend_all


class SlotView:
    """View of one sequence's keys and values below `start`, for a chunk that begins there (see `model.cache.Cache`)."""

    def __init__(self, pool: KVPool, slot: int, block_table: Sequence[int], start: int) -> None:
        self._pool = pool
        self._slot = slot
        self._table = torch.tensor(list(block_table), dtype=torch.int64, device=pool.device)
        self._start = start
        # Of the local layers' keys, what the chunk's first token sees is all that any of its tokens see.
        first = max(0, start - pool.window + 1)
        self._recent = torch.arange(first, start, device=pool.device)
        self._far = torch.arange(start, device=pool.device)

    def attends(self, tokens: int) -> bool:
        """False: chunks go through `before` and `write`."""
        return False

    def positions(self, tokens: int, device: torch.device) -> Tensor:
        """(1, tokens) int64."""
        return torch.arange(self._start, self._start + tokens, device=device)[None]

    def before(self, layer: int) -> tuple[Tensor, Tensor, Tensor]:
        """Keys and values (1, K, S, D) and their positions (1, S)."""
        key, value = self._pool.keys[layer], self._pool.values[layer]
        if self._pool.local[layer]:
            where = self._recent % self._pool.ring
            return _heads_first(key[self._slot, where]), _heads_first(value[self._slot, where]), self._recent[None]
        used = self._table[: -(-self._start // BLOCK)]
        key, value = key[used].flatten(0, 1)[: self._start], value[used].flatten(0, 1)[: self._start]
        return _heads_first(key), _heads_first(value), self._far[None]

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, visible: Visible
    ) -> Tensor:
        """Never called: `attends` is false."""
        raise NotImplementedError

    def write(self, layer: int, key: Tensor, value: Tensor, real: list[int]) -> None:
        """Keys and values (1, K, T, D) to positions from `start` on."""
        count = real[0]
        at = torch.arange(self._start, self._start + count, device=self._pool.device)
        for target, new in ((self._pool.keys[layer], key), (self._pool.values[layer], value)):
            rows = new[0, :, :count].transpose(0, 1)  # (T, K, D)
            if self._pool.local[layer]:
                kept = min(count, self._pool.ring)
                target[self._slot, at[count - kept :] % self._pool.ring] = rows[count - kept :]
            else:
                target[self._table[at // BLOCK], at % BLOCK] = rows

    def advance(self, real: list[int]) -> None:
        """Nothing to count: the engine does."""


class RowsView:
    """Rows, each of a sequence of its own or of the same one as its neighbour (see `runners.protocol.Rows`).

    The first `real` of them count; the others, of the scratch slot and block, are padding and attend to nothing.
    """

    def __init__(
        self,
        pool: KVPool,
        positions: Sequence[int],
        slots: Sequence[int],
        block_tables: Sequence[Sequence[int]],
        real: int | None = None,
    ) -> None:
        self._pool = pool
        self._real = len(positions) if real is None else real
        device = pool.device
        self._positions = torch.tensor(list(positions), device=device)
        self._slots = torch.tensor(list(slots), device=device)
        last = [table[position // BLOCK] for table, position in zip(block_tables, positions, strict=True)]
        self._blocks = torch.tensor(last, device=device)
        self._rings = list(zip(slots, positions, strict=True))
        self._tables = [_pages(table, position) for table, position in zip(block_tables, positions, strict=True)]

    def attends(self, tokens: int) -> bool:
        """True."""
        return True

    def positions(self, tokens: int, device: torch.device) -> Tensor:
        """(R, 1) int64."""
        return self._positions[:, None]

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, visible: Visible
    ) -> Tensor:
        """Write all rows, then attend each over its own range: (R, H, 1, D)."""
        self.put(layer, key, value)
        out = torch.zeros_like(query)
        for row in range(self._real):
            out[row] = attend_all(query[row : row + 1], *self.kept(layer, row), scale)[0]
        return out

    def put(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Write the rows' keys and values (R, K, 1, D)."""
        page, size = (self._slots, self._pool.ring) if self._pool.local[layer] else (self._blocks, BLOCK)
        where = (page, self._positions % size)
        self._pool.keys[layer][where] = key[:, :, 0]
        self._pool.values[layer][where] = value[:, :, 0]

    def kept(self, layer: int, row: int) -> tuple[Tensor, Tensor]:
        """Keys and values (1, K, S, D) that a row sees, its own the last in order of position."""
        keys, values = self._pool.keys[layer], self._pool.values[layer]
        seen = self._ring if self._pool.local[layer] else self._page
        return seen(keys, row), seen(values, row)

    def position(self, row: int) -> int:
        """Return the position of a row."""
        return self._rings[row][1]

    def before(self, layer: int) -> tuple[Tensor, Tensor, Tensor]:
        """Never called: `attends` is true."""
        raise NotImplementedError

    def write(self, layer: int, key: Tensor, value: Tensor, real: list[int]) -> None:
        """Never called, as `before`."""
        raise NotImplementedError

    def advance(self, real: list[int]) -> None:
        """Nothing to count: the engine does."""

    def _ring(self, held: Tensor, row: int) -> Tensor:
        """The window of a row in its ring: (1, K, S, D), in order of position."""
        slot, position = self._rings[row]
        ring = self._pool.ring
        first = max(0, position - self._pool.window + 1)
        start, stop = first % ring, position % ring + 1
        if start < stop:
            return _heads_first(held[slot, start:stop])
        return _heads_first(torch.cat((held[slot, start:], held[slot, :stop])))

    def _page(self, held: Tensor, row: int) -> Tensor:
        """All that a row sees of its blocks: (1, K, position + 1, D)."""
        _, position = self._rings[row]
        pages = self._tables[row]
        chosen = held[pages] if isinstance(pages, slice) else held[pages.to(held.device)]
        return _heads_first(chosen.flatten(0, 1)[: position + 1])


def _pages(table: Sequence[int], position: int) -> slice | Tensor:
    """The blocks up to a position: a slice where they lie in a row, which then needs no copy."""
    used = list(table[: position // BLOCK + 1])
    if used == list(range(used[0], used[0] + len(used))):
        return slice(used[0], used[0] + len(used))
    return torch.tensor(used)


def _heads_first(rows: Tensor) -> Tensor:
    """(S, K, D) to (1, K, S, D)."""
    return rows.transpose(0, 1)[None]
