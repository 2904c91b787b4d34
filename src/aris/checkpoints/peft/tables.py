"""Changes by PEFT adapters beside linear layers: the embedding and the head, and modules that were trained whole.

PEFT copies each of `modules_to_save` before training, so of a tied pair the embedding and the head become two:
"lm_head" and "embed_tokens" together, as in Google's own fine-tuning notebook, or either alone. What a file says of
the embedding without that name there (rows of `trainable_token_indices`, a table repeated by `save_embedding_layers`)
is of the one matrix, and a tied head goes with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aris.checkpoints.names import EMBEDDING, HEAD, our_name
from aris.errors import CheckpointError
from aris.model import MedGemma, QuantizedEmbedding, QuantizedLinear, quantize_matrix

TABLES = frozenset(name.removesuffix(".weight") for name in (EMBEDDING, HEAD))
_PREFIX = "base_model.model."
_ROWS = re.compile(r"(.+?)\.(?:token_adapter\.)?trainable_tokens_delta(?:\.default)?")

Rows = tuple[list[int], Tensor]


def sort_out(
    model: MedGemma, folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor], Rows | None]:
    """The tensors of an adapter's file that are no LoRA matrices: saved modules, repeated tables, trained rows.

    Args:
        config: contents of `adapter_config.json`.
        tensors: by the file's keys.

    Raises:
        CheckpointError: a key matches no part of the model, or a shape does not fit.
    """
    listed = config.get("modules_to_save") or []
    names = {listed} if isinstance(listed, str) else set(listed) if isinstance(listed, list) else set()
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    shapes |= {f"{name}.weight": (layer.out_features, layer.in_features) for name, layer in _quantized(model).items()}
    shapes[HEAD] = shapes[EMBEDDING] = (model.config.text.vocab_size, model.config.text.hidden_size)
    saved: dict[str, Tensor] = {}
    base: dict[str, Tensor] = {}
    rows: Rows | None = None
    for key, tensor in tensors.items():
        module = key.removeprefix(_PREFIX)
        match = _ROWS.fullmatch(module)
        if match is not None:
            if our_name(f"{match[1]}.weight") == EMBEDDING:
                rows = _rows(folder, config, tensor, shapes[EMBEDDING])
                continue
            if our_name(f"{match[1]}.weight") == HEAD and model.config.text.tie_word_embeddings:
                continue  # the embedding's, told again
        plain = module.replace(".modules_to_save.default.", ".").replace(".modules_to_save.", ".")
        name = our_name(plain.replace(".base_layer.", "."))
        parts = plain.split(".")
        above = [".".join(parts[:end]) for end in range(1, len(parts))]
        own = plain != module or any(module.endswith(each) for module in above for each in names)
        if not key.startswith(_PREFIX) or name not in shapes or not (own or name in (EMBEDDING, HEAD)):
            raise CheckpointError(
                f"{folder}: key {key!r:.120} is not a LoRA matrix, nor of a module of this model that was trained "
                "whole; use the base model that the adapter was trained on"
            )
        if tuple(tensor.shape) != shapes[name]:
            raise CheckpointError(
                f"{folder}: {module} has shape {tuple(tensor.shape)}, the model needs {shapes[name]}; use the base "
                "model it was trained on (a vocabulary that was extended must be merged first)"
            )
        (saved if own and ".base_layer." not in plain else base)[name] = tensor
    return saved, base, rows


def _rows(folder: Path, config: Mapping[str, Any], tensor: Tensor, shape: tuple[int, ...]) -> Rows:
    listed = config.get("trainable_token_indices")
    if isinstance(listed, dict):
        found = [ids for name, ids in listed.items() if name.rpartition(".")[2] == "embed_tokens"]
        listed = found[0] if found else None
    fits = isinstance(listed, list) and all(type(index) is int and 0 <= index < shape[0] for index in listed)
    if not fits or tuple(tensor.shape) != (len(listed or []), shape[1]):
        raise CheckpointError(f"{folder}: its trainable_token_indices and its rows do not fit; export it again")
    return list(listed or []), tensor


def put(
    model: MedGemma,
    saved: Mapping[str, Tensor],
    base: Mapping[str, Tensor],
    rows: Rows | None,
    merged: Mapping[str, Callable[[Tensor], Tensor]],
) -> None:
    """Put what `sort_out` found on a model.

    Args:
        merged: by our names of the embedding and the head, what folds a low-rank change into the matrix.
    """
    decoder = model.language_model
    embedding, head = f"{EMBEDDING.removesuffix('.weight')}", f"{HEAD.removesuffix('.weight')}"
    if rows is not None or base or merged or {EMBEDDING, HEAD} & saved.keys():
        words = _dense(decoder.embed_tokens)
        scores = words if decoder.lm_head is None else _dense(decoder.lm_head)
        tied = scores is words
        words = base.get(EMBEDDING, words)
        scores = words if tied and HEAD not in base else base.get(HEAD, scores)
        tied = scores is words
        if rows is not None:
            words, location = words.to(model.dtype), words.device
            words = words.index_copy(0, torch.tensor(rows[0], device=location), rows[1].to(location, model.dtype))
            scores = words if tied else scores
        words, scores = saved.get(EMBEDDING, words), saved.get(HEAD, scores)
        words, scores = (
            fold(each.to(model.device, model.dtype)) if fold is not None else each
            for each, fold in ((words, merged.get(embedding)), (scores, merged.get(head)))
        )
        apart = words is not scores and not torch.equal(
            words.to(model.device, model.dtype), scores.to(model.device, model.dtype)
        )
        before = decoder.embed_tokens
        decoder.embed_tokens = _table(words, before, model)
        decoder.lm_head = _table(scores, decoder.lm_head or before, model) if apart else None
        text = replace(model.config.text, tie_word_embeddings=not apart)
        model.config, decoder.config = replace(model.config, text=text), text
    quantized = _quantized(model)
    for name, value in saved.items():
        if name in (EMBEDDING, HEAD):
            continue
        parent, _, leaf = name.rpartition(".")
        coded = quantized.get(parent)
        if coded is not None:
            above, _, last = parent.rpartition(".")
            setattr(model.get_submodule(above), last, _linear(value, coded, model))
            continue
        old = model.get_parameter(name)
        setattr(model.get_submodule(parent), leaf, nn.Parameter(value.to(old.device, old.dtype), requires_grad=False))


def _quantized(model: MedGemma) -> dict[str, QuantizedLinear]:
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, QuantizedLinear)}


def _linear(value: Tensor, like: QuantizedLinear, model: MedGemma) -> nn.Module:
    """A layer of new values, in the format of another one where we write that."""
    if like.format in ("int8", "int4"):
        return QuantizedLinear.from_codes(quantize_matrix(value, like.format, like.group_size, model.device))
    with torch.device("meta"):
        layer = nn.Linear(like.in_features, like.out_features, bias=False)
    layer.weight = nn.Parameter(value.to(model.device, model.dtype), requires_grad=False)
    return layer


def _dense(table: nn.Module) -> Tensor:
    if isinstance(table, nn.Embedding):
        return table.weight.detach()
    if isinstance(table, QuantizedEmbedding):
        return table.dequantized()
    raise CheckpointError("adapter: the model is in use by an engine; put the adapter on when it is loaded")


def _table(value: Tensor, like: nn.Module, model: MedGemma) -> nn.Embedding | QuantizedEmbedding:
    """A table of new values, stored as another one is."""
    if isinstance(like, QuantizedEmbedding) and like.format in ("int8", "int4"):
        return QuantizedEmbedding.from_codes(quantize_matrix(value, like.format, like.group_size, model.device))
    with torch.device("meta"):
        table = nn.Embedding(*value.shape)
    table.weight = nn.Parameter(value.to(model.device, model.dtype), requires_grad=False)
    return table
