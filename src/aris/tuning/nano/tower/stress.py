"""Stress tests under shifts: the same films as another hospital might send them.

Validation films come from the training centre and flatter every model. What is chosen is chosen by the worst of
these, and by the temporal hold-out of `films.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from aris.tuning.metrics import auc
from aris.tuning.nano.augment import equalize


def _crop(x: Tensor, left: float, top: float, side: float) -> Tensor:
    size = x.shape[-1]
    a, b, c = int(left * size), int(top * size), int(side * size)
    return F.interpolate(x[:, :, b : b + c, a : a + c], size=(size, size), mode="bilinear", align_corners=False)


def _frame(x: Tensor, margin: float, level: float) -> Tensor:
    size = x.shape[-1]
    m = int(margin * size)
    inner = F.interpolate(x, size=(size - 2 * m, size - 2 * m), mode="bilinear", antialias=True, align_corners=False)
    return F.pad(inner, (m, m, m, m), value=level)


def _squash(x: Tensor, width: float) -> Tensor:
    size = x.shape[-1]
    w = int(size * width)
    narrow = F.interpolate(x, size=(size, w), mode="bilinear", antialias=True, align_corners=False)
    left = (size - w) // 2
    return F.pad(narrow, (left, size - w - left, 0, 0))


def _small(x: Tensor, size: int) -> Tensor:
    small = F.interpolate(x, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    return F.interpolate(small, size=x.shape[-2:], mode="bilinear", align_corners=False)


# (B, 1, S, S) in 0..1 to the same.
SHIFTS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "dark": lambda x: x**2.0,
    "bright": lambda x: x**0.5,
    "flat": lambda x: 0.3 + 0.4 * x,
    "crop": lambda x: _crop(x, 0.1, 0.1, 0.8),
    "crop low": lambda x: _crop(x, 0.12, 0.2, 0.76),
    "black frame": lambda x: _frame(x, 0.1, 0.0),
    "white frame": lambda x: _frame(x, 0.06, 1.0),
    "narrow": lambda x: _squash(x, 0.75),
    "small": lambda x: _small(x, 96),
    "blur": lambda x: F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), 5, stride=1),
}


@torch.no_grad()
def stress(
    score: Callable[[Tensor], Tensor], images: Tensor, positive: Tensor, *, normalize: str, batch: int = 256
) -> dict[str, float]:
    """Compute the AUC under every shift.

    Args:
        score: (B, 1, S, S) float in 0..1, normalised, to (B,).
        images: (N, S, S) uint8.
        positive: (N,) bool.
    """
    result = {}
    for name, shift in SHIFTS.items():
        scores = []
        for start in range(0, len(images), batch):
            x = shift(images[start : start + batch, None].float() / 255).clamp(0, 1)
            scores.append(score(equalize(x) if normalize == "equalize" else x).float().cpu())
        result[name] = auc(torch.cat(scores), positive.cpu())
    return result
