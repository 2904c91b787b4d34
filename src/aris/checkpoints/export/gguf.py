"""Writes the decoder and its vocabulary as a GGUF file (version 3), as llama.cpp's converter lays out Gemma 3."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from aris.checkpoints.checkpoint import Checkpoint
from aris.checkpoints.export.gguf_tokenizer import chat_template_of, vocabulary_of
from aris.checkpoints.gguf.gemma import BLOCK, OUTPUT, TOP, attention_scalar
from aris.checkpoints.names import HEAD
from aris.checkpoints.registry import TUNED_FROM_KEY
from aris.checkpoints.writing import new_file
from aris.errors import CheckpointError
from aris.model import MedGemma, MedGemmaConfig
from aris.model.config import GLOBAL, GLOBAL_EVERY, LOCAL

_ALIGNMENT = 32
_UINT32, _FLOAT32, _BOOL, _STRING, _ARRAY, _INT32 = 4, 6, 7, 8, 9, 5
# Tensor kinds of ggml.
_KINDS = {torch.float32: 0, torch.bfloat16: 30}


def save_gguf(model: MedGemma, source: Checkpoint, path: Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write a model's text part; a vision tower is left out, as GGUF keeps it in a file of its own.

    Args:
        model: dense, adapters folded in.
        source: gives the vocabulary.
        dtype: bfloat16 or float32, of the matrices; norms are float32 always.

    Raises:
        CheckpointError: the source has no vocabulary, the dtype is another, GGUF cannot tell the decoder's shape, or
            the file cannot be written.
    """
    if dtype not in _KINDS:
        raise CheckpointError(f"{path}: GGUF is written in bfloat16 or float32; convert it further with llama.cpp")
    text = model.config.text
    _require_told(model.config, path)
    tokens, scores, types = vocabulary_of(source, text.vocab_size)
    location = {token: index for index, token in enumerate(tokens)}
    fields: dict[str, tuple[int, Any]] = {
        "general.architecture": (_STRING, "gemma3"),
        "general.alignment": (_UINT32, _ALIGNMENT),
        "gemma3.block_count": (_UINT32, text.num_hidden_layers),
        "gemma3.context_length": (_UINT32, text.max_position_embeddings),
        "gemma3.embedding_length": (_UINT32, text.hidden_size),
        "gemma3.feed_forward_length": (_UINT32, text.intermediate_size),
        "gemma3.attention.head_count": (_UINT32, text.num_attention_heads),
        "gemma3.attention.head_count_kv": (_UINT32, text.num_key_value_heads),
        "gemma3.attention.key_length": (_UINT32, text.head_dim),
        "gemma3.attention.value_length": (_UINT32, text.head_dim),
        "gemma3.attention.sliding_window": (_UINT32, text.sliding_window),
        "gemma3.attention.layer_norm_rms_epsilon": (_FLOAT32, text.rms_norm_eps),
        "gemma3.rope.freq_base": (_FLOAT32, text.rope_theta),
        "gemma3.rope.freq_base_swa": (_FLOAT32, text.rope_local_base_freq),
        "gemma3.rope.scaling.type": (_STRING, "none" if text.rope_factor == 1.0 else "linear"),
        "gemma3.rope.scaling.factor": (_FLOAT32, text.rope_factor),
        "tokenizer.ggml.model": (_STRING, "llama"),
        "tokenizer.ggml.pre": (_STRING, "default"),
        "tokenizer.ggml.tokens": (_ARRAY, (_STRING, tokens)),
        "tokenizer.ggml.scores": (_ARRAY, (_FLOAT32, scores)),
        "tokenizer.ggml.token_type": (_ARRAY, (_INT32, types)),
        "tokenizer.ggml.bos_token_id": (_UINT32, location["<bos>"]),
        "tokenizer.ggml.eos_token_id": (_UINT32, location["<eos>"]),
        "tokenizer.ggml.eot_token_id": (_UINT32, location["<end_of_turn>"]),  # which ends an answer
        "tokenizer.ggml.unknown_token_id": (_UINT32, location["<unk>"]),
        "tokenizer.ggml.padding_token_id": (_UINT32, location["<pad>"]),
        "tokenizer.ggml.add_bos_token": (_BOOL, True),
        "tokenizer.ggml.add_eos_token": (_BOOL, False),
        "tokenizer.ggml.add_space_prefix": (_BOOL, False),
        "tokenizer.chat_template": (_STRING, chat_template_of(source)),
    }
    if source.spec is not None and not source.spec.patient_care:
        fields[TUNED_FROM_KEY] = (_STRING, source.spec.name)
    state = {name: value for name, value in model.state_dict().items() if name.startswith("language_model.")}
    ours = {our: their for their, our in TOP.items()} | {HEAD: OUTPUT}
    blocks = {our: their for their, our in BLOCK.items()}
    plan: list[tuple[str, Tensor, torch.dtype]] = []
    for name, value in state.items():
        their = ours.get(name)
        if their is None:
            _, _, index, inner = name.split(".", 3)
            their = f"blk.{index}.{blocks[inner.removesuffix('.weight')]}.weight"
        plan.append((their, value, torch.float32 if value.dim() == 1 else dtype))
    with new_file(path) as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(plan), len(fields)))
        for key, (kind, field) in fields.items():
            _text(file, key)
            file.write(struct.pack("<I", kind))
            _value(file, kind, field)
        offset = 0
        for name, value, kept in plan:
            _text(file, name)
            shape = value.shape[::-1]  # ggml counts from the innermost dimension
            file.write(struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, _KINDS[kept], offset))
            offset += -(-value.numel() * kept.itemsize // _ALIGNMENT) * _ALIGNMENT
        _pad(file)
        for name, value, kept in plan:
            # GGUF keeps a norm's whole factor, Gemma's checkpoints what it is beyond 1.
            whole = value.detach().float() + 1 if name.endswith("norm.weight") else value.detach()
            file.write(whole.to(kept).contiguous().cpu().view(torch.uint8).numpy().data)
            _pad(file)


def _require_told(config: MedGemmaConfig, path: Path) -> None:
    """Refuse a decoder that GGUF's fields for Gemma 3 cannot tell: readers would run another one."""
    text = config.text
    told = attention_scalar(text.num_hidden_layers, text.hidden_size, text.num_attention_heads, text.head_dim)
    if text.query_pre_attn_scalar != told:
        raise CheckpointError(
            f"{path}: GGUF has no field for query_pre_attn_scalar, and readers take {told:g} for this model's "
            f"{text.query_pre_attn_scalar:g}; export it in Hugging Face layout"
        )
    types = tuple(GLOBAL if (index + 1) % GLOBAL_EVERY == 0 else LOCAL for index in range(text.num_hidden_layers))
    if text.layer_types != types:
        raise CheckpointError(
            f"{path}: GGUF has no field for layer types other than Gemma 3's, five local and one global in turn; "
            "export it in Hugging Face layout"
        )


def _text(file: BinaryIO, text: str) -> None:
    data = text.encode()
    file.write(struct.pack("<Q", len(data)) + data)


def _value(file: BinaryIO, kind: int, value: Any) -> None:
    if kind == _STRING:
        _text(file, value)
    elif kind == _ARRAY:
        inner, items = value
        file.write(struct.pack("<IQ", inner, len(items)))
        for item in items:
            _value(file, inner, item)
    else:
        file.write(struct.pack({_UINT32: "<I", _FLOAT32: "<f", _BOOL: "<?", _INT32: "<i"}[kind], value))


def _pad(file: BinaryIO) -> None:
    file.write(b"\0" * (-file.tell() % _ALIGNMENT))
