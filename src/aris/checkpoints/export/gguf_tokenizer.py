"""The vocabulary and the chat template that a GGUF file of a model gets, as llama.cpp's converter writes Gemma 3's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from aris.checkpoints.checkpoint import Checkpoint
from aris.checkpoints.pieces import BYTE, CONTROL, NORMAL, UNUSED, USER_DEFINED, kind_of
from aris.errors import CheckpointError

Vocabulary = tuple[list[str], list[float], list[int]]
# The score that llama.cpp's converter gives to pieces that are never made by merging.
_NO_SCORE = -1000.0
_REQUIRED = ("<bos>", "<eos>", "<unk>", "<pad>", "<start_of_turn>", "<end_of_turn>")


def vocabulary_of(source: Checkpoint, rows: int) -> Vocabulary:
    """Pieces, scores and types, one for each row of the embedding.

    Raises:
        CheckpointError: the source has no tokenizer, or not one of Gemma's.
    """
    if source.tokenizer.vocabulary is not None:
        known = source.tokenizer.vocabulary
        tokens, scores = list(known[0]), list(known[1])
        types = [kind_of(token, kind) for token, kind in zip(tokens, known[2], strict=True)]
    elif source.tokenizer.path is not None and source.tokenizer.path.is_file():
        tokens, scores, types = _from_tokenizer_json(source.tokenizer.path)
    else:
        raise CheckpointError(f"{source.name}: it has no tokenizer to write into GGUF")
    for index in range(len(tokens), rows):
        tokens.append(f"[PAD{index}]")
        scores.append(_NO_SCORE)
        types.append(UNUSED)
    tokens, scores, types = tokens[:rows], scores[:rows], types[:rows]
    missing = set(_REQUIRED).difference(tokens)
    if missing:
        raise CheckpointError(f"{source.name}: its tokenizer has no {min(missing)}; Aris runs Gemma 3 and MedGemma")
    for index, (token, kind) in enumerate(zip(tokens, types, strict=True)):
        if kind == USER_DEFINED:
            # Whole pieces are cut out of the text as it was written, where a space is a space.
            tokens[index] = token.replace("▁", " ")
    return tokens, scores, types


def _from_tokenizer_json(path: Path) -> Vocabulary:
    """SentencePiece's scores again: minus the place of the first merge that makes a piece."""
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        vocabulary = dict(whole["model"]["vocab"])
        added = {entry["id"]: entry for entry in whole.get("added_tokens", [])}
        vocabulary.update({entry["content"]: index for index, entry in added.items()})
        location: dict[str, int] = {}
        for merge in whole["model"]["merges"]:
            location.setdefault("".join(merge.split(" ", 1) if isinstance(merge, str) else merge), len(location))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise CheckpointError(f"{path}: not a readable tokenizer.json of Gemma's kind; download it again") from None
    size = max(vocabulary.values()) + 1
    if size > 2 * len(vocabulary):
        raise CheckpointError(f"{path}: a token has the id {size - 1:,}, which cannot be; download it again")
    tokens, scores, types = [f"[PAD{index}]" for index in range(size)], [_NO_SCORE] * size, [UNUSED] * size
    for token, index in vocabulary.items():
        tokens[index] = token
        own = NORMAL if index not in added else CONTROL if added[index].get("special") else USER_DEFINED
        types[index] = kind_of(token, own)
        if types[index] == NORMAL:
            scores[index] = -float(location.get(token, len(location) + index))
        elif types[index] == BYTE:
            scores[index] = 0.0
    return tokens, scores, types


def chat_template_of(source: Checkpoint) -> str:
    """The model's own jinja chat template, wherever it keeps it; Gemma 3's, by which prompts are made, without one."""
    if source.tokenizer.chat_template:
        return source.tokenizer.chat_template
    if source.tokenizer.path is not None:
        for template in _templates(source.tokenizer.path.parent):
            if isinstance(template, list):  # of several, named ones
                named = {each.get("name"): each.get("template") for each in template if isinstance(each, dict)}
                template = named.get("default")
            if isinstance(template, str) and template:
                return template
    return resources.files("aris.checkpoints").joinpath("gemma3_chat_template.jinja").read_text(encoding="utf-8")


def _templates(folder: Path) -> Iterator[Any]:
    """List the values of `chat_template` in a folder's files, the newer locations first."""
    if (folder / "chat_template.jinja").is_file():
        yield (folder / "chat_template.jinja").read_text(encoding="utf-8")
    for name in ("chat_template.json", "processor_config.json", "tokenizer_config.json"):
        try:
            value = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value.get("chat_template")
