"""Configurations from files that may be damaged: only a `CheckpointError` escapes, and sizes are possible ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aris.errors import CheckpointError, ModelError
from aris.model import MedGemmaConfig

# Far above any model of the family (27B: 62 layers, width 5,376, 262,208 rows); a damaged number is mostly beyond.
MAX_LAYERS = 512
_MAX_SIZE = 1 << 24


def read_config(raw: Mapping[str, Any], where: str) -> MedGemmaConfig:
    """The shape of a model from the contents of a `config.json`.

    Args:
        where: names the file or folder in errors.

    Raises:
        CheckpointError: of another family, a field is missing or of the wrong type, or a size that cannot be.
    """
    for part in (raw, raw.get("text_config"), raw.get("vision_config")):
        layers = part.get("num_hidden_layers", 1) if isinstance(part, Mapping) else 1
        if not isinstance(layers, int) or not 0 < layers <= MAX_LAYERS:  # before a list of that length is made
            raise CheckpointError(f"{where}: config.json gives {layers!r:.40} layers, which cannot be; get it again")
    return guarded(lambda: MedGemmaConfig.from_dict(raw), where, "config.json")


def guarded(build: Callable[[], MedGemmaConfig], where: str, what: str) -> MedGemmaConfig:
    """Return the checked result of `build`; values of the wrong kind are one clear error, however they fail.

    Raises:
        CheckpointError: `build` failed, or a size cannot be.
    """
    try:
        config = build()
    except ModelError as error:
        raise CheckpointError(f"{where}: {error}") from None
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise CheckpointError(f"{where}: {what} holds a value of the wrong kind; it is damaged, get it again") from None
    text, vision = config.text, config.vision
    sizes = {
        "vocab_size": text.vocab_size,
        "hidden_size": text.hidden_size,
        "intermediate_size": text.intermediate_size,
        "num_hidden_layers": text.num_hidden_layers,
        "num_attention_heads": text.num_attention_heads,
        "num_key_value_heads": text.num_key_value_heads,
        "head_dim": text.head_dim,
        "query_pre_attn_scalar": text.query_pre_attn_scalar,
        "sliding_window": text.sliding_window,
        "max_position_embeddings": text.max_position_embeddings,
        "rope_theta": text.rope_theta,
        "rope_local_base_freq": text.rope_local_base_freq,
        "rope factor": text.rope_factor,
        "rms_norm_eps": text.rms_norm_eps,
        "mm_tokens_per_image": config.mm_tokens_per_image,
    }
    if vision is not None:
        sizes |= {
            "vision hidden_size": vision.hidden_size,
            "vision intermediate_size": vision.intermediate_size,
            "vision num_hidden_layers": vision.num_hidden_layers,
            "vision num_attention_heads": vision.num_attention_heads,
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "num_channels": vision.num_channels,
            "patches a side": vision.patches_per_side,
        }
    for name, size in sizes.items():
        if not 0 < size <= _MAX_SIZE:
            raise CheckpointError(f"{where}: {what} gives {name} as {size}, which cannot be; get it again")
    if text.head_dim % 2 or (vision is not None and vision.hidden_size % vision.num_attention_heads):
        raise CheckpointError(f"{where}: {what} gives heads of a width that cannot be; get it again")
    return config
