"""Scores of one `aris-nano` folder on every example of a split, as `nano_versions.py` compares them."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PILImage

from aris.checkpoints import Checkpoint, load_model, open_nano
from aris.prompting import ImageProcessor, PromptProcessor, Tokenizer, user
from aris.prompting.messages import Image
from aris.tuning.data.examples import Example, tokenize
from aris.tuning.nano.calibrate import Scorer
from aris.tuning.nano.corpus import FINDING_QUESTION, GATE_QUESTION, pubmedqa_prompt, study_prompt
from aris.tuning.nano.films import load_films

Floats = npt.NDArray[np.float64]
PROMPTS = {"short": pubmedqa_prompt, "long": study_prompt}
MEDQUAD_ROWS, MEDQUAD_TOKENS = 300, 120


@dataclass(frozen=True)
class Question:
    """A question with given answers, about one image or none."""

    text: str
    truth: str
    group: str
    image: Image | None = None


class Nano:
    """A version, loaded: scores given answers and texts in batches, as one prompt at a time would."""

    def __init__(self, folder: Path | None, device: str) -> None:
        self.checkpoint: Checkpoint = open_nano(folder)
        vocabulary = self.checkpoint.tokenizer.vocabulary
        assert vocabulary is not None
        self.tokenizer = Tokenizer.from_gguf(*vocabulary)
        self.model = load_model(self.checkpoint, device=device)
        images = ImageProcessor.from_dict(self.checkpoint.processor)
        self.prompts = PromptProcessor(self.tokenizer, images, self.model.config.mm_tokens_per_image)
        self.films = Scorer(self.model, self.tokenizer)

    @torch.inference_mode()
    def choose(self, questions: Sequence[Question], choices: Sequence[str], batch: int = 16) -> Floats:
        """Score (N, choices) answers of one token each."""
        tokens = [self.tokenizer.encode(choice) for choice in choices]
        assert all(len(each) == 1 for each in tokens), "every choice must be one token"
        rows = self.model.language_model.embed_tokens.weight[[each[0] for each in tokens]]
        out = np.zeros((len(questions), len(choices)))
        prompts = [self.prompts([user(*([q.image] if q.image else []), q.text)]) for q in questions]
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i].token_ids))
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            lengths = [len(prompts[i].token_ids) for i in chosen]
            ids = torch.zeros(len(chosen), max(lengths), dtype=torch.int64)
            for line, i in enumerate(chosen):
                ids[line, : lengths[line]] = torch.tensor(prompts[i].token_ids)
            pixels = [p for i in chosen if (p := prompts[i].pixel_values) is not None]
            soft = self.model.encode_images(torch.cat(pixels).to(self.model.device)) if pixels else None
            hidden = self.model.hidden_states(ids.to(self.model.device), soft, lengths=lengths)
            last = hidden[torch.arange(len(chosen)), torch.tensor(lengths) - 1]
            out[chosen] = (last.float() @ rows.float().T).cpu().numpy()
        return out

    @torch.inference_mode()
    def answers(self, rows: Sequence[Example], most: int, batch: int = 16) -> tuple[Floats, Floats]:
        """Sum the negative log-probabilities of each answer's first `most` tokens (N,), and count them (N,)."""
        made = [tokenize(row, self.prompts, 10**9) for row in rows]
        sums, counts = np.zeros(len(rows)), np.zeros(len(rows))
        order = sorted(range(len(made)), key=lambda i: len(made[i].token_ids))  # type: ignore[union-attr]
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            cut = [(made[i].token_ids[: made[i].answer_start + most], made[i].answer_start) for i in chosen]  # type: ignore[union-attr]
            lengths = [len(ids) for ids, _ in cut]
            ids = torch.zeros(len(chosen), max(lengths), dtype=torch.int64)
            for line, (row, _) in enumerate(cut):
                ids[line, : len(row)] = torch.tensor(row)
            hidden = self.model.hidden_states(ids.to(self.model.device), lengths=lengths)
            for line, i in enumerate(chosen):
                begin, end = cut[line][1], lengths[line]
                logits = self.model.logits(hidden[line, begin - 1 : end - 1]).float()
                wanted = ids[line, begin:end].to(logits.device)
                sums[i] = float(torch.nn.functional.cross_entropy(logits, wanted, reduction="sum"))
                counts[i] = end - begin
        return sums, counts


def vqa_questions(data: Path, split: str) -> list[Question]:
    """Read the yes/no questions of `vqa_rad` (split by image: not comparable with published figures)."""
    out = []
    for line in (data / "vqa_rad" / f"{split}.jsonl").read_text().splitlines():
        item = json.loads(line)
        truth = str(item["answer"]).strip().capitalize()
        if item["answer_type"] == "CLOSED" and truth in ("Yes", "No"):
            with PILImage.open(data / "vqa_rad" / item["image"]) as image:
                out.append(Question(item["question"].strip(), truth, item["image"], Image.from_pil(image)))
    return out


def pubmedqa_questions(data: Path, split: str, form: str) -> list[Question]:
    """Read the 500 held-out questions, or those that training keeps for validation."""
    questions = json.loads((data / "pubmedqa" / "ori_pqal.json").read_text())
    held_out = json.loads((data / "pubmedqa" / "test_ground_truth.json").read_text())
    if split == "test":
        chosen = held_out
    else:
        chosen = {k: v["final_decision"] for k, v in questions.items() if k not in held_out and _kept(f"pmid {k}", 10)}
    return [
        Question(PROMPTS[form](questions[k]["QUESTION"], questions[k]["CONTEXTS"]), answer.capitalize(), k)
        for k, answer in chosen.items()
    ]


def medquad_rows(data: Path, split: str) -> list[Example]:
    """Read 300 questions of a split, evenly spaced, with their whole answers."""
    with gzip.open(data / "medquad" / "medquad.jsonl.gz", "rt", encoding="utf-8") as file:
        items = [json.loads(line) for line in file]
    if split == "test":
        items = [item for item in items if item["split"] == "test"]
    else:
        items = [item for item in items if item["split"] == "train" and _kept(f"topic {item['focus']}", 40)]
    items = items[:: max(1, len(items) // MEDQUAD_ROWS)][:MEDQUAD_ROWS]
    return [Example("medquad", item["question"].strip(), item["answer"].strip()) for item in items]


def _kept(group: str, one_in: int) -> bool:
    """Return whether `nano.corpus.build` keeps a group for validation."""
    return zlib.crc32(group.encode()) % one_in == 0


def ablated(questions: Sequence[Question], how: str) -> list[Question]:
    """Ask the same questions about noise, about a blank, or each about an image of another question's."""
    random = np.random.default_rng(0)
    images: list[Image | None]
    if how == "noise":
        images = [Image(random.integers(0, 256, (224, 224), dtype=np.uint8)) for _ in questions]
    elif how == "blank":
        images = [Image(np.zeros((224, 224), dtype=np.uint8))] * len(questions)
    else:
        groups = sorted({q.group for q in questions})
        of = {q.group: q.image for q in questions}
        images = [of[groups[(groups.index(q.group) + len(groups) // 2) % len(groups)]] for q in questions]
    return [Question(q.text, q.truth, q.group, image) for q, image in zip(questions, images, strict=True)]


def measure(nano: Nano, data: Path, split: str, form: str) -> dict[str, Any]:
    """Measure every figure's examples, as arrays and lists that JSON can hold."""
    films = load_films(data / "chest_pediatric", split)
    question = FINDING_QUESTION.format(finding="pneumonia")
    noise = torch.from_numpy(np.random.default_rng(1).integers(0, 256, films.images.shape, dtype=np.uint8))
    out: dict[str, Any] = {
        "chest": {
            "positive": (films.classes > 0).tolist(),
            "patients": films.patients,
            "logits": nano.films(films.images, question).tolist(),
            "noise": nano.films(noise, question).tolist(),
            "blank": nano.films(torch.zeros_like(films.images), question).tolist(),
            "gate": nano.films(films.images, GATE_QUESTION).tolist(),
            "calibration": nano.checkpoint.calibration.get("findings", {}).get("pneumonia", {}),
        }
    }
    asked = vqa_questions(data, split)
    out["vqa"] = {"truth": [q.truth for q in asked], "images": [q.group for q in asked]}
    out["vqa"]["image"] = nano.choose(asked, ("Yes", "No")).tolist()
    for how in ("noise", "blank", "other"):
        out["vqa"][how] = nano.choose(ablated(asked, how), ("Yes", "No")).tolist()
    studies = pubmedqa_questions(data, split, form)
    out["pubmedqa"] = {"truth": [q.truth for q in studies], "form": form}
    out["pubmedqa"]["scores"] = nano.choose(studies, ("Yes", "No", "Maybe")).tolist()
    sums, counts = nano.answers(medquad_rows(data, split), MEDQUAD_TOKENS)
    out["medquad"] = {"nll": sums.tolist(), "tokens": counts.tolist()}
    out["medquad"]["perplexity"] = math.exp(sums.sum() / counts.sum())
    return out


def best(values: Sequence[Sequence[float]] | Floats, choices: Sequence[str]) -> list[str]:
    """Pick the choice with the highest score of each example."""
    return [choices[int(i)] for i in np.asarray(values).argmax(1)]
