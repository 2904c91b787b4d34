"""Training `aris-nano`'s tower: distillation from teachers, on films shifted in every way that `augment` knows.

The student sees what its teachers see, image by image (a consistent, patient teacher: arXiv 2106.05237), and learns
their averaged answers and, at each of the 7 x 7 places, their features.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aris.model.config import VisionConfig
from aris.model.vision import VisionTower
from aris.tuning.nano.augment import FilmAugment, to_pixels
from aris.tuning.nano.films import CLASSES, FilmBank
from aris.tuning.nano.teacher import Average, Teacher, balanced_batches


class Student(nn.Module):
    """The tower with two heads that exist in training only: classes, and the teachers' features."""

    def __init__(self, config: VisionConfig, side: int, teacher_width: int) -> None:
        super().__init__()
        self.tower = VisionTower(config)
        self.side, self.kernel = config.patches_per_side, config.patches_per_side // side
        self.classes = nn.Linear(config.hidden_size, len(CLASSES))
        self.mimic = nn.Linear(config.hidden_size, teacher_width)
        self.apply(_initialise)

    def pooled(self, x: Tensor) -> Tensor:
        """(B, 1, S, S) in 0..1 to the grid that the projector will read, (B, side * side, V)."""
        patches = self.tower(to_pixels(x))
        grid = patches.transpose(1, 2).unflatten(2, (self.side, self.side))
        return F.avg_pool2d(grid, self.kernel).flatten(2).transpose(1, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Class scores (B, 3) and features (B, side * side, teacher_width)."""
        grid = self.pooled(x)
        return self.classes(grid.mean(1)), self.mimic(grid)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


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
        seconds: wall-clock budget; the schedule follows it.
    """
    torch.manual_seed(seed)
    generator = torch.Generator(device=device).manual_seed(seed)
    student = Student(config, side, 1280).to(device).train()
    average = Average(student, 0.999)
    augment = FilmAugment(generator, strength, normalize)
    decay = [p for p in student.parameters() if p.dim() > 1]
    plain = [p for p in student.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}], lr=lr, betas=(0.9, 0.98)
    )
    classes = bank.classes.to(device)
    few = batch // 8 if len(extra) else 0
    size = config.image_size
    started, step = time.perf_counter(), 0
    while (progress := (time.perf_counter() - started) / seconds) < 1 and step < max_steps:
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1, (step + 1) / 300) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        index = balanced_batches(classes, batch - few, generator)
        films = bank.images[index]
        if few:
            films = torch.cat([films, extra[torch.randint(len(extra), (few,), device=device, generator=generator)]])
        x = augment(films, size)
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
        kl = F.kl_div(logits.log_softmax(-1), answer, reduction="batchmean")
        alike = 1 - F.cosine_similarity(mimicked.float(), feature, dim=-1).mean()
        loss = kl + alike
        if not mixed:
            loss = loss + 0.2 * F.cross_entropy(logits[: batch - few], classes[index], label_smoothing=0.05)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        average.update(student, step)
        if step % 500 == 0:
            log(f"step {step}: {time.perf_counter() - started:.0f} s, kl {kl.item():.4f}, alike {alike.item():.3f}")
        step += 1
    log(f"distilled {step} steps of {batch} films in {time.perf_counter() - started:.0f} s")
    return average.module  # type: ignore[return-value]
