"""The tower for every subject, distilled from the teachers of all, a share of each in every step.

The student sees the same views as its teachers (a consistent, patient teacher: arXiv 2106.05237), and learns their
averaged answers and, at each position of the pooled grid, their features. The kind of an image is learned from labels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aris.model.config import VisionConfig
from aris.model.mobile_stem import MobileStem
from aris.tuning.nano.subjects.kinds import KIND_OF, KINDS, Extra
from aris.tuning.nano.subjects.pretrained import load_imagenet_stem
from aris.tuning.nano.subjects.tables import Subject
from aris.tuning.nano.subjects.teachers import WIDTH, head_loss
from aris.tuning.nano.subjects.views import Lesson, Views, extra_views, make_views
from aris.tuning.nano.tower.distillation import PooledTower, initialise, parameter_groups, train_student

TOWER = VisionConfig(
    hidden_size=256,
    intermediate_size=1024,
    num_hidden_layers=8,
    num_attention_heads=4,
    image_size=288,
    patch_size=16,
    mobile_stem=True,
)
# 18 x 18 patches are pooled to 9 x 9 soft tokens.
TOKENS_PER_SIDE = 9


class Student(PooledTower):
    """The tower with heads that exist in training only: each subject's classes and features, and the kind of image."""

    def __init__(self, config: VisionConfig, side: int, subjects: Sequence[Subject]) -> None:
        super().__init__(config, side)
        width = config.hidden_size
        self.heads = nn.ModuleDict(
            {f"{s.name}_{name}": nn.Linear(width, len(head.labels)) for s in subjects for name, head in s.heads.items()}
        )
        self.mimic = nn.ModuleDict({s.name: nn.Linear(width, WIDTH) for s in subjects})
        self.kind = nn.Linear(width, len(KINDS))
        self.apply(initialise)

    def pooled(self, x: Tensor) -> Tensor:
        """Compute the pooled grid (B, side * side, V) of images (B, 3, S, S) in 0..1."""
        return self.pool((x * 2 - 1).contiguous(memory_format=torch.channels_last))

    def scores(self, grid: Tensor, subject: Subject) -> dict[str, Tensor]:
        """Compute head -> scores (B, labels) of a pooled grid."""
        mean = grid.mean(1)
        return {name: self.heads[f"{subject.name}_{name}"](mean) for name in subject.heads}


def distil(
    lessons: Sequence[Lesson],
    extras: Sequence[Extra],
    *,
    seed: int,
    seconds: float,
    device: str,
    strength: float,
    views: int = 100_000,
    config: VisionConfig = TOWER,
    side: int = TOKENS_PER_SIDE,
    batch: int = 320,
    lr: float = 1e-3,
    stem_lr: float = 3e-4,
    max_steps: int = 1_000_000,
    log: Callable[[str], None] = print,
) -> Student:
    """Train a tower for a given time and return the averaged weights.

    Args:
        extras: images of kinds that no lesson has, on the device.
        seconds: wall-clock budget after the views are made; the schedule follows it, or `max_steps` if that is nearer.
        views: of all lessons together, by their shares.
    """
    torch.manual_seed(seed)
    generator = torch.Generator(device=device).manual_seed(seed)
    started = time.perf_counter()
    seen = [make_views(le, round(views * le.share), config.image_size, strength, generator) for le in lessons]
    others = [extra_views(extra, max(64, views // 20), config.image_size, strength, generator) for extra in extras]
    log(f"{views} views in {time.perf_counter() - started:.0f} s")
    student = Student(config, side, [lesson.subject for lesson in lessons])
    stem = student.tower.embeddings.stem
    if isinstance(stem, MobileStem):
        load_imagenet_stem(stem)
    student = student.to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]

    def losses(step: int) -> dict[str, Tensor]:
        return {"loss": _step_loss(student, lessons, seen, others, batch, generator)}

    groups = parameter_groups(student, lr, stem_lr)
    return train_student(student, groups, losses, seconds=seconds, max_steps=max_steps, log=log)


def _step_loss(
    student: Student, lessons: Sequence[Lesson], seen: Sequence[Views], others: Sequence[tuple[Tensor, Tensor]],
    batch: int, generator: torch.Generator,
) -> Tensor:  # fmt: skip
    device = generator.device
    mirror = bool(torch.rand((), device=device, generator=generator) < 0.5)
    shown, kinds, picks = [], [], []
    for lesson, views in zip(lessons, seen, strict=True):
        few = max(4, round(batch * lesson.share))
        index = torch.randint(len(views.images), (few,), device=device, generator=generator)
        shown.append((views.images[index].float() / 255).expand(-1, 3, -1, -1))
        kinds.append(torch.full((few,), KINDS.index(KIND_OF[lesson.subject.name]), device=device))
        picks.append(index)
    for images, classes in others:
        index = torch.randint(len(images), (max(4, batch // 16),), device=device, generator=generator)
        shown.append((images[index].float() / 255).expand(-1, 3, -1, -1))
        kinds.append(classes[index])
    x = torch.cat(shown)
    with torch.autocast(device.type, torch.bfloat16):
        grid = student.pooled(x.flip(3) if mirror else x)
    grid = grid.float()
    if mirror:  # the features lie as the views were made
        grid = grid.unflatten(1, (student.tokens, student.tokens)).flip(2).flatten(1, 2)
    grids = grid.split([len(part) for part in shown])
    loss = 0.3 * F.cross_entropy(student.kind(grid.mean(1)), torch.cat(kinds), label_smoothing=0.02)
    for lesson, views, own, index in zip(lessons, seen, grids, picks, strict=False):
        loss = loss + lesson.share * _lesson_loss(student, lesson.subject, views, own, index)
    return loss


def _lesson_loss(student: Student, subject: Subject, views: Views, grid: Tensor, index: Tensor) -> Tensor:
    """Add divergence from the teachers' mean answer, distance from one's features, and a little of the labels."""
    with torch.autocast(grid.device.type, torch.bfloat16):
        mimicked = student.mimic[subject.name](grid)
    loss = 1 - F.cosine_similarity(mimicked.float(), views.features[index].float(), dim=-1).mean()
    for name, scores in student.scores(grid, subject).items():
        given = views.answers[name][index]
        if subject.heads[name].exclusive:
            loss = loss + F.kl_div(scores.log_softmax(-1), given.softmax(-1), reduction="batchmean")
        else:
            loss = loss + 4 * F.binary_cross_entropy_with_logits(scores, given.sigmoid())
        loss = loss + 0.15 * head_loss(scores, views.labels[name][index], subject.heads[name].exclusive)
    return loss
