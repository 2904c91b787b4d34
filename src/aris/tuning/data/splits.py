"""Splits, by the names of files, or by group: all rows of one patient lie on one side, the same side every time."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeVar

from aris.errors import DataError
from aris.tuning.data.rows import Grouped

AnyRow = TypeVar("AnyRow", bound=Grouped)
Split = Literal["train", "validation", "test"]
# Words in the names of files and folders, as data sets on the Hugging Face hub have them.
_WORDS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation", "heldout", "holdout"),
}


def split_of(path: Path) -> Split | None:
    """Which split a file's name says in a word of its own ("val", "chest-test-1"), or a folder's whole name.

    Returns:
        None if it says none.

    Raises:
        DataError: it says two.
    """
    name = path.name.removesuffix(path.suffix).lower()
    words = {path.name.lower()} if path.is_dir() else set(re.split(r"[^a-z]+", name))
    said = [split for split, known in _WORDS.items() if words & set(known)]
    if len(said) > 1:
        raise DataError(f"{path}: its name says {' and '.join(said)}; say one split")
    return said[0] if said else None


def split_by_group(rows: Sequence[AnyRow], share: float, seed: int = 0) -> tuple[list[AnyRow], list[AnyRow]]:
    """Rows to (training, validation): about `share` of the groups are validated on; a row without one is its own.

    Whether a group is validated on depends on its name and the seed alone, so it stays where it was when rows are
    added.

    Raises:
        DataError: the share is not between 0 and 1, or one side is empty.
    """
    if not 0 < share < 1:
        raise DataError("split: the share for validation must lie between 0 and 1")
    train: list[AnyRow] = []
    validation: list[AnyRow] = []
    for index, row in enumerate(rows):
        name = f"group {row.group}" if row.group else f"row {index}"
        digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64
        (validation if place < share else train).append(row)
    if not train or not validation:
        raise DataError(f"split: {len(rows)} rows leave one side empty; give more groups, or a validation file")
    return train, validation
