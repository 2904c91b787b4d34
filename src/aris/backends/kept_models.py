"""Models kept in the user's cache in the form in which they run, so that the next command only maps them.

A key covers the contents of the model's files, the settings, and the code that turns files into weights: an entry is
never of another model, and a changed file or another version of Aris makes a new one.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
from torch import Tensor

from aris.checkpoints import cache, registry
from aris.checkpoints.cache import Array, CacheEntry
from aris.checkpoints.checkpoint import Checkpoint, read_json
from aris.checkpoints.sources import files_beside, source_files
from aris.engine.stored_model import describe, rebuild
from aris.errors import CheckpointError
from aris.model import MedGemma
from aris.prompting import Tokenizer
from aris.prompting.mapped_tokenizer import FORMAT as TABLES_FORMAT
from aris.prompting.mapped_tokenizer import MappedTokenizer, tables

# Folders and files of this package whose code decides what is kept.
_CODE = ("checkpoints", "model", "kernels/cpu", "engine/runners/cpu.py", "engine/stored_model.py", "prompting")


@dataclass(frozen=True)
class KeptModel:
    """A model from the cache, with what else `load` takes from a checkpoint."""

    name: str
    model: MedGemma
    spec: registry.ModelSpec | None
    calibration: dict[str, Any]
    processor: dict[str, Any]
    tuned: bool


@dataclass(frozen=True)
class Keys:
    """Names of a model's entries; None where nothing is kept."""

    model: str | None = None
    tokenizer: str | None = None


def keys(
    name: str,
    *,
    revision: str | None,
    settings: dict[str, Any],
    weights: bool,
    mmproj: str | Path | None = None,
) -> Keys:
    """The keys under which a model and its tokenizer are kept.

    Args:
        name, revision, mmproj: as for `load`.
        settings: whatever else changes the weights.
        weights: whether weights may be kept at all; dense ones of a Hugging Face folder never are: they are mapped as
            they are.
    """
    if cache.folder() is None:
        return Keys()
    try:
        files = source_files(name, revision=revision, mmproj=mmproj)
        of_tokenizer = [path for path in files if path.name == "tokenizer.json"] or list(files)
        tokenizer = _key("tokenizer", cache.content_digest(of_tokenizer), TABLES_FORMAT, tokenizers.__version__)
        if not (weights and _costs(files, settings)):
            return Keys(None, tokenizer)
        # A change of what lies beside may change which of them is read.
        beside = [cache.state_of(path) for path in files_beside(name)]
        facts = [beside, [path.name for path in files], cache.content_digest(files), settings, torch.__version__]
        # The name is a part of it: what a named model is for is no property of its files.
        return Keys(_key("model", name, *facts), tokenizer)
    except (CheckpointError, OSError):  # said where the model is opened
        return Keys()


def _costs(files: tuple[Path, ...], settings: dict[str, Any]) -> bool:
    """Return whether these files are not what runs: read by blocks, rounded, or packed."""
    if settings["quantize"] in ("int8", "int4") or any(".gguf" in path.name.lower() for path in files):
        return True
    config = next((path for path in files if path.name == "config.json"), None)
    coded = config is not None and "quantization_config" in read_json(config)
    return coded and bool(settings["compiled"]) and settings["quantize"] is None


def find_model(key: str | None) -> KeptModel | None:
    """A kept model, on the mapped memory; None if there is none."""
    entry = None if key is None else cache.read(key)
    if entry is None:
        return None
    about = entry.meta
    try:
        model = rebuild(about["model"], _tensors(entry), frozenset(entry.arrays))
        spec = None if about["spec"] is None else registry.find(about["spec"])
        return KeptModel(about["name"], model, spec, about["calibration"], about["processor"], about["tuned"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError):
        return None


def keep_model(key: str | None, checkpoint: Checkpoint, model: MedGemma) -> None:
    """Keep a model that an engine was made on; nothing happens where that cannot be."""
    if key is None:
        return
    try:
        about, tensors = describe(model)
        rebuild(about, tensors.__getitem__, frozenset(tensors))  # what cannot be read back is not worth writing
        arrays = {name: _array(tensor) for name, tensor in tensors.items()}
        meta = {
            "what": Path(checkpoint.name).name,
            "name": checkpoint.name,
            "model": about,
            "spec": None if checkpoint.spec is None else checkpoint.spec.name,
            "calibration": checkpoint.calibration,
            "processor": checkpoint.processor,
            "tuned": checkpoint.tuned,
        }
        cache.write(key, meta, arrays)
    except (TypeError, ValueError, RuntimeError):  # of a form that is not kept
        return


def find_tokenizer(key: str | None) -> Tokenizer | None:
    """A kept tokenizer; None if there is none."""
    entry = None if key is None else cache.read(key)
    if entry is None:
        return None
    try:
        given = {name: _numbers(array) for name, array in entry.arrays.items()}
        return Tokenizer(MappedTokenizer(given))
    except (CheckpointError, KeyError, TypeError, ValueError, IndexError):
        return None


def keep_tokenizer(key: str | None, tokenizer: Tokenizer, name: str) -> None:
    """Keep a tokenizer's tables, if it is of the form that has such."""
    if key is None:
        return
    made = tables(tokenizer.to_json())
    if made is not None:
        arrays = {name: Array(each.view(np.uint8), str(each.dtype), each.shape) for name, each in made.items()}
        cache.write(key, {"what": f"{Path(name).name}, tokenizer"}, arrays)


def _key(*parts: Any) -> str:
    whole = json.dumps([_code(), *parts], sort_keys=True, default=str)
    return hashlib.sha256(whole.encode()).hexdigest()[:40]


@functools.cache
def _code() -> str:
    """The digest of the code that decides what is kept."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for part in _CODE:
        location = package / part
        paths = [location] if location.is_file() else sorted(location.rglob("*"))
        for path in paths:
            if path.suffix in (".py", ".h"):
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _array(tensor: Tensor) -> Array:
    flat = tensor.detach().contiguous().reshape(-1)
    kind = str(tensor.dtype).removeprefix("torch.")
    return Array(flat.view(torch.uint8).numpy(), kind, tuple(tensor.shape))


def _tensors(entry: CacheEntry) -> Callable[[str], Tensor]:
    def give(name: str) -> Tensor:
        array = entry.arrays[name]
        kind = getattr(torch, array.dtype)
        if array.data.size == 0:
            return torch.zeros(array.shape, dtype=kind)
        return torch.frombuffer(array.data, dtype=kind).view(array.shape)

    return give


def _numbers(array: Array) -> np.ndarray[Any, np.dtype[Any]]:
    return array.data.view(np.dtype(array.dtype)).reshape(array.shape)
