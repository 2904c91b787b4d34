"""Images in a folder for each class, as data sets of patches and photographs come: examples by a recipe's question.

    NCT-CRC-HE-100K/ADI/ADI-AAAFLCLY.tif, ...      or      data/train/ADI/..., data/validation/ADI/...
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from aris.errors import DataError
from aris.tuning.data.examples import Conversation, Turn
from aris.tuning.data.images import ImageBank

SUFFIXES = (".dcm", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")


@dataclass(frozen=True)
class Labels:
    """The question about each image, and the answer by its folder.

    Attributes:
        question: follows the image, as the model is asked later.
        answers: by name of folder.
        task: of the examples.
        max_examples: as evenly from the classes as they have images; 0: all. The same ones each time, by their names.
    """

    question: str
    answers: dict[str, str]
    task: str
    max_examples: int = 0


@dataclass(frozen=True)
class BadImage:
    """A file that makes no example, and why."""

    file: Path
    reason: str


def read_image_folder(
    folder: Path, bank: ImageBank, labels: Labels | None
) -> tuple[list[Conversation], list[BadImage]]:
    """Read the examples of the class folders in `folder`, and list the bad files, in order of name.

    Raises:
        DataError: the recipe has no question for images in folders.
    """
    if labels is None or not labels.answers:
        raise DataError(
            f"{folder}: holds folders of images, and the recipe has no question for them; set folder_question and "
            "folders (an answer by name of folder), or give a .jsonl or .parquet file"
        )
    examples: list[Conversation] = []
    bad: list[BadImage] = []
    for group in sorted(each for each in folder.iterdir() if each.is_dir()):
        if group.name not in labels.answers:
            known = ", ".join(labels.answers)
            bad.append(BadImage(group, f"a folder that the recipe has no answer for; it has {known:.200}"))
            continue
        files = sorted(each for each in group.iterdir() if not each.name.startswith("."))
        if labels.max_examples:
            drawn = sorted(files, key=lambda file: hashlib.sha256(file.name.encode()).digest())
            files = sorted(drawn[: -(-labels.max_examples // len(labels.answers))])
        for file in files:
            if file.suffix.lower() not in SUFFIXES:
                bad.append(BadImage(file, "not an image"))
                continue
            try:
                image = bank.add(file)
            except (OSError, ValueError) as error:
                why = f" ({error})" if isinstance(error, OSError) and error.errno is None else ""
                bad.append(BadImage(file, f"not a readable image{why}"))
                continue
            answer = Turn("assistant", (labels.answers[group.name],))
            examples.append(Conversation(labels.task, (Turn("user", (image, labels.question)), answer)))
    return examples, bad
