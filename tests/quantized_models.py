"""Models quantised in place, to compare with what they were made of."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from aris.model.quantized import QuantizedEmbedding, QuantizedLinear


def quantize_model(
    model: nn.Module,
    kind: str,
    *,
    group_size: int | None = None,
    head: str | None = None,
    select: Callable[[str], bool] = lambda name: True,
    device: torch.device | None = None,
) -> int:
    """Quantise a decoder's linear layers and its embedding in place, one after the other; return how many.

    Args:
        model: `MedGemma`. Its tower, projector and norms stay as they are.
        kind: "int8" or "int4".
        group_size: columns that share a scale; None is 64 for int4 and whole rows for int8.
        head: format of the embedding and of the head, or "keep"; None is int8, which costs a 4-bit model little.
        select: names of layers to quantise.
        device: where the quantised weights go; by default where the model is.
    """
    decoder = model.get_submodule("language_model")
    names = [name for name, module in decoder.named_modules() if isinstance(module, nn.Linear) and select(name)]
    done = 0
    for name in names:
        parent_name, _, child = name.rpartition(".")
        parent = decoder.get_submodule(parent_name)
        setattr(parent, child, QuantizedLinear.from_linear(getattr(parent, child), kind, group_size, device))
        done += 1
    head = head or "int8"
    for name in ("embed_tokens", "lm_head"):
        embedding = getattr(decoder, name)
        if head != "keep" and isinstance(embedding, nn.Embedding):
            size = group_size if head == kind else None
            setattr(decoder, name, QuantizedEmbedding.from_embedding(embedding, head, size, device))
            done += 1
    return done
