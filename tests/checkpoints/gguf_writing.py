"""Small models, and GGUF files of them as llama.cpp's converter writes them; names are the gguf package's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aris.model import MedGemma, MedGemmaConfig, TextConfig, VisionConfig

gguf: Any = pytest.importorskip("gguf")
F32 = gguf.GGMLQuantizationType.F32


def small_model(vision: bool, *, side: int = 1) -> MedGemma:
    """Six layers, and a tower of 4 x 4 patches pooled to `side` x `side` tokens."""
    text = TextConfig(
        vocab_size=96, hidden_size=64, intermediate_size=96, num_hidden_layers=6, num_attention_heads=2,
        num_key_value_heads=1, head_dim=32, query_pre_attn_scalar=32, sliding_window=8, rope_factor=8.0,
        layer_types=("sliding_attention",) * 5 + ("full_attention",), max_position_embeddings=512,
    )  # fmt: skip
    tower = VisionConfig(32, 48, 2, 2, image_size=32, patch_size=8) if vision else None
    model = MedGemma(MedGemmaConfig(text, tower, mm_tokens_per_image=side**2 if vision else 256)).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return model


def _finish(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_gguf(
    model: MedGemma,
    path: Path,
    *,
    kind: Any = F32,
    head: torch.Tensor | None = None,
    head_kind: Any = F32,
    extra: dict[str, int] | None = None,
    vocabulary: tuple[list[str], list[float] | None, list[int] | None] = (["a", "b"], [0.0, -1.0], [1, 1]),
    tokenizer_model: str | None = None,
) -> None:
    """The decoder: norms as 1 + w, matrices in `kind`; `head` is written as a head of its own; `extra` metadata."""
    text = model.config.text
    writer = gguf.GGUFWriter(path, "gemma3")
    writer.add_block_count(text.num_hidden_layers)
    writer.add_context_length(text.max_position_embeddings)
    writer.add_embedding_length(text.hidden_size)
    writer.add_feed_forward_length(text.intermediate_size)
    writer.add_head_count(text.num_attention_heads)
    writer.add_head_count_kv(text.num_key_value_heads)
    writer.add_key_length(text.head_dim)
    writer.add_value_length(text.head_dim)
    writer.add_sliding_window(text.sliding_window)
    writer.add_layer_norm_rms_eps(text.rms_norm_eps)
    writer.add_rope_freq_base(text.rope_theta)
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(text.rope_factor)
    tokens, scores, types = vocabulary
    writer.add_token_list(tokens)
    if scores is not None:
        writer.add_token_scores(scores)
    if types is not None:
        writer.add_token_types(types)
    if tokenizer_model is not None:
        writer.add_tokenizer_model(tokenizer_model)
    for key, value in (extra or {}).items():
        writer.add_uint32(key, value)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA3, text.num_hidden_layers)
    tensors = {
        names.get_name(name.replace("language_model.", "model."), (".weight",)): (name, tensor)
        for name, tensor in model.state_dict().items()
        if name.startswith("language_model.")
    }
    assert None not in tensors
    for theirs, (name, tensor) in tensors.items():
        values = tensor.numpy().astype(np.float32)
        if name.endswith("norm.weight"):
            writer.add_tensor(theirs, values + 1)
        else:
            writer.add_tensor(theirs, gguf.quants.quantize(values, kind), raw_dtype=kind)
    if head is not None:
        writer.add_tensor("output.weight", gguf.quants.quantize(head.numpy(), head_kind), raw_dtype=head_kind)
    _finish(writer)


def write_mmproj(
    model: MedGemma, path: Path, *, swapped: bool = False, width: int | None = None, mean: list[float] | None = None
) -> None:
    """Tower and projector.

    Args:
        swapped: names the two layers of each MLP as the first converters did.
        width: of the tokens, as the metadata tells it.
        mean: of the images' channels, as the metadata tells it.
    """
    vision = model.config.vision
    assert vision is not None
    writer = gguf.GGUFWriter(path, "clip")
    for key, value in {
        "clip.vision.embedding_length": vision.hidden_size,
        "clip.vision.feed_forward_length": vision.intermediate_size,
        "clip.vision.block_count": vision.num_hidden_layers,
        "clip.vision.attention.head_count": vision.num_attention_heads,
        "clip.vision.image_size": vision.image_size,
        "clip.vision.patch_size": vision.patch_size,
        "clip.vision.projection_dim": model.config.text.hidden_size if width is None else width,
    }.items():
        writer.add_uint32(key, value)
    pooled = vision.patches_per_side // round(model.config.mm_tokens_per_image**0.5)
    if pooled != 4:
        writer.add_uint32("clip.vision.projector.scale_factor", pooled)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    writer.add_string("clip.projector_type", "gemma3")
    if mean is not None:
        writer.add_array("clip.vision.image_mean", mean)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.MMPROJ, vision.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name.startswith("language_model."):
            continue
        values = tensor.numpy().astype(np.float32)
        values = values + 1 if "soft_emb_norm" in name else values
        # The converter's own steps: transformers' old prefix, and the projection's name made one of a weight.
        old = name.replace("vision_tower.", "vision_tower.vision_model.").replace("_weight", ".weight")
        theirs = names.get_name(old, (".weight", ".bias"))
        assert theirs is not None, name
        if swapped and ".ffn_" in theirs:
            theirs = theirs.replace("ffn_up", "ffn_?").replace("ffn_down", "ffn_up").replace("ffn_?", "ffn_down")
        writer.add_tensor(theirs, values)
    _finish(writer)
