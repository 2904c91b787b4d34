"""Parameter names: how Hugging Face checkpoints spelt them over time, and how we do."""

from __future__ import annotations

import re

# Multimodal checkpoints of transformers before 4.52 and since, with and without SigLIP's inner module; text alone.
_PREFIXES = (
    ("model.language_model.", "language_model."),
    ("language_model.model.", "language_model."),
    ("model.vision_tower.vision_model.", "vision_tower."),
    ("vision_tower.vision_model.", "vision_tower."),
    ("model.vision_tower.", "vision_tower."),
    ("model.multi_modal_projector.", "multi_modal_projector."),
    ("model.embed_tokens.", "language_model.embed_tokens."),
    ("model.layers.", "language_model.layers."),
    ("model.norm.", "language_model.norm."),
)
_HEAD = re.compile(r"(model\.)?(language_model\.)?lm_head\.")
_POOLING_HEAD = re.compile(r"(model\.)?vision_tower\.(vision_model\.)?head\..+")

EMBEDDING = "language_model.embed_tokens.weight"
HEAD = "language_model.lm_head.weight"


def our_name(name: str) -> str:
    """A checkpoint's parameter name as ours; one that is ours already, or unknown, stays as it is."""
    head = _HEAD.match(name)
    if head is not None:
        return "language_model.lm_head." + name[head.end() :]
    for theirs, ours in _PREFIXES:
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def is_head(name: str) -> bool:
    """Return whether a checkpoint's tensor is the output head's weight, which Gemma 3 ties to the embedding."""
    return our_name(name) == HEAD


def is_dropped(name: str) -> bool:
    """Return whether a checkpoint's tensor is of SigLIP's pooling head, which Gemma 3 does not use."""
    return _POOLING_HEAD.fullmatch(name) is not None
