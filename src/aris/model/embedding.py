"""Embeddings whose first values cost nothing where there are none."""

from __future__ import annotations

import torch
from torch import nn


def embedding(rows: int, width: int) -> nn.Embedding:
    """Make an `nn.Embedding`; on the meta device without first values, for which PyTorch would import its compiler."""
    weight = torch.empty(rows, width)
    return nn.Embedding(rows, width, _weight=weight if weight.is_meta else None)
