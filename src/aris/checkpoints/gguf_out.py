"""Writes the decoder and its vocabulary as a GGUF file (version 3), as llama.cpp's converter lays out Gemma 3."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from aris.checkpoints.checkpoint import Checkpoint
from aris.checkpoints.gguf_gemma import BLOCK, OUTPUT, TOP
from aris.checkpoints.names import HEAD
from aris.checkpoints.writing import new_file
from aris.errors import CheckpointError
from aris.model import MedGemma

_ALIGNMENT = 32
_UINT32, _FLOAT32, _BOOL, _STRING, _ARRAY, _INT32 = 4, 6, 7, 8, 9, 5
# Tensor kinds of ggml.
_KINDS = {torch.float32: 0, torch.bfloat16: 30}
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = 1, 2, 3, 4, 5, 6

Vocabulary = tuple[list[str], list[float], list[int]]


def save_gguf(model: MedGemma, source: Checkpoint, path: Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write a model's text part; a vision tower is left out, as GGUF keeps it in a file of its own.

    Args:
        model: dense, adapters folded in.
        source: gives the vocabulary.
        dtype: bfloat16 or float32, of the matrices; norms are float32 always.

    Raises:
        CheckpointError: the source has no vocabulary, the dtype is another, or the file cannot be written.
    """
    if dtype not in _KINDS:
        raise CheckpointError(f"{path}: GGUF is written in bfloat16 or float32; convert it further with llama.cpp")
    text = model.config.text
    tokens, scores, types = _vocabulary(source, text.vocab_size)
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
        "tokenizer.ggml.bos_token_id": (_UINT32, 2),
        "tokenizer.ggml.eos_token_id": (_UINT32, 106),  # <end_of_turn>, which ends an answer
        "tokenizer.ggml.unknown_token_id": (_UINT32, 3),
        "tokenizer.ggml.padding_token_id": (_UINT32, 0),
        "tokenizer.ggml.add_bos_token": (_BOOL, True),
        "tokenizer.ggml.add_eos_token": (_BOOL, False),
        "tokenizer.ggml.add_space_prefix": (_BOOL, False),
    }
    template = _chat_template(source)
    if template:
        fields["tokenizer.chat_template"] = (_STRING, template)
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


def _chat_template(source: Checkpoint) -> str:
    if source.tokenizer.path is None:
        return ""
    folder = source.tokenizer.path.parent
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    if (folder / "tokenizer_config.json").is_file():
        template = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template")
        return template if isinstance(template, str) else ""
    return ""


def _vocabulary(source: Checkpoint, rows: int) -> Vocabulary:
    """Pieces, scores and types, one for each row of the embedding."""
    if source.tokenizer.vocabulary is not None:
        known = source.tokenizer.vocabulary
        tokens, scores, types = list(known[0]), list(known[1]), list(known[2])
    elif source.tokenizer.path is not None and source.tokenizer.path.is_file():
        tokens, scores, types = _from_tokenizer_json(source.tokenizer.path)
    else:
        raise CheckpointError(f"{source.name}: it has no tokenizer to write into GGUF")
    for index in range(len(tokens), rows):
        tokens.append(f"[PAD{index}]")
        scores.append(-1000.0)
        types.append(_UNUSED)
    return tokens[:rows], scores[:rows], types[:rows]


def _from_tokenizer_json(path: Path) -> Vocabulary:
    """SentencePiece's scores again: minus the place of the first merge that makes a piece."""
    whole = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = dict(whole["model"]["vocab"])
    added = {entry["id"]: entry for entry in whole.get("added_tokens", [])}
    vocabulary.update({entry["content"]: index for index, entry in added.items()})
    place: dict[str, int] = {}
    for merge in whole["model"]["merges"]:
        piece = "".join(merge.split(" ", 1) if isinstance(merge, str) else merge)
        place.setdefault(piece, len(place))
    size = max(vocabulary.values()) + 1
    tokens, scores, types = [f"[PAD{index}]" for index in range(size)], [-1000.0] * size, [_UNUSED] * size
    for token, index in vocabulary.items():
        tokens[index] = token
        if token == "<unk>":
            types[index] = _UNKNOWN
        elif len(token) == 6 and token.startswith("<0x"):
            types[index] = _BYTE
        elif index in added:
            types[index] = _CONTROL if added[index].get("special") else _USER_DEFINED
        else:
            types[index], scores[index] = _NORMAL, -float(place.get(token, len(place) + index))
    return tokens, scores, types
