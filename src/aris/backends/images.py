"""An image file as a part of a message."""

from __future__ import annotations

from pathlib import Path

from aris.imaging import read_film
from aris.prompting import Image


def image(path: str | Path) -> Image:
    """Read an image file (DICOM, PNG, JPEG, WebP, TIFF) as a part for `aris.user`.

    Raises:
        ImageError: the file is missing, damaged, or not an image.
    """
    return Image(read_film(path).pixels)
