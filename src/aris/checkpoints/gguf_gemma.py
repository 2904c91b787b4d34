"""Gemma 3 in GGUF: its configuration, vocabulary and tensors under our names, as llama.cpp's converter writes them.

Norm weights are stored as 1 + w there, and read back as w in float32. A vision tower lies in a file of its own
(`mmproj`), whose projector is stored as in the Hugging Face checkpoint and whose norm is again 1 + w.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from aris.checkpoints.entries import Entry
from aris.checkpoints.gguf import GGUFFile
from aris.errors import CheckpointError
from aris.model import MedGemmaConfig, TextConfig, VisionConfig
from aris.model.config import GLOBAL, GLOBAL_EVERY, LOCAL

# Parts of a block in the file -> ours.
_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_TOP = {
    "token_embd.weight": "language_model.embed_tokens.weight",
    "output_norm.weight": "language_model.norm.weight",
}
_VISION_BLOCK = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_out": "self_attn.out_proj",
    "ln1": "layer_norm1",
    "ln2": "layer_norm2",
}
_VISION_TOP = {
    "v.patch_embd.weight": "vision_tower.embeddings.patch_embedding.weight",
    "v.patch_embd.bias": "vision_tower.embeddings.patch_embedding.bias",
    "v.position_embd.weight": "vision_tower.embeddings.position_embedding.weight",
    "v.post_ln.weight": "vision_tower.post_layernorm.weight",
    "v.post_ln.bias": "vision_tower.post_layernorm.bias",
    "mm.input_projection.weight": "multi_modal_projector.mm_input_projection_weight",
    "mm.soft_emb_norm.weight": "multi_modal_projector.mm_soft_emb_norm.weight",
}
# The tied head written out again; the embedding serves for both.
_DROPPED = {"output.weight"}


def text_config(file: GGUFFile) -> TextConfig:
    """The decoder's shape from the metadata, with Gemma 3's own values where writers leave a field out.

    Raises:
        CheckpointError: another architecture, or a size is missing.
    """
    metadata = file.metadata
    architecture = metadata.get("general.architecture")
    if architecture != "gemma3":
        raise CheckpointError(f"{file.space.name}: this is {architecture!r}; Aris runs Gemma 3 and MedGemma")

    def field(name: str, default: Any = None) -> Any:
        value = metadata.get(f"gemma3.{name}", default)
        if value is None:
            raise CheckpointError(f"{file.space.name}: the metadata lacks gemma3.{name}; convert the model again")
        return value

    layers = int(field("block_count"))
    heads = int(field("attention.head_count"))
    width = int(field("embedding_length"))
    head_dim = int(field("attention.key_length", 256))
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None or len(embedding.shape) != 2:
        raise CheckpointError(f"{file.space.name}: no token_embd.weight; give the model's own file, not its mmproj")
    pattern = field("attention.sliding_window_pattern", GLOBAL_EVERY)
    if isinstance(pattern, list):
        types = tuple(LOCAL if local else GLOBAL for local in pattern[:layers])
    else:
        types = tuple(GLOBAL if (i + 1) % int(pattern) == 0 else LOCAL for i in range(layers))
    scaling = metadata.get("gemma3.rope.scaling.type", "none")
    return TextConfig(
        vocab_size=embedding.shape[0],
        hidden_size=width,
        intermediate_size=int(field("feed_forward_length")),
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=int(field("attention.head_count_kv")),
        head_dim=head_dim,
        # The metadata does not hold it. 27B, with 62 layers, scales by width / heads = 168, the others by head_dim.
        query_pre_attn_scalar=width / heads if layers == 62 else head_dim,
        sliding_window=int(field("attention.sliding_window")),
        layer_types=types,
        rope_theta=float(field("rope.freq_base", 1e6)),
        rope_local_base_freq=float(field("rope.freq_base_swa", 1e4)),
        rope_factor=float(field("rope.scaling.factor", 1.0)) if scaling == "linear" else 1.0,
        rms_norm_eps=float(field("attention.layer_norm_rms_epsilon", 1e-6)),
        max_position_embeddings=int(field("context_length", 131_072)),
    )


def vision_config(file: GGUFFile) -> VisionConfig:
    """The tower's shape from an `mmproj` file's metadata.

    Raises:
        CheckpointError: it holds another projector than Gemma 3's.
    """
    metadata = file.metadata
    kind = metadata.get("clip.projector_type", metadata.get("clip.vision.projector_type"))
    if metadata.get("general.architecture") != "clip" or kind != "gemma3":
        raise CheckpointError(f"{file.space.name}: not the mmproj file of a Gemma 3 model (projector {kind!r})")
    try:
        return VisionConfig(
            hidden_size=int(metadata["clip.vision.embedding_length"]),
            intermediate_size=int(metadata["clip.vision.feed_forward_length"]),
            num_hidden_layers=int(metadata["clip.vision.block_count"]),
            num_attention_heads=int(metadata["clip.vision.attention.head_count"]),
            image_size=int(metadata["clip.vision.image_size"]),
            patch_size=int(metadata["clip.vision.patch_size"]),
            layer_norm_eps=float(metadata.get("clip.vision.attention.layer_norm_epsilon", 1e-6)),
        )
    except KeyError as error:
        raise CheckpointError(f"{file.space.name}: the metadata lacks {error.args[0]}; convert it again") from None


def config(file: GGUFFile, mmproj: GGUFFile | None) -> MedGemmaConfig:
    """The whole model's configuration; without an `mmproj` file it has no tower."""
    whole = MedGemmaConfig(text_config(file))
    stop = file.metadata.get("tokenizer.ggml.eos_token_id")
    if isinstance(stop, int):
        whole = replace(whole, eos_token_ids=tuple(dict.fromkeys((stop, *whole.eos_token_ids))))
    if mmproj is None:
        return whole
    vision = vision_config(mmproj)
    # The file does not say; Gemma 3 pools 4 x 4 patches to a token.
    return replace(whole, vision=vision, mm_tokens_per_image=(vision.patches_per_side // 4) ** 2)


def vocabulary(file: GGUFFile) -> tuple[list[str], list[float], list[int]]:
    """Tokens, scores and types of the tokenizer in a file."""
    try:
        return (
            file.metadata["tokenizer.ggml.tokens"],
            file.metadata["tokenizer.ggml.scores"],
            file.metadata["tokenizer.ggml.token_type"],
        )
    except KeyError as error:
        missing = error.args[0]
        raise CheckpointError(f"{file.space.name}: the metadata lacks {missing}; convert the model again") from None


def entries(file: GGUFFile, mmproj: GGUFFile | None = None) -> Iterator[Entry]:
    """Every tensor under our name.

    Raises:
        CheckpointError: a tensor that Gemma 3 does not have.
    """
    for name, info in file.tensors.items():
        if name not in _DROPPED:
            ours = _text_name(file, name)
            yield Entry(ours, info.shape, _reader(file, name, one_plus=ours.endswith("norm.weight")))
    if mmproj is None:
        return
    width = vision_config(mmproj).hidden_size
    for name, info in mmproj.tensors.items():
        ours = _vision_name(mmproj, name, width)
        yield Entry(ours, info.shape, _reader(mmproj, name, one_plus=name == "mm.soft_emb_norm.weight"))


def _reader(file: GGUFFile, name: str, *, one_plus: bool) -> Any:
    def read(dtype: torch.dtype) -> Tensor:
        if one_plus:
            return (file.tensor(name) - 1.0).to(dtype)
        return file.tensor(name, dtype)

    return read


def _text_name(file: GGUFFile, name: str) -> str:
    if name in _TOP:
        return _TOP[name]
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    if match and match[2] in _BLOCK:
        return f"language_model.layers.{match[1]}.{_BLOCK[match[2]]}.weight"
    raise CheckpointError(f"{file.space.name}: tensor {name!r:.80} is not part of Gemma 3")


def _vision_name(file: GGUFFile, name: str, width: int) -> str:
    if name in _VISION_TOP:
        return _VISION_TOP[name]
    match = re.fullmatch(r"v\.blk\.(\d+)\.(\w+)\.(weight|bias)", name)
    if match and match[2] in _VISION_BLOCK:
        return f"vision_tower.encoder.layers.{match[1]}.{_VISION_BLOCK[match[2]]}.{match[3]}"
    if match and match[2] in ("ffn_up", "ffn_down"):
        # Early converters swapped the two names, so the shape decides: fc2 gives the tower's width.
        layer = "fc2" if file.tensors[name].shape[0] == width else "fc1"
        return f"vision_tower.encoder.layers.{match[1]}.mlp.{layer}.{match[3]}"
    raise CheckpointError(f"{file.space.name}: tensor {name!r:.80} is not part of Gemma 3's vision tower")
