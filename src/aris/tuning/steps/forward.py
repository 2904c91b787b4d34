"""Forward passes of a model in training: the pixels of its images, and the precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from aris.model import MedGemma
from aris.tuning.data.tower_cache import TowerCache

Augment = Callable[[Tensor, torch.Generator], Tensor]
View = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class TrainingImages:
    """The images of the examples, and their pixel values for the tower.

    Attributes:
        bank: (N, H, W) or (N, H, W, 3) uint8, on the model's device or the CPU.
        augment: images of the bank and a generator on the model's device to pixels (B, 3, S, S) float in -1..1.
        view: the same without randomness, as at inference; for validation.
        cached: features of a frozen tower by an image's index, in place of all that (`tower_cache.py`).
    """

    bank: Tensor
    augment: Augment
    view: View
    cached: TowerCache | None = None

    def __len__(self) -> int:
        return len(self.bank) if self.cached is None else len(self.cached)


@dataclass(frozen=True)
class ForwardPass:
    """A model in training with what its forward passes need.

    Attributes:
        images: None if no example has one.
        precision: "bf16" (autocast) or "fp32".
        train_tower: gradients flow into the vision tower.
        packing: examples of a micro-batch are packed instead of padded.
    """

    model: MedGemma
    images: TrainingImages | None
    precision: str = "fp32"
    train_tower: bool = False
    packing: bool = False

    def autocast(self) -> torch.autocast:
        """Return a context of the run's precision for one pass."""
        return torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def pixels(self, chosen: Tensor, generator: torch.Generator | None = None) -> Tensor | None:
        """Return pixels (P, 3, S, S) or cached features (P, M, V) of images by index (P,), or None if P is 0.

        Args:
            generator: of the augmentation, on the model's device; without one the images are as at inference.
        """
        if not len(chosen):
            return None
        assert self.images is not None
        if self.images.cached is not None:
            return self.images.cached(chosen)
        images = self.images.bank[chosen.to(self.images.bank.device)]
        return self.images.view(images) if generator is None else self.images.augment(images, generator)
