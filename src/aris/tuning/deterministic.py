"""Reproducible runs: a digest of all that a curve follows from, and kernels that add up in one order."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from aris.model import MedGemma
from aris.tuning.data.examples import TokenizedExample
from aris.tuning.recipe import RENAMED, Recipe

# Settings that change what a step costs, and its result by no more than rounding.
_COST_ONLY = ("cache_tower", "offload_activations", "shard")


def fingerprint(recipe: Recipe, train: Sequence[TokenizedExample], validation: Sequence[TokenizedExample]) -> str:
    """Compute a digest that changes when anything does that would change the curve.

    A setting at its default is left out and a renamed one has its first name, so that a state outlives versions.
    """
    settings = {}
    first_names = {new: old for old, new in RENAMED.items()}
    for each in dataclasses.fields(recipe):
        value = getattr(recipe, each.name)
        default = each.default if each.default_factory is dataclasses.MISSING else each.default_factory()
        if value != default and each.name not in _COST_ONLY:
            settings[first_names.get(each.name, each.name)] = value
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for row in [*train, *validation]:
        digest.update(repr((row.task, row.spans(), row.all_images(), row.weight)).encode())
        digest.update(np.asarray(row.token_ids, dtype=np.int32).tobytes())
    return digest.hexdigest()


def inputs_of(model: MedGemma, images: Sequence[str]) -> str:
    """Compute a digest of the base and the images: the inputs of a curve beside its recipe and examples.

    Args:
        model: the base, before anything was put on it; of each of its tensors some values count.
        images: a digest of each, in order of their indices.
    """
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        flat = value.detach().flatten()
        some = flat[:: max(1, len(flat) // 64)][:64].cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode() + some.view(torch.uint8).numpy().tobytes())
    digest.update(" ".join(images).encode())
    return digest.hexdigest()


@contextlib.contextmanager
def deterministic_kernels() -> Iterator[None]:
    """Use kernels that give the same sums in every run; where there is none, PyTorch warns."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by cuBLAS at its first product
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False  # costs time, and everything is written before it is read
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        memory.fill_uninitialized_memory = fill
