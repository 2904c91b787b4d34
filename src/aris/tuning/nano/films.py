"""Chest films as a bank of pixels with labels, for training and evaluating the vision tower."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aris.errors import DataError

# The classes of `chest_pediatric`; an index into them is a film's class.
CLASSES = ("normal", "bacterial pneumonia", "viral pneumonia")


@dataclass(frozen=True)
class FilmBank:
    """Films of one split.

    Attributes:
        images: (N, size, size) uint8.
        classes: (N,) int64 into `CLASSES`.
        names, patients: as in the data's table.
    """

    images: Tensor
    classes: Tensor
    names: list[str]
    patients: list[str]

    def subset(self, keep: Sequence[int]) -> FilmBank:
        """Select the films at these indices."""
        index = torch.tensor(list(keep), dtype=torch.int64)
        return FilmBank(
            self.images[index],
            self.classes[index],
            [self.names[i] for i in keep],
            [self.patients[i] for i in keep],
        )


def load_films(folder: Path, split: str, size: int = 224, limit: int | None = None) -> FilmBank:
    """Read the films of a split of `chest_pediatric`: "train", "validation", or the held-out "test".

    Raises:
        DataError: the folder or its table is missing, or names a film that is not there.
    """
    table = folder / "labels.csv"
    if not table.is_file():
        raise DataError(f"{table}: not found; give the folder that holds chest_pediatric")
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split][:limit]
    if not rows:
        raise DataError(f"{table}: no film of split {split!r}")

    def read(row: dict[str, str]) -> np.ndarray:
        path = folder / "images" / row["image"]
        try:
            with Image.open(path) as image:
                return np.asarray(image.convert("L").resize((size, size), Image.Resampling.BILINEAR))
        except OSError:
            raise DataError(f"{path}: listed in labels.csv but not a readable image") from None

    with ThreadPoolExecutor() as pool:
        images = list(pool.map(read, rows))
    return FilmBank(
        torch.from_numpy(np.stack(images)),
        torch.tensor([CLASSES.index(row["label"]) for row in rows]),
        [row["image"] for row in rows],
        [row["patient"] for row in rows],
    )
