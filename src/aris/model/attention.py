"""Attention over visible ranges.

Each query sees one range of positions, `first <= key position <= last`, and nothing else is needed to say what
Gemma 3 does: a global layer starts at 0, a local layer at `position - window + 1`; text ends at itself, a token of
an image at the end of its image (bidirectional within the block). No (T, T) mask exists: queries go in blocks, and a
block meets only the keys that it can see.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# Rows of a mask that exist at once. A block of a local layer meets at most window + this + one image of keys.
QUERY_BLOCK = 512


@dataclass(frozen=True)
class Visible:
    """Visible ranges of one forward pass's queries, the same for every layer of a kind.

    Attributes:
        first: (B, T) int64, the first visible position in global layers (0 everywhere unless a caller packs documents).
        local_first: (B, T) int64, the first visible position in local layers.
        last: (B, T) int64, the last visible position.
        reach: how far `last` may lie behind its query, at most: tokens an image - 1, or 0 for text alone.
    """

    first: Tensor
    local_first: Tensor
    last: Tensor
    reach: int


def visible_ranges(positions: Tensor, is_image: Tensor, window: int, reach: int) -> Visible:
    """Ranges for tokens at `positions` (B, T) int64, of which `is_image` (B, T) bool are soft image tokens.

    A run of soft tokens is one block: its tokens see to the block's end. Local layers then still cut at the window,
    as the reference does: (causal or same block) and position - key < window.
    """
    last = positions
    if reach:
        # The block ends just before the next token that is not of an image.
        beyond = positions[:, -1:] + 1
        ends = torch.where(is_image, beyond, positions)  # (B, T)
        ends = ends.flip(1).cummin(dim=1).values.flip(1)
        last = torch.where(is_image, ends - 1, positions)
    return Visible(torch.zeros_like(positions), positions - window + 1, last, reach)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scale: float,
    first: Tensor,
    last: Tensor,
    key_positions: Tensor,
    own: int,
    window: int | None,
    reach: int,
) -> Tensor:
    """Grouped-query attention of T queries over earlier keys and their own.

    Args:
        query: (B, heads, T, head_dim).
        key, value: (B, kv heads, S, head_dim); the last `own` = T of them are the queries' own, in order; those
            before come from a cache, in any order.
        scale: factor on the scores.
        first, last: (B, T) int64 visible ranges.
        key_positions: (B, S) int64; -1 marks an empty cache slot.
        window: keys a local layer sees, or None for a global layer. Only used to leave out keys that cannot be seen.
        reach: as in `Visible`.

    Returns:
        (B, heads, T, head_dim). Every query must see at least one key; a query always sees itself.
    """
    queries = query.shape[2]
    earlier = key.shape[2] - own
    out = []
    for start in range(0, queries, QUERY_BLOCK):
        stop = min(start + QUERY_BLOCK, queries)
        # The first own key that a local layer's block can see; under 0, it still sees cached ones.
        left = -1 if window is None else start - window + 1
        seen = slice(0 if left < 0 else earlier + left, earlier + min(own, stop + reach))
        mask = _mask(key_positions[:, seen], first[:, start:stop], last[:, start:stop])
        out.append(_sdpa(query[:, :, start:stop], key[:, :, seen], value[:, :, seen], mask, scale))
    return out[0] if len(out) == 1 else torch.cat(out, dim=2)


def attend_all(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Attention where every query sees every key: one decode step of one sequence, or a vision tower's layer.

    Shapes as in `attend`. The query heads of one key head are stacked as rows, so keys are read once and not copied.
    """
    batch, heads, queries, dim = query.shape
    kv_heads = key.shape[1]
    if kv_heads != heads:
        query = query.reshape(batch, kv_heads, heads // kv_heads * queries, dim)
    out = F.scaled_dot_product_attention(query, key, value, scale=scale)
    return out.reshape(batch, heads, queries, dim)


def _mask(key_positions: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """(B, 1, T, S) bool: True where a query sees a key. Empty slots (-1) lie before every range: `first` is >= 0."""
    at = key_positions[:, None, :]  # (B, 1, S)
    return ((at >= first.clamp(min=0)[:, :, None]) & (at <= last[:, :, None]))[:, None]


def _sdpa(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float) -> Tensor:
    groups = query.shape[1] // key.shape[1]
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale, enable_gqa=groups > 1)
