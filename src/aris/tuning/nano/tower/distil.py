"""Training of `aris-nano`'s tower: distillation from teachers, on films shifted in every way that `augment` knows.

The student sees the same augmented films as its teachers (a consistent, patient teacher: arXiv 2106.05237), and learns
their averaged answers and, at each of the 7 x 7 positions, their features.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aris.model.config import VisionConfig
from aris.tuning.nano.augment import FilmAugment, to_pixels
from aris.tuning.nano.films import CLASSES, FilmBank
from aris.tuning.nano.tower.distillation import PooledTower, initialise, parameter_groups, train_student
from aris.tuning.nano.tower.teacher import Teacher, balanced_batches


class Student(PooledTower):
    """The tower with two heads that exist in training only: classes, and the teachers' features."""

    def __init__(self, config: VisionConfig, side: int, teacher_width: int) -> None:
        super().__init__(config, side)
        self.classes = nn.Linear(config.hidden_size, len(CLASSES))
        self.mimic = nn.Linear(config.hidden_size, teacher_width)
        self.apply(initialise)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute class scores (B, 3) and features (B, side * side, teacher_width) of films (B, 1, S, S) in 0..1."""
        grid = self.pool(to_pixels(x))
        return self.classes(grid.mean(1)), self.mimic(grid)


def distil(
    config: VisionConfig,
    side: int,
    bank: FilmBank,
    extra: Tensor,
    teachers: list[Teacher],
    *,
    seed: int,
    seconds: float,
    device: str,
    normalize: str,
    strength: float = 1.0,
    batch: int = 256,
    lr: float = 1e-3,
    max_steps: int = 1_000_000,
    log: Callable[[str], None] = print,
) -> Student:
    """Train a tower for a given time and return the averaged weights.

    Args:
        bank: labelled training films, on `device`.
        extra: (M, S, S) uint8 more films without labels, for the features and answers alone.
        seconds: wall-clock budget; the schedule follows it, or `max_steps` if that is nearer.
    """
    torch.manual_seed(seed)
    generator = torch.Generator(device=device).manual_seed(seed)
    student = Student(config, side, 1280).to(device).train()
    augment = FilmAugment(generator, strength, normalize)
    classes = bank.classes.to(device)
    few = batch // 8 if len(extra) else 0

    def losses(step: int) -> dict[str, Tensor]:
        index = balanced_batches(classes, batch - few, generator)
        films = bank.images[index]
        if few:
            films = torch.cat([films, extra[torch.randint(len(extra), (few,), device=device, generator=generator)]])
        x = augment(films, config.image_size)
        mixed = step % 2 == 1
        if mixed:  # mixed films have no label of their own, only the teachers' answer
            weight = torch.rand(batch, 1, 1, 1, device=device, generator=generator) * 0.5
            x = x * (1 - weight) + x[torch.randperm(batch, device=device, generator=generator)] * weight
        with torch.no_grad(), torch.autocast(device, torch.bfloat16):
            features = [teacher.features(x) for teacher in teachers]
            answers = torch.stack([t.classify(f) for t, f in zip(teachers, features, strict=True)]).float()
            answer = answers.log_softmax(-1).mean(0).softmax(-1)
            feature = features[step % len(features)].float().flatten(2).transpose(1, 2)  # (B, 49, 1280)
        with torch.autocast(device, torch.bfloat16):
            logits, mimicked = student(x)
        logits = logits.float()
        found = {
            "kl": F.kl_div(logits.log_softmax(-1), answer, reduction="batchmean"),
            "alike": 1 - F.cosine_similarity(mimicked.float(), feature, dim=-1).mean(),
        }
        if not mixed:
            labels = F.cross_entropy(logits[: batch - few], classes[index], label_smoothing=0.05)
            found["labels"] = 0.2 * labels
        return found

    groups = parameter_groups(student, lr, lr)
    return train_student(student, groups, losses, seconds=seconds, max_steps=max_steps, log=log)
