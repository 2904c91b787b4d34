"""Images of the other kinds, for telling the kind of an image: CT, MR, other radiographs, and none of these."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aris.errors import DataError
from aris.tuning.nano import negatives
from aris.tuning.nano.questions import _MODALITIES
from aris.tuning.nano.subjects.tables import SUBJECTS, Subject, load

KINDS = ("chest film", "other film", "ct", "mr", "histology", "dermoscopy", "fundus", "none of these")
# The kind of each subject's own images.
KIND_OF = {"chest": "chest film", "colon": "histology", "skin": "dermoscopy", "fundus": "fundus"}


@dataclass(frozen=True)
class Extra:
    """Images of kinds that no subject has.

    Attributes:
        images: (N, S, S) uint8 grey, or (N, S, S, 3).
        classes: (N,) int64 into `KINDS`.
        colour: whether the images are colour ones.
    """

    images: Tensor
    classes: Tensor
    colour: bool


def extras(data: Path, split: str, size: int, made: int, seed: int) -> list[Extra]:
    """Collect CT slices, `vqa_rad`'s CT, MR and abdominal radiographs, and images of nothing; grey, then colour.

    Args:
        made: how many images of nothing there are in grey; a third as many in colour.
        seed: of the made images.

    Raises:
        DataError: a folder or file is missing.
    """
    grey = _slices(data / "ct_slices", split, size) + _vqa(data / "vqa_rad", split, size)
    none = KINDS.index("none of these")
    shapes = negatives.TRAINING if split == "train" else negatives.HELD_OUT
    grey += [(image, none) for image in negatives.generate(shapes, made, seed, size)]
    grey += [(image, none) for image in _spoilt(load(data, _films_only(), split, size).images, made // 2, seed)]
    r = np.random.default_rng(seed)
    tinted = [_tinted(image, r) for image in negatives.generate(shapes, made // 3, seed + 1, size)]
    return [
        Extra(_stacked([image for image, _ in grey]), torch.tensor([kind for _, kind in grey]), False),
        Extra(_stacked(tinted), torch.full((len(tinted),), none), True),
    ]


def _films_only() -> Subject:
    chest = SUBJECTS["chest"]
    return Subject("chest", False, chest.heads, {"chest_adult": 1.0})


def _stacked(images: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(images))


def _read(path: Path, size: int) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L").resize((size, size), Image.Resampling.BICUBIC))
    except OSError:
        raise DataError(f"{path}: not a readable image; get the data folder again") from None


def _slices(folder: Path, split: str, size: int) -> list[tuple[np.ndarray, int]]:
    table = folder / "labels.csv"
    if not table.is_file():
        raise DataError(f"{table}: not found; give the folder that holds ct_slices")
    with table.open(newline="") as file:
        names = [row["image"] for row in csv.DictReader(file) if row["split"] == split]
    return [(_read(folder / "images" / name, size), KINDS.index("ct")) for name in names]


def _vqa(folder: Path, split: str, size: int) -> list[tuple[np.ndarray, int]]:
    """Read images whose questions about their modality name exactly one; chest radiographs are left out."""
    table = folder / f"{split}.jsonl"
    if not table.is_file():
        raise DataError(f"{table}: not found; give the folder that holds vqa_rad")
    known: dict[str, tuple[str, str]] = {}
    for line in table.read_text().splitlines():
        row = json.loads(line)
        organ, words = known.get(row["image"], (row["organ"], ""))
        if row["question_type"] == "MODALITY":
            answer = row["answer"].lower()
            words += f" {row['question'].lower() if answer == 'yes' else answer}"
        known[row["image"]] = (organ, words)
    out = []
    for name, (organ, words) in known.items():
        found = [kind for kind, pattern in _MODALITIES.items() if re.search(pattern, words)]
        if len(found) != 1 or (found[0] == "X-ray" and organ == "CHEST"):
            continue
        kind = {"CT": "ct", "MRI": "mr", "X-ray": "other film"}[found[0]]
        out.append((_read(folder / name, size), KINDS.index(kind)))
    return out


def _spoilt(films: Tensor, count: int, seed: int) -> list[np.ndarray]:
    """Make details, shuffled tiles and turned films: the texture of a film without its anatomy."""
    ways = (negatives.enlarged, negatives.shuffled, negatives.turned)
    r = np.random.default_rng(seed)
    chosen = r.integers(0, len(films), count)
    return [ways[at % 3](films[int(which)].numpy(), seed + at) for at, which in enumerate(chosen)]


def _tinted(image: np.ndarray, r: np.random.Generator) -> np.ndarray:
    """Colour a grey image between two random colours."""
    dark, light = r.uniform(0, 160, 3), r.uniform(90, 255, 3)
    level = image[..., None] / 255.0
    return np.rint(dark * (1 - level) + light * level).astype(np.uint8)
