"""All vectors of a library in one file beside its database, so that a process maps them into memory and reads no rows.

It is a copy: where it is missing, damaged or of another state of the library, it is made anew from the database.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from aris.literature.encoder import Vectors
from aris.private import write_private

NAME = "vectors.f16"
_MAGIC = b"aris vectors 1\n"
_HEAD = 512  # bytes before the arrays: magic, a line of JSON, zeros
FEWEST = 2_000  # vectors; fewer are read from the database as quickly


def write_vectors(folder: Path, stamp: str, vectors: Any, numbers: Any, papers: Any) -> None:
    """Write the file for its owner alone. Where it cannot be written nothing happens: it only saves time.

    Args:
        stamp: of the state of the library that the vectors are of.
        vectors: float16 (N, width).
        numbers, papers: int64 (N,), of the passages and of their papers.
    """
    head = _MAGIC + json.dumps({"stamp": stamp, "count": len(numbers), "width": int(vectors.shape[1])}).encode() + b"\n"
    parts = (numbers.astype("<i8"), papers.astype("<i8"), vectors.astype("<f2"))
    try:
        write_private(folder / NAME, head.ljust(_HEAD, b"\0") + b"".join(each.tobytes() for each in parts))
    except OSError:
        return


def read_vectors(folder: Path, stamp: str) -> tuple[Vectors, Any, Any] | None:
    """Read what `write_vectors` wrote: float32 (N, width), numbers and papers; None where it is of another state."""
    path = folder / NAME
    try:
        if path.is_symlink() or (hasattr(os, "geteuid") and path.stat().st_uid != os.geteuid()):
            return None
        with path.open("rb") as file:
            head = file.read(_HEAD)
        if not head.startswith(_MAGIC):
            return None
        told = json.loads(head[len(_MAGIC) : head.index(b"\n", len(_MAGIC))])
        count, width = int(told["count"]), int(told["width"])
        if told["stamp"] != stamp or path.stat().st_size != _HEAD + count * (16 + 2 * width):
            return None
        whole = np.memmap(path, np.uint8, "r")
        ids = whole[_HEAD : _HEAD + 16 * count].view("<i8").reshape(2, count)
        halves = whole[_HEAD + 16 * count :].view("<f2").reshape(count, width)
        return halves.astype(np.float32), np.array(ids[0]), np.array(ids[1])
    except (OSError, ValueError, KeyError, TypeError):
        return None
