"""Augmented views of a subject with its teachers' answers on each, made once and learned from many times.

A view's feature map comes from one teacher, the next for each batch; its answers are the mean of all. Two fifths of
the views are mixtures of two images, which have no label of their own (mixup, arXiv 1710.09412).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aris.tuning.nano.subjects.augment import augment
from aris.tuning.nano.subjects.kinds import Extra
from aris.tuning.nano.subjects.tables import Bank, Subject
from aris.tuning.nano.subjects.teachers import WIDTH, SubjectTeacher

_MIXED = 0.4


@dataclass(frozen=True)
class Lesson:
    """A subject with its training images and its teachers, all on the device, and its share of a batch."""

    subject: Subject
    bank: Bank
    teachers: Sequence[SubjectTeacher]
    share: float


@dataclass(frozen=True)
class Views:
    """Views of one subject.

    Attributes:
        images: (N, C, S, S) uint8, C = 1 for grey; as a model is shown them (equalised where grey).
        features: (N, S/32 * S/32, WIDTH) bfloat16.
        answers: head -> (N, labels) float32: mean log-probabilities of exclusive heads, mean scores of others.
        labels: head -> (N, labels) float32; NaN of mixtures and where unknown.
    """

    images: Tensor
    features: Tensor
    answers: dict[str, Tensor]
    labels: dict[str, Tensor]


@torch.no_grad()
def make_views(lesson: Lesson, count: int, size: int, strength: float, generator: torch.Generator) -> Views:
    """Make `count` views of a lesson, on its device, in batches of 256."""
    subject, bank = lesson.subject, lesson.bank
    view = augment(subject.name, subject.colour, generator, strength)
    device, batch = bank.images.device, 256
    side = size // 32
    images = torch.empty(count, 3 if subject.colour else 1, size, size, dtype=torch.uint8, device=device)
    features = torch.empty(count, side * side, WIDTH, dtype=torch.bfloat16, device=device)
    answers = {name: torch.empty(count, len(head.labels), device=device) for name, head in subject.heads.items()}
    labels = {name: torch.empty_like(values) for name, values in answers.items()}
    for start in range(0, count, batch):
        few = min(batch, count - start)
        here = slice(start, start + few)
        index = torch.multinomial(bank.weights, few, replacement=True, generator=generator)
        x = view(bank.images[index], size)
        mixed = torch.rand(few, device=device, generator=generator) < _MIXED
        weight = (torch.rand(few, device=device, generator=generator) * 0.5 * mixed).view(-1, 1, 1, 1)
        x = x * (1 - weight) + x[torch.randperm(few, device=device, generator=generator)] * weight
        images[here] = (x * 255).round().to(torch.uint8)
        shown = (images[here].float() / 255).expand(-1, 3, -1, -1)
        with torch.autocast(device.type, torch.bfloat16):
            found = [teacher.features(shown) for teacher in lesson.teachers]
            scored = [t.classify(f) for t, f in zip(lesson.teachers, found, strict=True)]
        features[here] = found[start // batch % len(found)].flatten(2).transpose(1, 2).to(torch.bfloat16)
        for name, head in subject.heads.items():
            each = torch.stack([answer[name].float() for answer in scored])
            answers[name][here] = each.log_softmax(-1).mean(0) if head.exclusive else each.mean(0)
            known = bank.targets[name][index].clone()
            known[mixed] = float("nan")
            labels[name][here] = known
    return Views(images, features, answers, labels)


def extra_views(
    extra: Extra, count: int, size: int, strength: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Make `count` views of images of other kinds (N, C, S, S) uint8, and their kinds (N,), all equally often."""
    view = augment("", extra.colour, generator, strength)
    balance = (1 / torch.bincount(extra.classes).clamp(min=1).float())[extra.classes]
    images, kinds = [], []
    for start in range(0, count, 256):
        index = torch.multinomial(balance, min(256, count - start), replacement=True, generator=generator)
        images.append((view(extra.images[index], size) * 255).round().to(torch.uint8))
        kinds.append(extra.classes[index])
    return torch.cat(images), torch.cat(kinds)
