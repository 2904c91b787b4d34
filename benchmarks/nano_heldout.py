"""`aris-nano` on the held-out splits, beside baselines: python benchmarks/nano_heldout.py --data FOLDER [--out FILE]

Everything is greedy or a score of given answers; no threshold is chosen here. 95 % intervals are bootstraps over
patients, images or questions. `--baselines FILE` keeps the pixel baselines' scores, which take a minute to fit.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PILImage
from sklearn.metrics import roc_auc_score

from aris.checkpoints import Checkpoint, load_model, open_checkpoint
from aris.engine import Engine
from aris.model import MedGemma
from aris.prompting import ImageProcessor, PromptProcessor, Tokenizer, user
from aris.prompting.messages import Image
from aris.tuning.data.examples import Example, tokenize
from aris.tuning.nano import negatives
from aris.tuning.nano.calibrate import Scorer
from aris.tuning.nano.corpus import FINDING_QUESTION, GATE_QUESTION, gate_images, pubmedqa_prompt
from aris.tuning.nano.films import load_films
from nano_baselines import baseline_scores, bootstrap_auc, interval


def proportion(hits: list[bool], seed: int = 0) -> str:
    """Format a share with its bootstrap interval."""
    values = np.array(hits, dtype=float)
    draws = np.random.default_rng(seed).choice(values, (2000, len(values))).mean(1)
    return f"{values.mean():.3f} ({interval(draws)}, n = {len(values)})"


def chest(scorer: Scorer, calibration: dict[str, float], data: Path, kept: Path) -> dict[str, Any]:
    """Measure normal against pneumonia on `chest_pediatric` test, paired with the pixel baselines."""
    films = load_films(data / "chest_pediatric", "test")
    positive = (films.classes > 0).numpy()
    if kept.is_file():
        scores = {name: np.array(values) for name, values in json.loads(kept.read_text()).items()}
    else:
        scores = baseline_scores(data)
        kept.write_text(json.dumps({name: values.tolist() for name, values in scores.items()}))
    logits = scorer(films.images, FINDING_QUESTION.format(finding="pneumonia")).numpy().astype(float)
    every = {"aris-nano": logits, **scores}
    draws = bootstrap_auc(every, positive, films.patients)
    best = max(scores, key=lambda name: float(roc_auc_score(positive, scores[name])))
    gain = draws["aris-nano"] - draws[best]
    probability = 1 / (1 + np.exp(-(calibration["slope"] * logits + calibration["intercept"])))
    called = probability >= calibration["threshold"]
    sensitivity, specificity = called[positive].mean(), 1 - called[~positive].mean()
    low, high = calibration["uncertain"]  # type: ignore[misc]
    gate = scorer(films.images, GATE_QUESTION)
    return {
        "AUC": {n: f"{roc_auc_score(positive, v):.3f} ({interval(draws[n])})" for n, v in every.items()},
        "best baseline": best,
        "AUC less best baseline": f"{gain.mean():.3f} ({interval(gain)})",
        "accuracy": proportion(list(called == positive)),
        "majority class": f"{max(positive.mean(), 1 - positive.mean()):.3f}",
        "sensitivity": f"{sensitivity:.3f}",
        "specificity": f"{specificity:.3f}",
        "balanced accuracy": f"{(sensitivity + specificity) / 2:.3f}",
        "uncertain": int(((probability >= low) & (probability <= high)).sum()),
        "Brier score": f"{np.mean((probability - positive) ** 2):.3f}",
        "gate log-odds, least": f"{gate.min():.2f}",
    }


def other_images(scorer: Scorer, gate: dict[str, float], finding: dict[str, float], data: Path) -> dict[str, Any]:
    """Measure 100 images that are not chest films: unseen kinds, fresh noise and blanks, tissue, other radiology."""
    made = negatives.generate(negatives.HELD_OUT, 32, seed=101) + negatives.generate(negatives.TRAINING, 27, seed=102)
    tissue = []
    for path in sorted((data / "histology_tiles").rglob("*.*")):
        if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".tif"):
            with PILImage.open(path) as image:
                tissue.append(np.asarray(image.convert("L").resize((224, 224))))
    pictures, films = gate_images(data, "test", seed=103)
    others = [p.numpy() for p, film in zip(pictures, films, strict=True) if not film][: 100 - len(made) - len(tissue)]
    everything = torch.from_numpy(np.stack([*made, *tissue, *others]))
    opens = _probability(scorer(everything, GATE_QUESTION), gate) >= gate["threshold"]
    sick = _probability(scorer(everything, FINDING_QUESTION.format(finding="pneumonia")), finding)
    adult = torch.stack([p for p, film in zip(pictures, films, strict=True) if film])
    return {
        "pictures": f"{len(made)} made, {len(tissue)} tissue, {len(others)} other radiology",
        "stopped by the gate": f"{int((~opens).sum())} of {len(everything)}",
        "passed with pneumonia >= 0.9": int((opens & (sick >= 0.9)).sum()),
        "adult chest films passed (NIH, 64 px)": proportion(
            (_probability(scorer(adult, GATE_QUESTION), gate) >= gate["threshold"]).tolist()
        ),
    }


def _probability(logits: torch.Tensor, calibration: dict[str, float]) -> torch.Tensor:
    return torch.sigmoid(calibration["slope"] * logits + calibration["intercept"])


class Asker:
    """Answers given choices by their log-probability."""

    def __init__(self, checkpoint: Checkpoint, model: MedGemma, tokenizer: Tokenizer) -> None:
        self.engine, self.tokenizer = Engine(model), tokenizer
        images = ImageProcessor.from_dict(checkpoint.processor)
        self.prompts = PromptProcessor(tokenizer, images, model.config.mm_tokens_per_image)

    def __call__(self, question: str, choices: list[str], image: Image | None = None) -> str:
        prompt = self.prompts([user(*([image] if image is not None else []), question)])
        soft = None if prompt.pixel_values is None else self.engine.encode_images(prompt.pixel_values)
        scores = self.engine.score(prompt.token_ids, soft, [self.tokenizer.encode(c) for c in choices])
        return choices[int(np.argmax(scores))]


def vqa(ask: Asker, data: Path) -> dict[str, str]:
    """Measure yes/no questions of `vqa_rad` test (split by image: not comparable with published figures)."""
    hits, answers = [], []
    for line in (data / "vqa_rad" / "test.jsonl").read_text().splitlines():
        item = json.loads(line)
        truth = str(item["answer"]).strip().capitalize()
        if item["answer_type"] != "CLOSED" or truth not in ("Yes", "No"):
            continue
        with PILImage.open(data / "vqa_rad" / item["image"]) as image:
            hits.append(ask(item["question"].strip(), ["Yes", "No"], Image.from_pil(image)) == truth)
        answers.append(truth)
    return {"accuracy": proportion(hits), "majority": f"{max(Counter(answers).values()) / len(answers):.3f}"}


def pubmedqa(ask: Asker, data: Path) -> dict[str, str]:
    """Measure the 500 held-out questions, context cut as in training."""
    questions = json.loads((data / "pubmedqa" / "ori_pqal.json").read_text())
    truth = json.loads((data / "pubmedqa" / "test_ground_truth.json").read_text())
    hits = [
        ask(pubmedqa_prompt(questions[k]["QUESTION"], questions[k]["CONTEXTS"]), ["Yes", "No", "Maybe"]).lower() == v
        for k, v in truth.items()
    ]
    return {"accuracy": proportion(hits), "majority": f"{max(Counter(truth.values()).values()) / len(truth):.3f}"}


def medquad(engine: Engine, prompts: PromptProcessor, data: Path, count: int = 300) -> float:
    """Measure the perplexity of an answer's first 120 tokens, over `count` questions of `medquad` test, evenly spaced."""
    with gzip.open(data / "medquad" / "medquad.jsonl.gz", "rt", encoding="utf-8") as file:
        items = [item for line in file if (item := json.loads(line))["split"] == "test"]
    total, tokens = 0.0, 0
    for item in items[:: max(1, len(items) // count)][:count]:
        row = tokenize(Example("medquad", item["question"].strip(), item["answer"].strip()), prompts, 10**9)
        assert row is not None
        ids = row.token_ids[: row.answer_start + 120]
        logprobs = engine.logprobs(ids)[row.answer_start - 1 :]
        total, tokens = total - float(logprobs.sum()), tokens + len(logprobs)
    return math.exp(total / tokens)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("nano_heldout.json"))
    parser.add_argument("--baselines", type=Path, default=Path("nano_baselines.json"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    a = parser.parse_args()
    checkpoint = open_checkpoint("aris-nano")
    vocabulary = checkpoint.tokenizer.vocabulary
    assert vocabulary is not None
    tokenizer = Tokenizer.from_gguf(*vocabulary)
    model = load_model(checkpoint, device=a.device)
    scorer, ask = Scorer(model, tokenizer), Asker(checkpoint, model, tokenizer)
    finding, gate = checkpoint.calibration["findings"]["pneumonia"], checkpoint.calibration["gate"]
    result: dict[str, Any] = {}

    def done(name: str, value: Any) -> None:
        result[name] = value
        print(name, json.dumps(value, indent=2), flush=True)
        a.out.write_text(json.dumps(result, indent=2) + "\n")

    done("chest_pediatric test, normal against pneumonia", chest(scorer, finding, a.data, a.baselines))
    done("not chest films", other_images(scorer, gate, finding, a.data))
    done("vqa_rad test, yes/no questions", vqa(ask, a.data))
    done("pubmedqa, 500 held out", pubmedqa(ask, a.data))
    base = load_model(Checkpoint(**{**checkpoint.__dict__, "adapters": ()}), device=a.device)
    perplexity = {
        "aris-nano": round(medquad(Engine(model), ask.prompts, a.data), 2),
        "Gemma 3 270M": round(medquad(Engine(base), ask.prompts, a.data), 2),
    }
    done("medquad test, perplexity of answers", perplexity)


if __name__ == "__main__":
    main()
