"""Bits that do not depend on company: the plain modules made batch-invariant.

A product's rounding depends on its shape, since libraries add up in another order for other numbers of rows. So here
every product is of the same number of rows, and every attention of a prompt is of a block of queries and a range of
keys that follow from their positions alone; what is missing is padding. Then a token's bits depend on what comes
before it in its own sequence, and on nothing else: not on other rows, nor on where a prompt is cut or what of it was
taken over. (Functions of single numbers round alike wherever they stand if a group's numbers fill whole vectors.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from aris.engine.kv_pool import BLOCK, KVPool
from aris.engine.pool_views import SlotView
from aris.model.attention import Visible


class RowGroups(TorchFunctionMode):
    """Within this context `F.linear` computes `group` rows at a time."""

    def __init__(self, group: int) -> None:
        super().__init__()
        self._group = group

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is not F.linear:
            return func(*args, **(kwargs or {}))
        x, *rest = args
        rows = x.reshape(-1, x.shape[-1])
        count = rows.shape[0]
        if count % self._group:
            rows = F.pad(rows, (0, 0, 0, -count % self._group))
        parts = [func(part, *rest, **(kwargs or {})) for part in rows.split(self._group)]
        out = parts[0] if len(parts) == 1 else torch.cat(parts)
        return out[:count].reshape(*x.shape[:-1], out.shape[-1])


class AlignedSlotView(SlotView):
    """A chunk that attends in blocks of BLOCK queries and keys at multiples of BLOCK.

    `before` and `behind` padding tokens stand around the chunk's own; nothing of them is kept.
    """

    def __init__(
        self, pool: KVPool, slot: int, block_table: Sequence[int], start: int, before: int, behind: int
    ) -> None:
        super().__init__(pool, slot, block_table, start)
        self._before = before
        self._behind = behind

    def positions(self, tokens: int, device: torch.device) -> Tensor:
        """(1, tokens) int64, from that of the first padding token."""
        first = self._start - self._before
        return torch.arange(first, first + tokens, device=device)[None]

    def attends(self, tokens: int) -> bool:
        """True."""
        return True

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, visible: Visible
    ) -> Tensor:
        """Attend (1, H, T, D) queries, then write the chunk's keys and values."""
        start, count = self._start, query.shape[2] - self._before - self._behind
        own = slice(self._before, self._before + count)
        every = torch.zeros_like(query)
        out = every[:, :, own]
        query, key, value = query[:, :, own], key[:, :, own], value[:, :, own]
        local = self._pool.local[layer]
        window = self._pool.window if local else start + count + BLOCK
        last = visible.last[0, own]
        least = _down(max(0, _down(start) - window + 1))
        most = _up(max(int(last.max()) + 1, start + count))
        keys = self._laid_out(self._pool.keys[layer], key, layer, least, most)
        values = self._laid_out(self._pool.values[layer], value, layer, least, most)
        at = torch.arange(start, start + count, device=query.device)
        for begin in range(_down(start), start + count, BLOCK):
            here = slice(max(begin, start) - start, min(begin + BLOCK, start + count) - start)
            behind = last[here] >= begin + BLOCK  # of an image that goes on beyond the block
            for chosen, stop in ((~behind, begin + BLOCK), (behind, _up(int(last[here].max()) + 1))):
                if not bool(chosen.any()):
                    continue
                first = _down(max(0, begin - window + 1))
                padded = query.new_zeros(1, query.shape[1], BLOCK, query.shape[3])
                padded[:, :, at[here] - begin] = query[:, :, here]
                seen = torch.arange(first, stop, device=query.device)
                mask = torch.ones(BLOCK, stop - first, dtype=torch.bool, device=query.device)
                mask[at[here] - begin] = (seen > (at[here] - window)[:, None]) & (seen <= last[here][:, None])
                made = F.scaled_dot_product_attention(
                    padded,
                    keys[:, :, first - least : stop - least],
                    values[:, :, first - least : stop - least],
                    attn_mask=mask,
                    scale=scale,
                    enable_gqa=query.shape[1] > key.shape[1],
                )
                out[:, :, here][:, :, chosen] = made[:, :, at[here][chosen] - begin]
        self.write(layer, key, value, [count])
        return every

    def _laid_out(self, held: Tensor, new: Tensor, layer: int, least: int, most: int) -> Tensor:
        """(1, K, most - least, D): what the pool holds of [least, start), the chunk's own, and zeros."""
        old = torch.arange(least, self._start, device=held.device)
        if self._pool.local[layer]:
            before = held[self._slot, old % self._pool.ring]
        else:
            before = held[self._table[old // BLOCK], old % BLOCK]
        rows = torch.cat((before, new[0].transpose(0, 1)))
        rows = F.pad(rows, (0, 0, 0, 0, 0, most - least - rows.shape[0]))
        return rows.transpose(0, 1)[None]


def _down(position: int) -> int:
    return position // BLOCK * BLOCK


def _up(position: int) -> int:
    return -(-position // BLOCK) * BLOCK

