"""The labelled image sets, each as a bank of pixels with the targets of its heads.

A subject is a group of sets that one teacher learns: chest films, colon biopsies, dermoscopy, fundus photographs. A
head is one set of labels; an image without a label for a head has NaN there.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aris.errors import DataError

NIH_FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia",
    "Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax",
)  # fmt: skip
ANY_FINDING = "any finding"


@dataclass(frozen=True)
class Head:
    """A set of labels of one subject.

    Attributes:
        labels: their names, in the order of the scores.
        exclusive: exactly one label holds for an image (softmax); otherwise each holds or not (sigmoid).
    """

    labels: tuple[str, ...]
    exclusive: bool


@dataclass(frozen=True)
class Subject:
    """Image sets that one teacher learns.

    Attributes:
        name: "chest", "colon", "skin" or "fundus".
        colour: images keep red, green and blue; otherwise they are grey and equalised.
        heads: by name.
        shares: how often each data folder is drawn from, summing to 1.
    """

    name: str
    colour: bool
    heads: dict[str, Head]
    shares: dict[str, float]


SUBJECTS: dict[str, Subject] = {
    each.name: each
    for each in (
        Subject(
            "chest",
            False,
            {
                "child": Head(("normal", "bacterial pneumonia", "viral pneumonia"), True),
                "adult": Head((*NIH_FINDINGS, ANY_FINDING), False),
            },
            {"chest_pediatric": 0.35, "chest_adult": 0.5, "chest_nih64": 0.15},
        ),
        Subject(
            "colon",
            True,
            {
                "tissue": Head(
                    (
                        "adenocarcinoma", "high-grade intraepithelial neoplasia", "low-grade intraepithelial neoplasia",
                        "normal", "polyp", "serrated adenoma",
                    ),
                    True,
                )
            },
            {"colon_biopsy": 1.0},
        ),
        Subject(
            "skin",
            True,
            {"lesion": Head(("melanoma", "nevus", "seborrheic keratosis"), True)},
            {"skin_dermoscopy": 1.0},
        ),
        Subject(
            "fundus",
            True,
            {
                "grade": Head(
                    ("no diabetic retinopathy", "mild NPDR", "moderate NPDR", "severe NPDR", "proliferative DR"), True
                )
            },
            {"fundus_dr": 1.0},
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Bank:
    """Images of one split of a subject.

    Attributes:
        images: (N, S, S) uint8 grey, or (N, S, S, 3).
        targets: head -> (N, labels) float32, 0 or 1, NaN where the set does not say.
        weights: (N,) float32, how often an image is drawn; by set and by how rare its labels are.
        names: file names, for tables of errors.
        origins: what the set says of where a film came from, "" elsewhere.
    """

    images: Tensor
    targets: dict[str, Tensor]
    weights: Tensor
    names: list[str]
    origins: list[str]

    def to(self, device: str) -> Bank:
        """Copy the tensors to a device."""
        targets = {name: values.to(device) for name, values in self.targets.items()}
        return Bank(self.images.to(device), targets, self.weights.to(device), self.names, self.origins)

    def __len__(self) -> int:
        return len(self.names)


def load(data: Path, subject: Subject, split: str, size: int) -> Bank:
    """Read one split of all sets of a subject.

    `fundus_dr` has no validation split: a fifth of its training photographs, chosen by their names, is held out.

    Args:
        data: the folder that holds the sets.
        split: "train", "validation", or the held-out "test".
        size: side of the images in pixels; the aspect ratio is not kept.

    Raises:
        DataError: a folder or its table is missing, or names an image that is not there.
    """
    rows = [(name, row) for name in subject.shares for row in _rows(data / name, name, split)]
    with ThreadPoolExecutor() as pool:
        images = list(pool.map(lambda item: _pixels(data / item[0], item[1]["image"], subject.colour, size), rows))
    if not images:
        raise DataError(f"{data}: no image of split {split!r} for {subject.name}")
    targets = {
        name: torch.tensor([_target(folder, row, name, head) for folder, row in rows], dtype=torch.float32)
        for name, head in subject.heads.items()
    }
    return Bank(
        torch.from_numpy(np.stack(images)),
        targets,
        _weights(subject, [folder for folder, _ in rows], targets),
        [row["image"] for _, row in rows],
        [row.get("origin", "") for _, row in rows],
    )


def _rows(folder: Path, name: str, split: str) -> Iterator[dict[str, str]]:
    table = folder / "labels.csv"
    if not table.is_file():
        raise DataError(f"{table}: not found; give the folder that holds {name}")
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            if _split(name, row) == split and not row.get("note"):
                yield row


def _split(name: str, row: dict[str, str]) -> str:
    if name == "fundus_dr" and row["split"] == "train" and zlib.crc32(row["image"].encode()) % 5 == 0:
        return "validation"
    return row["split"]


def _pixels(folder: Path, name: str, colour: bool, size: int) -> np.ndarray:
    path = folder / "images" / name
    try:
        with Image.open(path) as image:
            wanted = image.convert("RGB" if colour else "L")
            return np.asarray(wanted.resize((size, size), Image.Resampling.BICUBIC))
    except OSError:
        raise DataError(f"{path}: listed in labels.csv but not a readable image") from None


def _target(folder: str, row: dict[str, str], name: str, head: Head) -> list[float]:
    """Return 0 or 1 for each label of a head; NaN for all where this set has no such labels."""
    if name == "adult" and folder in ("chest_adult", "chest_nih64"):
        found = set((row.get("label") or row["findings"]).split("|"))
        return [float(label in found) if label != ANY_FINDING else float(found != {"No Finding"})
                for label in head.labels]  # fmt: skip
    if (name == "child") != (folder == "chest_pediatric") or name == "adult":
        return [float("nan")] * len(head.labels)
    return [float(label == row["label"]) for label in head.labels]


def _weights(subject: Subject, folders: list[str], targets: dict[str, Tensor]) -> Tensor:
    """Draw each set as often as its share says, and inside it rare labels more: by the root of their frequency."""
    weights = torch.zeros(len(folders))
    for name, share in subject.shares.items():
        mine = torch.tensor([folder == name for folder in folders])
        if not bool(mine.any()):
            continue
        rarity = torch.ones(int(mine.sum()))
        for values in targets.values():
            known = values[mine]
            if bool(known.isnan().any()):
                continue
            scarce = (known.mean(0) + 1e-3) ** -0.5
            rarity = (known * scarce).amax(1).clamp(min=1.0)
        weights[mine] = rarity / rarity.sum() * share
    return weights
