"""Parameter names: how Hugging Face checkpoints spelt them over time, and how we do."""

from __future__ import annotations

import re

# Layouts of multimodal checkpoints: transformers before 4.52 and since, with and without SigLIP's inner module.
_MULTIMODAL = (
    ("model.language_model.", "language_model."),
    ("language_model.model.", "language_model."),
    ("model.vision_tower.vision_model.", "vision_tower."),
    ("vision_tower.vision_model.", "vision_tower."),
    ("model.vision_tower.", "vision_tower."),
    ("model.multi_modal_projector.", "multi_modal_projector."),
)
# The tied head written out again, and SigLIP's pooling head, which Gemma 3 does not use.
_DROPPED = re.compile(r"(language_model\.)?lm_head\.weight|(model\.)?vision_tower\.(vision_model\.)?head\..+")


def our_name(name: str, *, multimodal: bool) -> str:
    """A checkpoint's parameter name as ours; one that is ours already, or unknown, stays as it is."""
    for theirs, ours in _MULTIMODAL:
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    if not multimodal and name.startswith("model."):
        return "language_model." + name.removeprefix("model.")
    return name


def is_dropped(name: str) -> bool:
    """Whether a checkpoint's tensor is of no use: redundant, or of a part that the model does not have."""
    return _DROPPED.fullmatch(name) is not None
