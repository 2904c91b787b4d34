"""Parameter names: how Hugging Face checkpoints spelt them over time, and how we do."""

from __future__ import annotations

# The language model's prefix by layout: transformers before 4.52, since, and text-only checkpoints.
_MULTIMODAL = (
    ("model.language_model.", "language_model."),
    ("language_model.model.", "language_model."),
    ("model.vision_tower.vision_model.", "vision_tower."),
    ("vision_tower.vision_model.", "vision_tower."),
    ("model.vision_tower.", "vision_tower."),
    ("model.multi_modal_projector.", "multi_modal_projector."),
)


def our_name(name: str, *, multimodal: bool) -> str:
    """A checkpoint's parameter name as ours; one that is ours already, or unknown, stays as it is."""
    for theirs, ours in _MULTIMODAL:
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    if not multimodal and name.startswith("model."):
        return "language_model." + name.removeprefix("model.")
    return name
