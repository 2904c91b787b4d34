"""Splits by group: all rows of one patient lie on one side, the same side every time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

from aris.errors import DataError
from aris.tuning.rows import Grouped

AnyRow = TypeVar("AnyRow", bound=Grouped)


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
