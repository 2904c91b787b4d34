"""DICOM files as datasets. Light: a node that only passes objects on loads no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aris.errors import ExchangeError
from aris.imaging.sources import FileSource
from aris.regular import read_regular
from aris.store.objects import parse


def read_header(path: str | Path | FileSource, *, pixels: bool = False) -> Any:
    """A DICOM file's dataset.

    Args:
        path: of a file, or a member of an archive.
        pixels: read them too.

    Raises:
        ExchangeError: it is not there.
        ImageError: it cannot be read from its archive.
        StoreError: it is not DICOM, or damaged.
    """
    if isinstance(path, FileSource):
        return parse(path.read(), path.name, pixels=pixels)
    try:
        return parse(read_regular(path), str(path), pixels=pixels)
    except OSError as error:
        raise ExchangeError(f"{path}: cannot be read ({error.strerror or 'the path is not valid'})") from None
