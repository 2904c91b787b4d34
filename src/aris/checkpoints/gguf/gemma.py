"""Gemma 3 in GGUF: its configuration, vocabulary and tensors under our names, as llama.cpp's converter writes them.

Norm weights are stored as 1 + w there, and read back as w in float32. A vision tower lies in a file of its own
(`mmproj`), whose projector is stored as in the Hugging Face checkpoint and whose norm is again 1 + w.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aris.checkpoints.configs import MAX_LAYERS, guarded
from aris.checkpoints.entries import Entry
from aris.checkpoints.gguf.reading import GGUFFile
from aris.checkpoints.names import HEAD
from aris.errors import CheckpointError
from aris.model import Codes, MedGemmaConfig, TextConfig, VisionConfig, quantize_matrix
from aris.model.config import GLOBAL, GLOBAL_EVERY, LOCAL

# Columns that share a scale in most of ggml's formats, and in what `Entry.blocks` gives.
BLOCK_COLUMNS = 32
# Parts of a block in the file -> ours.
BLOCK = {
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
TOP = {
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
# The head, where a file has one: mostly the embedding written out again, which then serves for both.
OUTPUT = "output.weight"
# Layers of 4B, the smallest model with scaled RoPE and a window of 1,024, and of 27B (Gemma 3 report, table 1).
_LAYERS_4B, _LAYERS_27B = 34, 62


_TOWER = b"general.architecture" + struct.pack("<IQ", 8, 4) + b"clip"
# Fields of the decoder that are read, or that tell nothing which the tensors do not.
_KNOWN = frozenset({
    "block_count", "context_length", "embedding_length", "feed_forward_length", "vocab_size", "tensor_data_layout",
    "attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length",
    "attention.key_length_swa", "attention.value_length_swa", "attention.layer_norm_rms_epsilon",
    "attention.sliding_window", "attention.sliding_window_pattern", "attention.causal", "rope.freq_base",
    "rope.freq_base_swa", "rope.scaling.type", "rope.scaling.factor", "rope.scale_linear", "rope.scaling.finetuned",
    "rope.scaling.original_context_length", "rope.local.freq_base", "rope.global.freq_base", "rope.dimension_count",
    "rope.dimension_count_swa", "mm.tokens_per_image", "expert_count", "expert_used_count",
})  # fmt: skip


def _field(file: GGUFFile, key: str, default: Any = None) -> Any:
    value = file.metadata.get(key, default)
    if value is None:
        raise CheckpointError(f"{file.space.name}: the metadata lacks {key}; convert the model again")
    return value


def text_config(file: GGUFFile) -> TextConfig:
    """The decoder's shape from the metadata, with Gemma 3's own values where writers leave a field out.

    Raises:
        CheckpointError: another architecture, or a size is missing.
    """
    metadata = file.metadata
    architecture = metadata.get("general.architecture")
    if architecture == "clip":
        raise CheckpointError(f"{file.space.name}: a vision tower alone (mmproj); give the model's own file beside it")
    if architecture != "gemma3":
        raise CheckpointError(f"{file.space.name}: this is {architecture!r:.40}; Aris runs Gemma 3 and MedGemma")
    for key, value in metadata.items():
        name = key.removeprefix("gemma3.")
        if name != key and name not in _KNOWN and value not in (None, False, 0, "", []):
            raise CheckpointError(
                f"{file.space.name}: the metadata sets {key:.60} to {value!r:.40}, which might change what the network "
                "computes and is not supported; convert the model again"
            )
    layers = int(_field(file, "gemma3.block_count"))
    if not 0 < layers <= MAX_LAYERS:
        raise CheckpointError(f"{file.space.name}: the metadata gives {layers} layers, which cannot be; get it again")
    heads = int(_field(file, "gemma3.attention.head_count"))
    width = int(_field(file, "gemma3.embedding_length"))
    head_dim = int(_field(file, "gemma3.attention.key_length", 256))
    same = ("attention.value_length", "attention.key_length_swa", "attention.value_length_swa", "rope.dimension_count",
            "rope.dimension_count_swa")  # fmt: skip
    for name in same:
        if metadata.get(f"gemma3.{name}", head_dim) != head_dim:
            raise CheckpointError(
                f"{file.space.name}: gemma3.{name} is {metadata[f'gemma3.{name}']!r:.20} and heads are {head_dim} "
                "wide, which is not supported; convert the model again"
            )
    if metadata.get("gemma3.attention.causal", True) is not True:
        raise CheckpointError(f"{file.space.name}: its attention is not causal, so it writes no text; use a Gemma 3")
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None or len(embedding.shape) != 2:
        raise CheckpointError(f"{file.space.name}: no token_embd.weight; give the model's own file, not its mmproj")
    pattern = _field(file, "gemma3.attention.sliding_window_pattern", GLOBAL_EVERY)
    if isinstance(pattern, list):
        types = tuple(LOCAL if local else GLOBAL for local in pattern[:layers])
    else:
        types = tuple(GLOBAL if (i + 1) % int(pattern) == 0 else LOCAL for i in range(layers))
    large = layers >= _LAYERS_4B
    return TextConfig(
        vocab_size=embedding.shape[0],
        hidden_size=width,
        intermediate_size=int(_field(file, "gemma3.feed_forward_length")),
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=int(_field(file, "gemma3.attention.head_count_kv")),
        head_dim=head_dim,
        query_pre_attn_scalar=attention_scalar(layers, width, heads, head_dim),
        sliding_window=int(_field(file, "gemma3.attention.sliding_window", 1024 if large else 512)),
        layer_types=types,
        rope_theta=float(_field(file, "gemma3.rope.freq_base", 1e6)),
        rope_local_base_freq=float(_field(file, "gemma3.rope.freq_base_swa", 1e4)),
        rope_factor=_rope_factor(file, large=large),
        rms_norm_eps=float(_field(file, "gemma3.attention.layer_norm_rms_epsilon", 1e-6)),
        max_position_embeddings=int(_field(file, "gemma3.context_length", 131_072)),
        tie_word_embeddings=_is_tied(file),
    )


def attention_scalar(layers: int, width: int, heads: int, head_dim: int) -> float:
    """The query scale, which no field holds: 27B, with 62 layers, has width / heads = 168, the others head_dim."""
    return width / heads if layers == _LAYERS_27B else head_dim


def _rope_factor(file: GGUFFile, *, large: bool) -> float:
    """Return the divisor of global layers' frequencies: 8 from 4B upwards, also where a writer forgot it."""
    kind = file.metadata.get("gemma3.rope.scaling.type", "linear")  # llama.cpp's default too
    if kind == "none":
        return 1.0
    if kind != "linear":
        raise CheckpointError(f"{file.space.name}: RoPE scaling {kind!r:.40} is not used by Gemma 3 (linear or none)")
    old = file.metadata.get("gemma3.rope.scale_linear", 8.0 if large else 1.0)
    return float(file.metadata.get("gemma3.rope.scaling.factor", old)) or 1.0


def vision_config(file: GGUFFile) -> VisionConfig:
    """The tower's shape from an `mmproj` file's metadata.

    Raises:
        CheckpointError: it holds another projector than Gemma 3's.
    """
    metadata = file.metadata
    kind = metadata.get("clip.projector_type", metadata.get("clip.vision.projector_type"))
    if metadata.get("general.architecture") != "clip" or kind != "gemma3":
        raise CheckpointError(f"{file.space.name}: not the mmproj file of a Gemma 3 model (projector {kind!r:.40})")
    if metadata.get("clip.use_silu") is True:
        raise CheckpointError(f"{file.space.name}: its tower has SiLU where Gemma 3 has GELU; convert it again")
    layers = int(_field(file, "clip.vision.block_count"))
    if not 0 < layers <= MAX_LAYERS:
        raise CheckpointError(f"{file.space.name}: the metadata gives {layers} layers, which cannot be; get it again")
    return VisionConfig(
        hidden_size=int(_field(file, "clip.vision.embedding_length")),
        intermediate_size=int(_field(file, "clip.vision.feed_forward_length")),
        num_hidden_layers=layers,
        num_attention_heads=int(_field(file, "clip.vision.attention.head_count")),
        image_size=int(_field(file, "clip.vision.image_size")),
        patch_size=int(_field(file, "clip.vision.patch_size")),
        layer_norm_eps=float(_field(file, "clip.vision.attention.layer_norm_epsilon", 1e-6)),
    )


def names_a_tower(path: Path) -> bool:
    """Return whether a file name tells of a vision tower: `mmproj-model-f16.gguf`, `X.mmproj-Q8_0.gguf`, ..."""
    return "mmproj" in path.name.lower()


def towers_beside(path: Path) -> list[Path]:
    """The files in a model's folder that hold vision towers, by their names or by their first bytes, sorted."""
    found = []
    for other in sorted(path.parent.iterdir()) if path.parent.is_dir() else ():
        if other.suffix.lower() == ".gguf" and other != path and other.is_file():
            with suppress(OSError), other.open("rb") as file:
                # "general.architecture" is the first field that writers put down: a string (8) of 4 bytes.
                if names_a_tower(other) or _TOWER in file.read(4096):
                    found.append(other)
    return found


def processor(mmproj: GGUFFile | None) -> dict[str, Any]:
    """Translate an `mmproj` file's preparation of images to the fields of `preprocessor_config.json`.

    Raises:
        CheckpointError: a mean or a deviation is not three numbers.
    """
    made: dict[str, Any] = {}
    for name in ("image_mean", "image_std"):
        values = None if mmproj is None else mmproj.metadata.get(f"clip.vision.{name}")
        if values is None or mmproj is None:
            continue
        if not isinstance(values, list) or len(values) != 3 or not all(isinstance(each, float) for each in values):
            raise CheckpointError(f"{mmproj.space.name}: clip.vision.{name} is not three numbers; convert it again")
        made[name] = values
    return made


def config(file: GGUFFile, mmproj: GGUFFile | None) -> MedGemmaConfig:
    """The whole model's configuration; without an `mmproj` file it has no tower.

    Raises:
        CheckpointError: another architecture, or a field is missing or cannot be.
    """

    def build() -> MedGemmaConfig:
        whole = MedGemmaConfig(text_config(file))
        whole = replace(whole, eos_token_ids=tuple(dict.fromkeys((*_stops(file), *whole.eos_token_ids))))
        if mmproj is None:
            return whole
        vision = vision_config(mmproj)
        width = mmproj.metadata.get("clip.vision.projection_dim", whole.text.hidden_size)
        if width != whole.text.hidden_size:
            raise CheckpointError(
                f"{mmproj.space.name}: gives tokens of width {width}, the model beside it has "
                f"{whole.text.hidden_size}; keep the mmproj file that belongs to it"
            )
        # Patches pooled to a token, along one side: written only where it is not Gemma 3's 4.
        pooled = int(mmproj.metadata.get("clip.vision.projector.scale_factor", 4))
        return replace(whole, vision=vision, mm_tokens_per_image=(vision.patches_per_side // pooled) ** 2)

    return guarded(build, file.space.name, "the metadata")


def vocabulary(file: GGUFFile) -> tuple[list[str], list[float], list[int]]:
    """Tokens, scores and types of the tokenizer in a file.

    Scores that a file leaves out are all 0, which means that its pieces stand in their order, as Gemma 3's do; types
    are then all 1 (a word), as the pieces that are none are known by name (see `prompting.gguf_vocabulary`).

    Raises:
        CheckpointError: they are missing, do not fit each other, or are of another kind of tokenizer.
    """
    where = file.space.name
    model = file.metadata.get("tokenizer.ggml.model", "llama")
    if model != "llama":
        raise CheckpointError(
            f"{where}: its tokenizer is {model!r:.40}; Gemma 3's is 'llama' (SentencePiece), convert the model again"
        )
    tokens = _field(file, "tokenizer.ggml.tokens")
    if not isinstance(tokens, list):
        raise CheckpointError(f"{where}: the vocabulary is no list; get the file again")
    scores = file.metadata.get("tokenizer.ggml.scores") or [0.0] * len(tokens)
    types = file.metadata.get("tokenizer.ggml.token_type") or [1] * len(tokens)
    kinds = ((tokens, str), (scores, float), (types, int))
    if not all(isinstance(part, list) and part and isinstance(part[0], kind) for part, kind in kinds) or not (
        len(tokens) == len(scores) == len(types)  # an array's elements are of one type, so its first tells
    ):
        raise CheckpointError(f"{where}: the vocabulary's parts do not fit each other; get the file again")
    return tokens, scores, types


def chat_template(file: GGUFFile) -> str:
    """The jinja chat template in a file's metadata, "" without."""
    template = file.metadata.get("tokenizer.chat_template")
    return template if isinstance(template, str) else ""


def _stops(file: GGUFFile) -> tuple[int, ...]:
    """Ids that end an answer by the file's metadata; those that its vocabulary does not have are left out."""
    tokens = file.metadata.get("tokenizer.ggml.tokens")
    count = len(tokens) if isinstance(tokens, list) else 0
    named = (file.metadata.get(f"tokenizer.ggml.{kind}_token_id") for kind in ("eos", "eot", "eom"))
    return tuple(stop for stop in named if type(stop) is int and 0 <= stop < count)


def entries(file: GGUFFile, mmproj: GGUFFile | None = None) -> Iterator[Entry]:
    """Every tensor under our name.

    Raises:
        CheckpointError: a tensor that Gemma 3 does not have.
    """
    for name, info in file.tensors.items():
        if name == OUTPUT and _is_tied(file):
            continue
        ours = HEAD if name == OUTPUT else _text_name(file, name)
        read = _reader(file, name, one_plus=ours.endswith("norm.weight"))
        packed = info.format.values > 1 and len(info.shape) == 2 and info.shape[1] % BLOCK_COLUMNS == 0
        yield Entry(ours, info.shape, read, blocks=_blocks(file, name) if packed else None)
    if mmproj is None:
        return
    width = vision_config(mmproj).hidden_size
    for name, info in mmproj.tensors.items():
        ours = _vision_name(mmproj, name, width)
        yield Entry(ours, info.shape, _reader(mmproj, name, one_plus=name == "mm.soft_emb_norm.weight"))


def _reader(file: GGUFFile, name: str, *, one_plus: bool) -> Callable[[torch.dtype], Tensor]:
    def read(dtype: torch.dtype) -> Tensor:
        if one_plus:
            return (file.tensor(name) - 1.0).to(dtype)
        return file.tensor(name, dtype)

    return read


def _blocks(file: GGUFFile, name: str) -> Callable[[], Codes]:
    """A matrix in int8 by 32 columns: exactly where the file has codes and scales by 32, else rounded once more."""

    def blocks() -> Codes:
        stored = file.codes(name)
        if stored is None:
            return quantize_matrix(file.tensor(name), "int8", BLOCK_COLUMNS)
        return Codes("int8", stored[0], stored[1], None, BLOCK_COLUMNS)

    return blocks


def _is_tied(file: GGUFFile) -> bool:
    """Return whether the file has no head, or only the embedding's bytes again; another format is a head of its own."""
    head, embedding = file.tensors.get(OUTPUT), file.tensors["token_embd.weight"]
    if head is None:
        return True
    return (head.shape, head.format) == (embedding.shape, embedding.format) and file.same_bytes(
        OUTPUT, "token_embd.weight"
    )


def _text_name(file: GGUFFile, name: str) -> str:
    if name in TOP:
        return TOP[name]
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    if match and match[2] in BLOCK:
        return f"language_model.layers.{match[1]}.{BLOCK[match[2]]}.weight"
    raise CheckpointError(f"{file.space.name}: tensor {name!r:.80} is not part of Gemma 3")


def _vision_name(file: GGUFFile, name: str, width: int) -> str:
    if name in _VISION_TOP:
        return _VISION_TOP[name]
    match = re.fullmatch(r"v\.blk\.(\d+)\.(\w+)\.(weight|bias)", name)
    if match and match[2] in _VISION_BLOCK:
        return f"vision_tower.encoder.layers.{match[1]}.{_VISION_BLOCK[match[2]]}.{match[3]}"
    if match and match[2] in ("ffn_up", "ffn_down"):
        # Early converters swapped the two names, so the shape decides: fc2 gives the tower's width.
        layer = "fc2" if file.tensors[name].shape[:1] == (width,) else "fc1"
        return f"vision_tower.encoder.layers.{match[1]}.mlp.{layer}.{match[3]}"
    raise CheckpointError(f"{file.space.name}: tensor {name!r:.80} is not part of Gemma 3's vision tower")
