"""Calibration of `aris-nano` on validation films.

Fits Platt scaling of the decoder's answer scores for pneumonia and for the gate ("Is this a frontal chest X-ray?").
Validation films come from the training centre, so they are shifted in the
ways of `stress.py` first: a threshold that only suits clean films of one centre does not travel.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aris.checkpoints import Checkpoint, load_model
from aris.model import MedGemma
from aris.prompting import Image, PromptProcessor, Tokenizer, user
from aris.prompting.processor import ImageProcessor
from aris.tuning.metrics import auc
from aris.tuning.nano.augment import equalize, to_pixels
from aris.tuning.nano.corpus import FINDING_QUESTION, GATE_QUESTION, gate_images
from aris.tuning.nano.films import load_films
from aris.tuning.nano.tower.stress import SHIFTS

# What clean validation films are turned into before anything is fitted.
_FITTED_ON = ("none", "flat", "crop", "narrow", "black frame", "small")


class Scorer:
    """The log-odds of "Yes" against "No" for many films at once, exactly as one prompt at a time would give them."""

    def __init__(self, model: MedGemma, tokenizer: Tokenizer) -> None:
        self.model = model
        self.tokenizer = tokenizer
        size = model.config.vision.image_size if model.config.vision else 0
        self._prompts = PromptProcessor(tokenizer, ImageProcessor(size=size), model.config.mm_tokens_per_image)
        self._blank = Image(np.zeros((size, size), dtype=np.uint8))

    @torch.inference_mode()
    def __call__(self, films: Tensor, question: str, shift: str = "none", batch: int = 16) -> Tensor:
        """Compute the log-odds (N,) float32 of films uint8 (N, S, S)."""
        ids = self._prompts([user(self._blank, question)]).token_ids
        yes, no = (self.tokenizer.encode(answer)[0] for answer in ("Yes", "No"))
        out = []
        for start in range(0, len(films), batch):
            x = SHIFTS[shift](films[start : start + batch, None].float() / 255).clamp(0, 1)
            soft = self.model.encode_images(to_pixels(equalize(x)))
            hidden = self.model.hidden_states(torch.tensor([ids] * len(soft)).to(self.model.device), soft)[:, -1]
            embedding = self.model.language_model.embed_tokens
            if isinstance(embedding, torch.nn.Embedding):
                rows = embedding.weight[[yes, no]]
            else:
                rows = embedding.lookup(torch.tensor([yes, no], device=hidden.device), hidden.dtype)
            scores = (hidden @ rows.T).float().cpu()
            out.append(scores[:, 0] - scores[:, 1])
        return torch.cat(out)


def platt(logits: Tensor, positive: Tensor) -> tuple[float, float]:
    """Fit slope and intercept of a logistic curve, both classes weighing the same (Platt 1999), by Newton's method."""
    x = torch.stack([logits.double(), torch.ones(len(logits), dtype=torch.float64)], 1)
    target = positive.double()
    weight = torch.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum()).double() * len(logits)
    beta = torch.tensor([1.0, 0.0], dtype=torch.float64)
    # A weak pull towards slope 1 keeps separable classes from driving the slope to infinity.
    prior, strength = torch.tensor([1.0, 0.0], dtype=torch.float64), 1.0
    for _ in range(400):
        p = torch.sigmoid(x @ beta)
        gradient = x.T @ (weight * (p - target)) + strength * (beta - prior)
        curvature = (x * (weight * p * (1 - p))[:, None]).T @ x + strength * torch.eye(2, dtype=torch.float64)
        step = torch.linalg.solve(curvature, gradient)
        # Where all probabilities are near 0 or 1 the curvature vanishes, and a whole step is_main anywhere.
        beta = beta - step / max(1.0, float(step.norm()) / 0.5)
    return float(beta[0]), float(beta[1])


def calibrate(checkpoint: Checkpoint, data: Path, out: Path, device: str) -> None:
    """Fit a model's calibration on the validation split and write `out`."""
    vocabulary = checkpoint.tokenizer.vocabulary
    assert vocabulary is not None
    scorer = Scorer(load_model(checkpoint, device=device), Tokenizer.from_gguf(*vocabulary))
    films = load_films(data / "chest_pediatric", "validation")
    positive = films.classes > 0
    question = FINDING_QUESTION.format(finding="pneumonia")
    logits, targets = [], []
    for shift in _FITTED_ON:
        scores = scorer(films.images, question, shift)
        print(f"pneumonia, validation, {shift}: AUC {auc(scores, positive):.4f}", flush=True)
        logits.append(scores)
        targets.append(positive)
    slope, intercept = platt(torch.cat(logits), torch.cat(targets))
    p = torch.sigmoid(slope * torch.cat(logits) + intercept)
    truth = torch.cat(targets)
    called = p >= 0.5
    sensitivity, specificity = called[truth].float().mean(), 1 - called[~truth].float().mean()
    print(f"pneumonia: slope {slope:.3f}, intercept {intercept:.3f}")
    print(f"pneumonia: at 0.5 over all shifts sensitivity {sensitivity:.3f}, specificity {specificity:.3f}")

    images, answers = gate_images(data, "validation", seed=2)
    asked = [scorer(images, GATE_QUESTION)]
    asked += [scorer(films.images[::4], GATE_QUESTION, shift) for shift in ("none", "crop", "narrow", "black frame")]
    gate = torch.cat(asked)
    truth = torch.cat([torch.tensor(answers), torch.ones(len(gate) - len(answers), dtype=torch.bool)])
    gate_slope, gate_intercept = platt(gate, truth)
    p = torch.sigmoid(gate_slope * gate + gate_intercept)
    passed, stopped = (p[truth] >= 0.5).float().mean(), (p[~truth] < 0.5).float().mean()
    print(f"gate: slope {gate_slope:.3f}, intercept {gate_intercept:.3f}; AUC {auc(gate, truth):.4f}")
    print(f"gate: at 0.5 {passed:.4f} of films pass, {stopped:.4f} of others are stopped")
    contents = {
        "findings": {
            "pneumonia": {
                "slope": round(slope, 4),
                "intercept": round(intercept, 4),
                "threshold": 0.5,
                "uncertain": [0.45, 0.55],
            }
        },
        "gate": {"slope": round(gate_slope, 4), "intercept": round(gate_intercept, 4), "threshold": 0.5},
    }
    out.write_text(json.dumps(contents, indent=2) + "\n", encoding="utf-8")
