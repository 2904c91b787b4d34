"""The shape of a model, read from a checkpoint's `config.json`.

Every number comes from the checkpoint. The defaults are those of Gemma 3 (Gemma 3 report, arXiv 2503.19786, table 1
and section 2) where old configuration files leave a field out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from aris.errors import ModelError
from aris.model.config_fields import require_known, require_plain_rope

LOCAL = "sliding_attention"
GLOBAL = "full_attention"
# Every sixth layer is global: five local ones, then a global one, from layer 0.
GLOBAL_EVERY = 6


@dataclass(frozen=True)
class TextConfig:
    """The decoder. Sizes in elements; `layer_types[i]` is "sliding_attention" (local) or "full_attention" (global)."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    query_pre_attn_scalar: float
    sliding_window: int
    layer_types: tuple[str, ...]
    rope_theta: float = 1_000_000.0
    rope_local_base_freq: float = 10_000.0
    rope_factor: float = 1.0
    rms_norm_eps: float = 1e-6
    max_position_embeddings: int = 131_072
    # Gemma 3 scores words with the embedding; a fine-tune that trained the two apart has a head of its own.
    tie_word_embeddings: bool = True

    def __post_init__(self) -> None:
        if len(self.layer_types) != self.num_hidden_layers:
            raise ModelError(
                f"config: layer_types names {len(self.layer_types)} layers but num_hidden_layers is "
                f"{self.num_hidden_layers}; use the checkpoint's own config.json"
            )
        foreign = set(self.layer_types) - {LOCAL, GLOBAL}
        if foreign:
            raise ModelError(f"config: layer type {sorted(foreign)[0]!r} is not one of Gemma 3's ({LOCAL}, {GLOBAL})")
        if self.num_attention_heads % self.num_key_value_heads:
            raise ModelError(
                f"config: {self.num_attention_heads} query heads cannot share "
                f"{self.num_key_value_heads} key-value heads"
            )


@dataclass(frozen=True)
class VisionConfig:
    """The vision tower (SigLIP). `image_size` and `patch_size` in pixels.

    `stem_channels` is empty for SigLIP, whose patches come from one convolution. `aris-nano` puts one stride-2
    convolution stage for each entry before it (see `stem.py`). `mobile_stem` puts inverted residual blocks of stride 16
    before it instead (see `mobile_stem.py`).
    """

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    image_size: int
    patch_size: int
    num_channels: int = 3
    layer_norm_eps: float = 1e-6
    stem_channels: tuple[int, ...] = ()
    mobile_stem: bool = False

    @property
    def patches_per_side(self) -> int:
        """Patches along one side of the square image."""
        return self.image_size // self.patch_size


@dataclass(frozen=True)
class MedGemmaConfig:
    """A whole model: decoder, optional tower, and the ids that join them."""

    text: TextConfig
    vision: VisionConfig | None = None
    mm_tokens_per_image: int = 256
    boi_token_index: int = 255_999
    eoi_token_index: int = 256_000
    image_token_index: int = 262_144
    eos_token_ids: tuple[int, ...] = (1, 106)

    def __post_init__(self) -> None:
        if self.vision is not None:
            side = round(self.mm_tokens_per_image**0.5)
            if side * side != self.mm_tokens_per_image or self.vision.patches_per_side % side:
                raise ModelError(
                    f"config: {self.vision.patches_per_side} patches a side cannot be pooled to "
                    f"{self.mm_tokens_per_image} tokens an image"
                )

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> MedGemmaConfig:
        """Read a `config.json` of model type `gemma3` or `gemma3_text`, in old or new field names.

        Raises:
            ModelError: the configuration is of another model family, lacks a size, or sets a field that would change
                the network in a way that is not supported.
        """
        kind = config.get("model_type")
        if kind not in ("gemma3", "gemma3_text"):
            raise ModelError(f"config: model_type is {kind!r}; Aris runs Gemma 3 and MedGemma (gemma3, gemma3_text)")
        try:
            require_known(config)
            if kind == "gemma3_text":
                return cls(text=_text_from_dict(config), eos_token_ids=_eos_ids(config, {}))
            text = dict(config["text_config"])
            if config.get("tie_word_embeddings") is not None:
                text["tie_word_embeddings"] = config["tie_word_embeddings"]
            vision = config.get("vision_config")
            return cls(
                text=_text_from_dict(text),
                vision=None if vision is None else _vision_from_dict(vision),
                mm_tokens_per_image=int(config.get("mm_tokens_per_image", 256)),
                boi_token_index=int(config.get("boi_token_index", config.get("boi_token_id", 255_999))),
                eoi_token_index=int(config.get("eoi_token_index", config.get("eoi_token_id", 256_000))),
                image_token_index=int(config.get("image_token_index", config.get("image_token_id", 262_144))),
                eos_token_ids=_eos_ids(config, text),
            )
        except KeyError as error:
            raise ModelError(
                f"config: the field {error.args[0]!r} is missing; use the checkpoint's own config.json"
            ) from None
        except (TypeError, ValueError) as error:
            raise ModelError(f"config: a field has the wrong type ({error})") from None

    def to_dict(self) -> dict[str, Any]:
        """The same as a `config.json` that `from_dict` and transformers read."""
        text = self.text
        text_dict: dict[str, Any] = {
            "model_type": "gemma3_text",
            "vocab_size": text.vocab_size,
            "hidden_size": text.hidden_size,
            "intermediate_size": text.intermediate_size,
            "num_hidden_layers": text.num_hidden_layers,
            "num_attention_heads": text.num_attention_heads,
            "num_key_value_heads": text.num_key_value_heads,
            "head_dim": text.head_dim,
            "query_pre_attn_scalar": text.query_pre_attn_scalar,
            "sliding_window": text.sliding_window,
            "layer_types": list(text.layer_types),
            "rope_theta": text.rope_theta,
            "rope_local_base_freq": text.rope_local_base_freq,
            "rope_scaling": None if text.rope_factor == 1.0 else {"rope_type": "linear", "factor": text.rope_factor},
            "rms_norm_eps": text.rms_norm_eps,
            "max_position_embeddings": text.max_position_embeddings,
            "hidden_activation": "gelu_pytorch_tanh",
            "tie_word_embeddings": text.tie_word_embeddings,
        }
        if self.vision is None:
            return text_dict | {"architectures": ["Gemma3ForCausalLM"], "eos_token_id": list(self.eos_token_ids)}
        vision = self.vision
        vision_dict: dict[str, Any] = {
            "model_type": "siglip_vision_model",
            "hidden_size": vision.hidden_size,
            "intermediate_size": vision.intermediate_size,
            "num_hidden_layers": vision.num_hidden_layers,
            "num_attention_heads": vision.num_attention_heads,
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "num_channels": vision.num_channels,
            "layer_norm_eps": vision.layer_norm_eps,
            "hidden_act": "gelu_pytorch_tanh",
            "vision_use_head": False,
        }
        if vision.stem_channels:
            vision_dict["stem_channels"] = list(vision.stem_channels)
        if vision.mobile_stem:
            vision_dict["mobile_stem"] = True
        return {
            "model_type": "gemma3",
            "tie_word_embeddings": text.tie_word_embeddings,
            "architectures": ["Gemma3ForConditionalGeneration"],
            "text_config": text_dict,
            "vision_config": vision_dict,
            "mm_tokens_per_image": self.mm_tokens_per_image,
            "boi_token_index": self.boi_token_index,
            "eoi_token_index": self.eoi_token_index,
            "image_token_index": self.image_token_index,
            "eos_token_id": list(self.eos_token_ids),
        }


def require_supported_dtype(dtype: torch.dtype) -> None:
    """Raise `ModelError` unless `dtype` is bfloat16 or float32.

    float16 is refused at every size: Gemma 3's residual stream grows past its largest value, 65,504.
    """
    if dtype not in (torch.bfloat16, torch.float32):
        name = str(dtype).removeprefix("torch.")
        reason = "Gemma 3's residual stream overflows it" if dtype == torch.float16 else "it is not supported"
        raise ModelError(f"dtype {name}: {reason}; use bfloat16 or float32")


def _eos_ids(config: Mapping[str, Any], text: Mapping[str, Any]) -> tuple[int, ...]:
    ids = config.get("eos_token_id", text.get("eos_token_id"))
    listed = [] if ids is None else [ids] if isinstance(ids, int) else list(ids)
    if any(type(each) is not int or each < 0 for each in listed):
        raise ValueError("eos_token_id")
    # Base checkpoints name <eos> alone; <end_of_turn> closes a turn in every conversation.
    return tuple(dict.fromkeys([*listed, 1, 106]))


# transformers fills these in when a checkpoint's config.json leaves them out, as the first 4B uploads do.
_HF_TEXT_DEFAULTS: dict[str, Any] = {
    "vocab_size": 262_208,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
}


def _text_from_dict(given: Mapping[str, Any]) -> TextConfig:
    config = {**_HF_TEXT_DEFAULTS, **given}
    layers = int(config["num_hidden_layers"])
    every = int(config.get("sliding_window_pattern", config.get("_sliding_window_pattern", GLOBAL_EVERY)))
    types = config.get("layer_types") or [GLOBAL if (i + 1) % every == 0 else LOCAL for i in range(layers)]
    rope, local_rope = _rope_from_dict(config)
    factor = require_plain_rope(rope, "global layers")
    if require_plain_rope(local_rope, "local layers") != 1.0:
        raise ModelError("config: RoPE of local layers is scaled, which Gemma 3's is not; that is not supported")
    return TextConfig(
        vocab_size=int(config["vocab_size"]),
        hidden_size=int(config["hidden_size"]),
        intermediate_size=int(config["intermediate_size"]),
        num_hidden_layers=layers,
        num_attention_heads=int(config["num_attention_heads"]),
        num_key_value_heads=int(config["num_key_value_heads"]),
        head_dim=int(config["head_dim"]),
        query_pre_attn_scalar=float(config["query_pre_attn_scalar"]),
        sliding_window=int(config["sliding_window"]),
        layer_types=tuple(types),
        rope_theta=float(rope.get("rope_theta", config.get("rope_theta", 1e6))),
        rope_local_base_freq=float(local_rope.get("rope_theta", config.get("rope_local_base_freq", 1e4))),
        rope_factor=factor,
        rms_norm_eps=float(config.get("rms_norm_eps", 1e-6)),
        max_position_embeddings=int(config.get("max_position_embeddings", 131_072)),
        tie_word_embeddings=config.get("tie_word_embeddings", True) is not False,
    )


def _rope_from_dict(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """RoPE of global and local layers: transformers 5's `rope_parameters` by layer type, or the fields before it."""
    new, scaling = config.get("rope_parameters") or {}, config.get("rope_scaling") or {}
    if {GLOBAL, LOCAL} & scaling.keys():  # some files write the new layout under the old name
        new, scaling = {**new, **scaling}, {}
    foreign = new.keys() - {GLOBAL, LOCAL}
    if foreign:
        raise ModelError(
            f"config: rope_parameters names {min(foreign)!r:.40}, not one of Gemma 3's layers ({LOCAL}, {GLOBAL}); "
            "use the checkpoint's own config.json"
        )
    if "type" in scaling:  # older still
        scaling = {"rope_type": scaling["type"], **scaling}
    # As transformers does it, the old field decides where a file has both.
    return {**(new.get(GLOBAL) or {}), **scaling}, dict(new.get(LOCAL) or {})


def _side(value: Any) -> int:
    """A size that some files give as two equal sides."""
    if isinstance(value, list | tuple) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    return int(value)


def _vision_from_dict(config: Mapping[str, Any]) -> VisionConfig:
    # What is left out has SiglipVisionConfig's default, as transformers leaves out what equals it.
    return VisionConfig(
        hidden_size=int(config.get("hidden_size", 768)),
        intermediate_size=int(config.get("intermediate_size", 3072)),
        num_hidden_layers=int(config.get("num_hidden_layers", 12)),
        num_attention_heads=int(config.get("num_attention_heads", 12)),
        image_size=_side(config.get("image_size", 224)),
        patch_size=_side(config.get("patch_size", 16)),
        num_channels=int(config.get("num_channels", 3)),
        layer_norm_eps=float(config.get("layer_norm_eps", 1e-6)),
        stem_channels=tuple(int(c) for c in config.get("stem_channels", ())),
        mobile_stem=bool(config.get("mobile_stem", False)),
    )
