"""The examples that `aris-nano`'s decoder is trained on, from the data folders that allow it.

Held-out examples never enter: each reader takes the training or validation split by name, and a test checks the result.
"""

from __future__ import annotations

import csv
import gzip
import json
import random
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aris.errors import DataError
from aris.tuning.data.examples import Example
from aris.tuning.nano import negatives
from aris.tuning.nano.films import CLASSES, FilmBank, load_films
from aris.tuning.nano.looks import Looks
from aris.tuning.nano.questions import other_words, settled
from aris.tuning.nano.reports import Scored, report
from aris.tuning.nano.studies import study

SIZE = 224
FINDING_QUESTION = "Is there {finding} in this chest X-ray? Answer yes or no."
GATE_QUESTION = "Is this a frontal chest X-ray? Answer yes or no."
NORMAL_QUESTION = "Is this chest X-ray normal or abnormal? Answer normal or abnormal."
DRAFT_PROMPT = "Describe this X-ray.\nScored findings: pneumonia {scored}."
# NIH findings with enough films to learn from; the words are those of the question.
_NIH_FINDINGS = {"Effusion": "pleural effusion", "Cardiomegaly": "cardiomegaly", "Atelectasis": "atelectasis"}


# Of sixteen films, the ones that are spoilt for the gate, and how.
_SPOILT = {0: negatives.shuffled, 5: negatives.turned, 11: negatives.enlarged}


@dataclass
class Corpus:
    """Examples and the images that they point to.

    Attributes:
        train, validation: examples.
        images: (N, 224, 224) uint8.
        sided: (N,) bool, images of questions that may ask for a side: never to be mirrored.
    """

    train: list[Example]
    validation: list[Example]
    images: Tensor
    sided: Tensor


def gate_images(data: Path, split: str, seed: int) -> tuple[Tensor, list[bool]]:
    """Collect images of a split for the gate, uint8 (N, 224, 224), and whether each is a frontal chest film.

    Adult films, other radiology images, and 90 made images of the kinds that training uses.
    """
    images = _Images()
    examples = [each for each in (*_nih(data, split, images), *_vqa(data, split, images)) if each.task == "gate"]
    made = negatives.generate(negatives.TRAINING, 90, seed=seed)
    examples += [Example("gate", GATE_QUESTION, "No", images.add(image)) for image in made]
    chosen = [images.images[each.image] for each in examples if each.image is not None]
    return torch.from_numpy(np.stack(chosen)), [each.answer == "Yes" for each in examples]


class _Images:
    """A collection of images by index."""

    def __init__(self) -> None:
        self.images: list[np.ndarray] = []

    def add(self, image: np.ndarray) -> int:
        self.images.append(image)
        return len(self.images) - 1

    def read(self, path: Path) -> int:
        try:
            with Image.open(path) as image:
                return self.add(np.asarray(image.convert("L").resize((SIZE, SIZE), Image.Resampling.BILINEAR)))
        except OSError:
            raise DataError(f"{path}: not a readable image; get the data folder again") from None


def build(data: Path, seed: int = 0, drafts_per_film: int = 12, studies: int = 12_000) -> Corpus:
    """Read the folders under `data` and build the examples.

    Raises:
        DataError: a folder or file is missing.
    """
    source = random.Random(seed)
    images = _Images()
    train: list[Example] = []
    validation: list[Example] = []
    looks = Looks.of(load_films(data / "chest_pediatric", "train", SIZE).images)
    for split, examples in (("train", train), ("validation", validation)):
        drafts = drafts_per_film if split == "train" else 1
        examples += _pediatric(load_films(data / "chest_pediatric", split, SIZE), looks, images, source, drafts)
        examples += _nih(data, split, images)
        examples += _vqa(data, split, images)
        count, first = (720, 1) if split == "train" else (90, 2)
        for image in negatives.generate(negatives.TRAINING, count, seed=first):
            examples.append(Example("gate", GATE_QUESTION, "No", images.add(image)))
    for example, one_in in [*((each, 40) for each in _medquad(data)), *((each, 10) for each in _pubmedqa(data))]:
        # By group, so that no topic is in both; by its name, so that an example keeps its split when others come or go.
        (validation if zlib.crc32(example.group.encode()) % one_in == 0 else train).append(example)
    for number in range(studies):
        question, contexts, decision = study(random.Random(f"{seed} study {number}"))
        example = Example("study", study_prompt(question, contexts), decision.capitalize(), None, f"study {number}")
        (validation if number % 60 == 0 else train).append(example)
    asked = {each.image for each in (*train, *validation) if each.task.startswith("vqa")}
    sided = torch.tensor([index in asked for index in range(len(images.images))])
    return Corpus(train, validation, torch.from_numpy(np.stack(images.images)), sided)


def _pediatric(
    films: FilmBank, looks: Looks, images: _Images, source: random.Random, drafts: int
) -> Iterator[Example]:
    each = zip(films.images.numpy(), films.classes.tolist(), films.patients, looks.bits(films.images), strict=True)
    for number, (film, index, patient, look) in enumerate(each):
        image, label = images.add(film), CLASSES[index]
        sick = index > 0
        question = FINDING_QUESTION.format(finding="pneumonia")
        yield Example("pneumonia", question, "Yes" if sick else "No", image, patient)
        yield Example("normal", NORMAL_QUESTION, "Abnormal" if sick else "Normal", image, patient)
        yield Example("gate", GATE_QUESTION, "Yes", image, patient)
        # Some films made unreadable in turn. One on its side or head is refused too: no score has been validated on it,
        # and the augmentation that shows films as they are hung turns by a few degrees only.
        spoil = _SPOILT.get(number % 16)
        if spoil is not None:
            yield Example("gate", GATE_QUESTION, "No", images.add(spoil(film, number)), patient)
        for _ in range(drafts):
            scored: Scored = "present" if sick else "not seen"
            chance = source.random()
            if chance < 0.1:
                scored = "uncertain"
            elif chance < 0.2:  # the score decides, also where it is wrong
                scored = "not seen" if sick else "present"
            text = report(label, scored, source, look)
            yield Example("draft", DRAFT_PROMPT.format(scored=scored), text, image, patient)


def _nih(data: Path, split: str, images: _Images) -> Iterator[Example]:
    folder = data / "chest_nih64"
    for row in _table(folder / "labels.csv"):
        if row["split"] != split:
            continue
        image = images.read(folder / "images" / row["image"])
        found = set(row["findings"].split("|"))
        group = f"nih {row['patient']}"
        yield Example("gate", GATE_QUESTION, "Yes", image, group)
        normal = found == {"No Finding"}
        yield Example("normal nih", NORMAL_QUESTION, "Normal" if normal else "Abnormal", image, group)
        for name, words in _NIH_FINDINGS.items():
            if name in found or normal:
                answer = "Yes" if name in found else "No"
                yield Example("findings nih", FINDING_QUESTION.format(finding=words), answer, image, group)


def _vqa(data: Path, split: str, images: _Images) -> Iterator[Example]:
    folder = data / "vqa_rad"
    known: dict[str, int] = {}
    by_image: dict[str, list[dict[str, str]]] = {}
    for item in _lines(folder / f"{split}.jsonl"):
        name = item["image"]
        if name not in known:
            known[name] = images.read(folder / name)
            if item["organ"] in ("HEAD", "ABD"):
                yield Example("gate", GATE_QUESTION, "No", known[name], f"vqa {name}")
        answer = re.sub(r"\s+", " ", str(item["answer"])).strip()
        if not answer:
            continue
        by_image.setdefault(name, []).append(item)
        task = "vqa closed" if item["answer_type"] == "CLOSED" else "vqa open"
        question, answer = item["question"].strip(), answer[0].upper() + answer[1:]
        yield Example(task, question, answer, known[name], f"vqa {name}")
        if task == "vqa closed":
            for other, reply in other_words(question, answer):
                yield Example("vqa other words", other, reply, known[name], f"vqa {name}")
    for name, items in by_image.items():
        asked = [(item["question"], item["question_type"], str(item["answer"])) for item in items]
        for question, reply in settled(items[0]["organ"], asked):
            yield Example("vqa settled", question, reply, known[name], f"vqa {name}")


def _medquad(data: Path) -> Iterator[Example]:
    path = data / "medquad" / "medquad.jsonl.gz"
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            items = [json.loads(line) for line in file]
    except OSError:
        raise DataError(f"{path}: not readable; get the data folder again") from None
    # Answers that many topics share word for word: one of a held-out topic is held out too, others are taken once.
    seen = {("", _opening(item["answer"])) for item in items if item["split"] != "train"}
    for item in items:
        question, opening = item["question"].strip(), _opening(item["answer"])
        if item["split"] == "train" and opening and not {("", opening), (question, opening)} & seen:
            seen.add((question, opening))
            passage = _passage(item["answer"])
            if passage:
                yield Example("medquad", question, passage, group=f"topic {item['focus']}")


def _opening(answer: str, length: int = 300) -> str:
    """Return an answer's first characters, blanks aside, which tell it from others."""
    return re.sub(r"\s+", " ", answer).strip()[:length]


def _passage(answer: str, limit: int = 1600) -> str:
    """Return an answer, or its first whole sentences up to `limit` characters; "" if there are none."""
    text = answer.strip()
    if len(text) <= limit:
        return text
    ends = [match.end() for match in re.finditer(r"[.!?](?=\s)", text[: limit + 1])]
    return text[: ends[-1]] if ends else ""


def pubmedqa_prompt(question: str, contexts: list[str], limit: int = 1100) -> str:
    """Write a question on an abstract, cut to `limit` characters of context, as the first version was asked."""
    context = " ".join(contexts)
    if len(context) > limit:
        context = context[:limit].rsplit(" ", 1)[0] + " ..."
    return f"Context: {context}\nQuestion: {question.strip()}\nAnswer yes, no or maybe."


def study_prompt(question: str, contexts: list[str], limit: int = 2400) -> str:
    """Write a question on an abstract: before it, so that the abstract is read for it, and again after it.

    The start of an abstract over `limit` characters is left out: its end holds the results.
    """
    context = " ".join(contexts)
    if len(context) > limit:
        context = "... " + context[-limit:].split(" ", 1)[-1]
    question = question.strip()
    return f"Question: {question}\nStudy: {context}\nQuestion: {question}\nAnswer yes, no or maybe."


def _pubmedqa(data: Path) -> Iterator[Example]:
    folder = data / "pubmedqa"
    questions = _json(folder / "ori_pqal.json")
    held_out = set(_json(folder / "test_ground_truth.json"))
    for pmid, item in questions.items():
        if pmid in held_out:
            continue
        question, contexts, conclusion = item["QUESTION"], item["CONTEXTS"], item["LONG_ANSWER"].strip()
        answer, group = item["final_decision"].capitalize(), f"pmid {pmid}"
        yield Example("pubmedqa", study_prompt(question, contexts), answer, None, group)
        # The same question on parts of the abstract that hold the answer, and the authors' own words for it.
        for parts in (contexts[-1:], [conclusion], [*contexts[-1:], conclusion]):
            yield Example("pubmedqa parts", study_prompt(question, parts), answer, None, group)
        asked = study_prompt(question, contexts).rsplit("\n", 1)[0]
        yield Example("conclusion", f"{asked}\nWhat do the authors conclude?", conclusion, None, group)


def _table(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    except OSError:
        raise DataError(f"{path}: not found; give the data folder with --data") from None


def _lines(path: Path) -> list[dict[str, str]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError:
        raise DataError(f"{path}: not found; give the data folder with --data") from None


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise DataError(f"{path}: not found; give the data folder with --data") from None
