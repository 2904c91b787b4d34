"""Entries of a checkpoint of any format: named tensors, read one at a time, and the tokenizer's source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from aris.model import Codes


@dataclass(frozen=True)
class Entry:
    """A tensor of a checkpoint.

    Attributes:
        name: the parameter's name in `MedGemma`.
        shape: of that parameter.
        read: gives its values in a dtype, on the CPU; a view of the mapped file where the dtype is the file's own.
        dtype: the file's, where it holds plain numbers.
        codes: gives the matrix as it is stored, where the file holds one of our formats of 8 or 4 bits.
        blocks: gives the matrix as int8 codes in groups of 32 columns, where the file's own format is quantised
            and such lose nothing, or next to nothing.
        release: lets go of the mapped file's pages, once what was read is not used any more.
    """

    name: str
    shape: tuple[int, ...]
    read: Callable[[torch.dtype], Tensor]
    dtype: torch.dtype | None = None
    codes: Callable[[], Codes] | None = None
    release: Callable[[], None] = lambda: None
    blocks: Callable[[], Codes] | None = None


@dataclass(frozen=True)
class TokenizerSource:
    """Source of the tokenizer: a `tokenizer.json`, or a GGUF vocabulary (tokens, scores, types).

    `chat_template` is the one in a GGUF file's metadata, "" without; a folder has it in files of its own.
    """

    path: Path | None = None
    vocabulary: tuple[list[str], list[float], list[int]] | None = None
    chat_template: str = ""
