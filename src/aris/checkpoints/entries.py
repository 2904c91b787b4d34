"""What every checkpoint format gives: named tensors that are read one at a time, and where the tokenizer is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor


@dataclass(frozen=True)
class Entry:
    """A tensor of a checkpoint.

    Attributes:
        name: the parameter's name in `MedGemma`.
        shape: of that parameter.
        read: gives its values in a dtype, on the CPU; a view of the mapped file where the dtype is the file's own.
    """

    name: str
    shape: tuple[int, ...]
    read: Callable[[torch.dtype], Tensor]


@dataclass(frozen=True)
class TokenizerSource:
    """Where the tokenizer comes from: a `tokenizer.json`, or a GGUF vocabulary (tokens, scores, types)."""

    path: Path | None = None
    vocabulary: tuple[list[str], list[float], list[int]] | None = None
