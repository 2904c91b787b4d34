"""Images in a folder for each class, as data sets of patches and photographs come: rows by a recipe's question.

    NCT-CRC-HE-100K/ADI/ADI-AAAFLCLY.tif, ...      or      data/train/ADI/..., data/validation/ADI/...
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from aris.errors import DataError
from aris.tuning.data.images import PictureBank
from aris.tuning.data.rows import Conversation, Turn

SUFFIXES = (".dcm", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")


@dataclass(frozen=True)
class Labels:
    """What is asked of each image, and what the answer is by its folder.

    Attributes:
        question: follows the image, as the model is asked later.
        answers: by name of folder.
        task: of the rows.
        most_rows: as evenly from the classes as they have images; 0: all. The same ones each time, by their names.
    """

    question: str
    answers: dict[str, str]
    task: str
    most_rows: int = 0


@dataclass(frozen=True)
class BadImage:
    """A file that makes no row, and why."""

    file: Path
    reason: str


def read_image_folder(
    folder: Path, pictures: PictureBank, labels: Labels | None
) -> tuple[list[Conversation], list[BadImage]]:
    """The rows of the class folders in `folder`, and what is wrong, in order of name.

    Raises:
        DataError: the recipe has no question for images in folders.
    """
    if labels is None or not labels.answers:
        raise DataError(
            f"{folder}: holds folders of images, and the recipe has no question for them; set folder_question and "
            "folders (an answer by name of folder), or give a .jsonl or .parquet file"
        )
    rows: list[Conversation] = []
    bad: list[BadImage] = []
    for group in sorted(each for each in folder.iterdir() if each.is_dir()):
        if group.name not in labels.answers:
            known = ", ".join(labels.answers)
            bad.append(BadImage(group, f"a folder that the recipe has no answer for; it has {known:.200}"))
            continue
        files = sorted(each for each in group.iterdir() if not each.name.startswith("."))
        if labels.most_rows:
            drawn = sorted(files, key=lambda file: hashlib.sha256(file.name.encode()).digest())
            files = sorted(drawn[: -(-labels.most_rows // len(labels.answers))])
        for file in files:
            if file.suffix.lower() not in SUFFIXES:
                bad.append(BadImage(file, "not an image"))
                continue
            try:
                picture = pictures.add(file)
            except (OSError, ValueError) as error:
                why = f" ({error})" if isinstance(error, OSError) and error.errno is None else ""
                bad.append(BadImage(file, f"not a readable image{why}"))
                continue
            answer = Turn("assistant", (labels.answers[group.name],))
            rows.append(Conversation(labels.task, (Turn("user", (picture, labels.question)), answer)))
    return rows, bad
