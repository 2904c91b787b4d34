"""Bits that do not depend on company: the plain modules made batch-invariant.

A product's rounding depends on its shape, since libraries add up in another order for other numbers of rows. So here
every product is of the same number of rows, and every attention is of a block of queries and a range of keys that
follow from their positions alone, a decode step's too; what is missing is padding. Libraries round functions (GELU,
cosine) otherwise in the last few numbers that fill no vector, and threads cut long tensors anywhere: so functions go in
pieces of whole vectors that one thread takes. Then a token's bits depend on what comes before it in its own sequence,
and on nothing else: not on other rows, nor on where a prompt is cut or what of it was taken over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from aris.engine.cache.kv_pool import BLOCK, KVPool
from aris.engine.cache.pool_views import RowsView, SlotView
from aris.model import MedGemma
from aris.model.attention import Visible

# (rows (R, in), weight (out, in), bias or None) to (R, out).
Product = Callable[..., Tensor]
# Numbers of a function that one thread takes at once: whole vectors, and no more than PyTorch gives to one thread.
_PIECE = 16_384
_FUNCTIONS = (F.gelu, torch.cos, torch.sin, Tensor.cos, Tensor.sin)


class Products(TorchFunctionMode):
    """Within this context `F.linear` goes through a product of one's own."""

    def __init__(self, product: Product) -> None:
        super().__init__()
        self._product = product

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is F.linear:
            x, *rest = args
            out = self._product(x.reshape(-1, x.shape[-1]), *rest, **(kwargs or {}))
            return out.reshape(*x.shape[:-1], out.shape[-1])
        return func(*args, **(kwargs or {}))


class RowGroups(Products):
    """Within this context products are of `group` rows at a time, and functions of a piece of numbers at a time."""

    def __init__(self, group: int) -> None:
        super().__init__(lambda x, *rest, **named: self._grouped(F.linear, x, *rest, **named))
        self._group = group

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is torch._weight_int8pack_mm:
            return self._grouped(func, *args, **(kwargs or {}))
        if func in _FUNCTIONS and args[0].device.type == "cpu":
            return _in_pieces(func, *args, **(kwargs or {}))
        return super().__torch_function__(func, types, args, kwargs)

    def _grouped(self, func: Product, rows: Tensor, *rest: Any, **named: Any) -> Tensor:
        count = rows.shape[0]
        if count % self._group:
            rows = F.pad(rows, (0, 0, 0, -count % self._group))
        parts = [func(part, *rest, **named) for part in rows.split(self._group)]
        return (parts[0] if len(parts) == 1 else torch.cat(parts))[:count]


def _in_pieces(func: Callable[..., Tensor], x: Tensor, *rest: Any, **named: Any) -> Tensor:
    flat = x.reshape(-1)
    short = -len(flat) % 64
    pieces = (F.pad(flat, (0, short)) if short else flat).split(_PIECE)
    parts = [func(piece, *rest, **named) for piece in pieces]
    return (parts[0] if len(parts) == 1 else torch.cat(parts))[: len(flat)].view(x.shape)


def encode_alone(model: MedGemma, pixels: Tensor) -> Tensor:
    """Soft tokens of images (N, 3, S, S), one at a time, each in memory of its own: the same alone and in company."""
    return torch.cat([model.encode_images(image[None].clone()) for image in pixels])


def attend_block(
    query: Tensor, at: Tensor, last: Tensor, keys: Tensor, values: Tensor, first: int, window: int, scale: float
) -> Tensor:
    """Attention of queries of one block of BLOCK positions over keys from position `first` on.

    Args:
        query: (1, H, n, D), at positions `at` (n,) of one block.
        last: (n,), the last position that each sees; `at - window + 1` is the first.
        keys, values: (1, K, S, D), S a multiple of BLOCK.

    Returns:
        (1, H, n, D).
    """
    begin = _down(int(at[0]))
    padded = query.new_zeros(1, query.shape[1], BLOCK, query.shape[3])
    padded[:, :, at - begin] = query
    seen = torch.arange(first, first + keys.shape[2], device=query.device)
    mask = torch.ones(BLOCK, len(seen), dtype=torch.bool, device=query.device)
    mask[at - begin] = (seen > (at - window)[:, None]) & (seen <= last[:, None])
    made = F.scaled_dot_product_attention(
        padded,
        keys.contiguous(),
        values.contiguous(),
        attn_mask=mask,
        scale=scale,
        enable_gqa=query.shape[1] > keys.shape[1],
    )
    return made[:, :, at - begin]


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
            first = _down(max(0, begin - window + 1))
            for chosen, stop in ((~behind, begin + BLOCK), (behind, _up(int(last[here].max()) + 1))):
                if bool(chosen.any()):
                    span = slice(first - least, stop - least)
                    out[:, :, here][:, :, chosen] = attend_block(
                        query[:, :, here][:, :, chosen], at[here][chosen], last[here][chosen],
                        keys[:, :, span], values[:, :, span], first, window, scale,
                    )  # fmt: skip
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


class AlignedRowsView(RowsView):
    """Rows that each attend in the block of BLOCK positions of its own, as a chunk does: with the same bits."""

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, visible: Visible
    ) -> Tensor:
        """Write all rows, then attend each over its own range: (R, H, 1, D)."""
        self.put(layer, key, value)
        out = torch.zeros_like(query)
        for row in range(self._real):
            position = self.position(row)
            window = self._pool.window if self._pool.local[layer] else position + 1
            first = _down(max(0, _down(position) - window + 1))
            keys, values = self.kept(layer, row)
            lead = position + 1 - keys.shape[2] - first  # positions of the first block that are out of sight
            more = (0, 0, lead, _down(position) + BLOCK - position - 1)
            at = torch.tensor([position], device=query.device)
            keys, values = F.pad(keys, more), F.pad(values, more)
            out[row] = attend_block(query[row : row + 1], at, at, keys, values, first, window, scale)[0]
        return out


def _down(position: int) -> int:
    return position // BLOCK * BLOCK


def _up(position: int) -> int:
    return -(-position // BLOCK) * BLOCK

