"""Fields of a `config.json` beside the sizes: which change nothing, and which must have Gemma 3's value.

A field that is not listed might change what the network computes, so a value for it is refused by name rather than
ignored. Fields and defaults are those of transformers' Gemma3Config, Gemma3TextConfig and SiglipVisionConfig, of
version 4.50 and since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aris.errors import ModelError

# Read by `config.py`.
_TEXT = frozenset({
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "query_pre_attn_scalar", "sliding_window", "layer_types", "rope_theta",
    "rope_local_base_freq", "rope_scaling", "rope_parameters", "rms_norm_eps", "max_position_embeddings",
    "sliding_window_pattern", "_sliding_window_pattern", "tie_word_embeddings", "eos_token_id", "model_type",
})  # fmt: skip
_VISION = frozenset({
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size", "patch_size",
    "num_channels", "layer_norm_eps", "stem_channels", "model_type",
})  # fmt: skip
_WHOLE = frozenset({
    "model_type", "text_config", "vision_config", "mm_tokens_per_image", "boi_token_index", "boi_token_id",
    "eoi_token_index", "eoi_token_id", "image_token_index", "image_token_id", "tie_word_embeddings", "eos_token_id",
    "quantization_config",
})  # fmt: skip
# Of training, of files, of generation (which requests decide here), of other programs.
_IDLE = frozenset({
    "architectures", "transformers_version", "torch_dtype", "dtype", "initializer_range", "initializer_factor",
    "use_cache", "cache_implementation", "pad_token_id", "bos_token_id", "sep_token_id", "decoder_start_token_id",
    "attention_dropout", "dropout", "hidden_dropout", "name_or_path", "output_hidden_states", "output_attentions",
    "output_scores", "return_dict", "return_dict_in_generate", "torchscript", "use_bfloat16", "tf_legacy_loss",
    "chunk_size_feed_forward", "is_decoder", "max_length", "min_length", "do_sample", "early_stopping", "num_beams",
    "num_beam_groups", "diversity_penalty", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty",
    "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences",
    "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty",
    "suppress_tokens", "begin_suppress_tokens", "finetuning_task", "id2label", "label2id", "tokenizer_class",
    "processor_class", "prefix", "task_specific_params", "problem_type", "attn_implementation", "auto_map",
    "unsloth_fixed", "unsloth_version", "transformers.js_config", "license", "model_name", "vision_use_head",
    "projection_dim", "gradient_checkpointing", "tp_plan", "base_model_tp_plan", "base_model_pp_plan",
    "pretraining_tp", "language", "tags", "text_model_type",
})  # fmt: skip
_ACTIVATION = "gelu_pytorch_tanh"
# What the network does; another value is another network. None means the same in all.
_FIXED: dict[str, Any] = {
    "hidden_activation": _ACTIVATION,
    "hidden_act": _ACTIVATION,
    "attention_bias": False,
    "final_logit_softcapping": None,
    "attn_logit_softcapping": None,
    "use_bidirectional_attention": False,
}
_FIXED_VISION: dict[str, Any] = {"hidden_act": _ACTIVATION, "model_type": "siglip_vision_model", "num_channels": 3}


def require_known(config: Mapping[str, Any]) -> None:
    """Check that a whole `config.json` sets nothing that this network does not do.

    Raises:
        ModelError: it does; the message names the field and its value.
    """
    if config.get("model_type") == "gemma3_text":
        _require(config, _TEXT | _WHOLE, _FIXED, "")
        return
    text, vision = config.get("text_config"), config.get("vision_config")
    if isinstance(text, Mapping):
        # Some tools repeat sizes of the decoder beside it.
        repeated = {name for name in _TEXT if name in config and config[name] == text.get(name)}
        _require(config, _WHOLE | repeated, {}, "")
        _require(text, _TEXT, _FIXED, "text_config.")
    if isinstance(vision, Mapping):
        _require(vision, _VISION, _FIXED_VISION, "vision_config.")


def _require(config: Mapping[str, Any], known: frozenset[str], fixed: Mapping[str, Any], where: str) -> None:
    for name, value in config.items():
        if name in fixed:
            if value is not None and value != fixed[name]:
                raise ModelError(
                    f"config: {where}{name} is {value!r:.40}, another network than Gemma 3's ({fixed[name]!r}), which "
                    "is not supported"
                )
        elif name not in known and name not in _IDLE and not name.startswith("_") and _says_something(value):
            raise ModelError(
                f"config: {where}{name} is {value!r:.40}, which Aris does not know and might change what the network "
                "computes; take it out if it does not"
            )


def _says_something(value: Any) -> bool:
    """Return whether a value is more than "not set": absent, off and empty ones are not."""
    return value is not None and value is not False and value not in ("", [], {})


def require_plain_rope(rope: Mapping[str, Any], layers: str) -> float:
    """The factor that a layer type's RoPE is stretched by.

    Args:
        rope: its `rope_parameters`.
        layers: the type, for errors.

    Raises:
        ModelError: another kind of scaling than linear, or a field that changes it.
    """
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind not in ("default", "linear"):
        raise ModelError(f"config: RoPE scaling {kind!r:.40} of {layers} is not used by Gemma 3 (linear or none)")
    idle = {"rope_type", "type", "factor", "rope_theta", "original_max_position_embeddings"}
    for name, value in rope.items():
        whole = name == "partial_rotary_factor" and value == 1.0
        if name not in idle and _says_something(value) and not whole:
            raise ModelError(f"config: RoPE field {name!r:.40} of {layers} is {value!r:.40}, which is not supported")
    if kind == "default":
        return 1.0
    if rope.get("factor") is None:
        raise ModelError(f"config: linear RoPE scaling of {layers} has no factor; use the checkpoint's own config.json")
    return float(rope["factor"])
