"""Files that may show or name a patient: whole or not there at all, and for their owner alone."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_private(path: Path, data: bytes) -> None:
    """Write a file, replacing one that is there.

    Raises:
        OSError: it cannot be written; nothing of it is left behind.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".aris-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
