"""Measures of how well scores separate a bank's labels: AUC of every label, accuracy of exclusive heads."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from aris.tuning.metrics import auc
from aris.tuning.nano.subjects.augment import plain
from aris.tuning.nano.subjects.tables import Bank, Subject


@torch.no_grad()
def scores_of(
    model: Callable[[Tensor], dict[str, Tensor]], bank: Bank, subject: Subject, size: int, batch: int = 256
) -> dict[str, Tensor]:
    """Compute head -> scores (N, labels) float32 on the CPU, averaged over an image and its mirror."""
    batches: dict[str, list[Tensor]] = {name: [] for name in subject.heads}
    for start in range(0, len(bank), batch):
        x = plain(bank.images[start : start + batch], size, subject.colour)
        with torch.autocast(x.device.type, torch.bfloat16):
            found, mirrored = model(x), model(x.flip(3))
        for name in subject.heads:
            batches[name].append(((found[name] + mirrored[name]) / 2).float().cpu())
    return {name: torch.cat(values) for name, values in batches.items()}


def as_probabilities(scores: dict[str, Tensor], subject: Subject) -> dict[str, Tensor]:
    """Apply a softmax to exclusive heads, a sigmoid to others."""
    return {name: values.softmax(1) if subject.heads[name].exclusive else values.sigmoid()
            for name, values in scores.items()}  # fmt: skip


def figures(scores: dict[str, Tensor], bank: Bank, subject: Subject) -> dict[str, float]:
    """Measure the AUC of each label against the rest, "accuracy HEAD" of exclusive heads, and "macro HEAD"."""
    out: dict[str, float] = {}
    for name, head in subject.heads.items():
        target = bank.targets[name].cpu()
        known = ~target.isnan().any(1)
        if not bool(known.any()):
            continue
        values, target = scores[name][known], target[known]
        if head.exclusive:
            values = values.log_softmax(1)
            out[f"accuracy {name}"] = float((values.argmax(1) == target.argmax(1)).float().mean())
        aucs = {}
        for at, label in enumerate(head.labels):
            column = values[:, at] if not head.exclusive else _odds(values, at)
            positive = target[:, at] > 0.5
            if bool(positive.any()) and not bool(positive.all()):
                aucs[label] = auc(column, positive)
        named = {label: value for label, value in aucs.items() if label != "any finding"}
        out[f"macro {name}"] = sum(named.values()) / max(len(named), 1)
        out.update(aucs)
    return out


def _odds(log_probabilities: Tensor, at: int) -> Tensor:
    p = log_probabilities[:, at].double().exp().clamp(1e-9, 1 - 1e-9)
    return (p / (1 - p)).log()


def line(name: str, values: dict[str, float]) -> str:
    """Format the figures in one line."""
    return f"{name}: " + ", ".join(f"{key} {value:.3f}" for key, value in values.items())
