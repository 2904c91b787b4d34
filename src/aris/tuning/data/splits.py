"""Splits by the names of files, or by group: all examples of a patient lie on one side, the same side every time."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeVar

from aris.errors import DataError
from aris.tuning.data.examples import Grouped

AnyExample = TypeVar("AnyExample", bound=Grouped)
Split = Literal["train", "validation", "test"]
# Words in the names of files and folders, as data sets on the Hugging Face hub have them.
_WORDS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation", "heldout", "holdout"),
}


def split_of(path: Path) -> Split | None:
    """Read the split that a file's name says in a word of its own ("val", "chest-test-1"), or a folder's whole name.

    Returns:
        None if it names none.

    Raises:
        DataError: it names two.
    """
    name = path.name.removesuffix(path.suffix).lower()
    words = {path.name.lower()} if path.is_dir() else set(re.split(r"[^a-z]+", name))
    named = [split for split, known in _WORDS.items() if words & set(known)]
    if len(named) > 1:
        raise DataError(f"{path}: its name says {' and '.join(named)}; say one split")
    return named[0] if named else None


def split_by_group(
    examples: Sequence[AnyExample], share: float, seed: int = 0
) -> tuple[list[AnyExample], list[AnyExample]]:
    """Split examples into (training, validation): about `share` of the groups are validated on.

    A group's side depends on its name and the seed alone, so it stays when examples are added. An example without a
    group is a group of its own.

    Raises:
        DataError: the share is not between 0 and 1, or one side is empty.
    """
    if not 0 < share < 1:
        raise DataError("split: the share for validation must lie between 0 and 1")
    train: list[AnyExample] = []
    validation: list[AnyExample] = []
    for index, example in enumerate(examples):
        name = f"group {example.group}" if example.group else f"row {index}"
        digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
        fraction = int.from_bytes(digest[:8], "big") / 2**64
        (validation if fraction < share else train).append(example)
    if not train or not validation:
        raise DataError(f"split: {len(examples)} rows leave one side empty; give more groups, or a validation file")
    return train, validation
