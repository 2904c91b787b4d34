"""Distillation of a vision tower for a given time: the student's base class and the training loop of both recipes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aris.model.config import VisionConfig
from aris.model.vision import VisionTower
from aris.tuning.nano.tower.teacher import Average

AnyStudent = TypeVar("AnyStudent", bound=nn.Module)


class PooledTower(nn.Module):
    """A vision tower whose patches are averaged to the grid that the projector will read.

    Args:
        side: tokens of the pooled grid along a side.
    """

    def __init__(self, config: VisionConfig, side: int) -> None:
        super().__init__()
        self.tower = VisionTower(config)
        self.side, self.tokens, self.kernel = config.patches_per_side, side, config.patches_per_side // side

    def pool(self, pixels: Tensor) -> Tensor:
        """Compute the pooled grid (B, side * side, V) of pixels (B, 3, S, S) in -1..1."""
        grid = self.tower(pixels).transpose(1, 2).unflatten(2, (self.side, self.side))
        return F.avg_pool2d(grid, self.kernel).flatten(2).transpose(1, 2)


def initialise(module: nn.Module) -> None:
    """Initialise a linear layer or an embedding at random, as vision transformers are."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def parameter_groups(student: nn.Module, lr: float, stem_lr: float) -> list[dict[str, Any]]:
    """Group parameters by learning rate and weight decay: a pretrained stem moves less, vectors do not decay."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in student.named_parameters():
        key = (stem_lr if ".stem." in name else lr, 0.05 if parameter.dim() > 1 else 0.0)
        groups.setdefault(key, []).append(parameter)
    return [{"params": ps, "lr": peak, "peak": peak, "weight_decay": decay} for (peak, decay), ps in groups.items()]


def train_student(
    student: AnyStudent,
    groups: Sequence[dict[str, Any]],
    losses: Callable[[int], dict[str, Tensor]],
    *,
    seconds: float,
    max_steps: int,
    log: Callable[[str], None],
) -> AnyStudent:
    """Train a student for a given time and return its averaged weights.

    Args:
        groups: of the optimizer, each with its `peak` learning rate.
        losses: of a step by its number; their sum is lowered, and each is logged by its name.
        seconds: wall-clock budget; the schedule follows it, or `max_steps` if that is nearer.
    """
    average = Average(student, 0.999 if max_steps > 1000 else 0.9)
    optimizer = torch.optim.AdamW(list(groups), betas=(0.9, 0.98))
    started, step, warm_up = time.perf_counter(), 0, max(1, min(300, max_steps // 10))
    while (progress := max((time.perf_counter() - started) / seconds, step / max_steps)) < 1:
        ramp = min(1, (step + 1) / warm_up) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * ramp
        found = losses(step)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(found.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        average.update(student, step)
        if step % 500 == 0:
            each = ", ".join(f"{name} {value.item():.4f}" for name, value in found.items())
            log(f"step {step}: {time.perf_counter() - started:.0f} s, {each}")
        step += 1
    log(f"distilled {step} steps in {time.perf_counter() - started:.0f} s")
    return average.module  # type: ignore[return-value]
