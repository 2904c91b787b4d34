"""Rotary position embedding (RoPE, arXiv 2104.09864) in the half-split layout of Gemma 3.

Local layers turn by base 10,000, unscaled; global layers by base 1,000,000 with every frequency divided by the
checkpoint's factor (8 from 4B up), which is what carries them to 128K tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rope_tables(
    positions: Tensor, head_dim: int, theta: float, factor: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Cosines and sines for `positions` (B, T) int64: two tensors (B, 1, T, head_dim), computed in float32."""
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions.device) / head_dim
    frequencies = 1.0 / (theta**exponents) / factor  # (head_dim/2,)
    angles = positions[:, None, :, None].float() * frequencies  # (B, 1, T, head_dim/2)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
    """Turn queries or keys `x` (B, heads, T, head_dim) by their positions' tables."""
    cos, sin = tables
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin
