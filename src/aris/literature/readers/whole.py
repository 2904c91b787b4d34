"""Files of a format that is read at once, up to a size."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from aris.errors import LiteratureError

_MOST_WHOLE = 256 << 20


def read_whole(file: IO[bytes], path: Path) -> bytes:
    """The rest of a file.

    Raises:
        LiteratureError: it is larger than such a file can be.
    """
    data = file.read(_MOST_WHOLE + 1)
    if len(data) > _MOST_WHOLE:
        raise LiteratureError(f"{path}: larger than {_MOST_WHOLE >> 20} MiB; split it")
    return data
