"""Images that anything can learn to tell apart: dark and bright ones, by turns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image


def dark_and_bright(folder: Path, count: int) -> Iterator[tuple[int, int]]:
    """Save `folder/{number}.png` (20 x 30) for each number below `count`, and give it and whether it is bright."""
    for number in range(count):
        bright = number % 2
        Image.fromarray(np.full((20, 30, 3), 40 + 170 * bright, np.uint8)).save(folder / f"{number}.png")
        yield number, bright
