"""Random views of images of every subject, on the device: films by `FilmAugment`, colour images here."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from aris.tuning.nano.augment import FilmAugment, equalize


class ColourAugment:
    """Turns, zoom, mirror, stain and exposure, blur and one covered box; (B, H, W, 3) uint8 to (B, 3, S, S) in 0..1.

    Args:
        generator: on the images' device; all randomness.
        strength: 0 leaves images as they are, 1 is the recipe's setting.
        turn: largest rotation in degrees; tissue and skin have no upright.
        zoom: largest enlargement as a natural logarithm.
    """

    def __init__(self, generator: torch.Generator, strength: float = 1.0, turn: float = 180.0, zoom: float = 0.5):
        self.generator, self.strength, self.turn, self.zoom = generator, strength, turn, zoom

    def _uniform(self, batch: int, low: float, high: float) -> Tensor:
        return torch.rand(batch, device=self.generator.device, generator=self.generator) * (high - low) + low

    def __call__(self, images: Tensor, size: int) -> Tensor:
        x = images.permute(0, 3, 1, 2).float() / 255
        batch, s = x.shape[0], self.strength
        scale = torch.exp(self._uniform(batch, -self.zoom * s, 0.12 * s))
        aspect = torch.exp(self._uniform(batch, -0.12 * s, 0.12 * s))
        angle = self._uniform(batch, -1, 1) * self.turn * min(s, 1.0) * (math.pi / 180)
        mirror = torch.where(self._uniform(batch, 0, 1) < 0.5, -1.0, 1.0)
        slack = (1 - scale).abs()
        shift_x, shift_y = self._uniform(batch, -1, 1) * slack, self._uniform(batch, -1, 1) * slack
        cos, sin = angle.cos() * scale, angle.sin() * scale
        theta = torch.stack(
            [
                torch.stack([cos * aspect * mirror, -sin * aspect, shift_x], 1),
                torch.stack([sin / aspect * mirror, cos / aspect, shift_y], 1),
            ],
            1,
        )
        grid = F.affine_grid(theta, [batch, 3, size, size], align_corners=False)
        x = F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        return self._cover(self._soften(self._tone(x)))

    def _tone(self, x: Tensor) -> Tensor:
        """Apply a tone curve of each channel, saturation, brightness and contrast."""
        batch, s = x.shape[0], self.strength
        common, own = self._uniform(batch, -0.35 * s, 0.35 * s), self._uniform(batch * 3, -0.15 * s, 0.15 * s)
        gamma = torch.exp(common[:, None] + own.view(batch, 3))[:, :, None, None]
        x = x.clamp(1e-4, 1) ** gamma
        grey = x.mean(1, keepdim=True)
        x = grey + (x - grey) * torch.exp(self._uniform(batch, -0.4 * s, 0.3 * s)).view(-1, 1, 1, 1)
        middle = x.mean((1, 2, 3), keepdim=True)
        x = middle + (x - middle) * torch.exp(self._uniform(batch, -0.25 * s, 0.25 * s)).view(-1, 1, 1, 1)
        return (x + self._uniform(batch, -0.08 * s, 0.08 * s).view(-1, 1, 1, 1)).clamp(0, 1)

    def _soften(self, x: Tensor) -> Tensor:
        """Blur or sharpen part of the batch."""
        soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        chosen = self._uniform(x.shape[0], 0, 1) < 0.4 * self.strength
        amount = self._uniform(x.shape[0], -1.0, 1.0) * chosen
        return (x + (x - soft) * amount.view(-1, 1, 1, 1)).clamp(0, 1)

    def _cover(self, x: Tensor) -> Tensor:
        """Cover one box of a third of the batch with the image's own mean colour."""
        batch, size = x.shape[0], x.shape[-1]
        ramp = (torch.arange(size, device=x.device) + 0.5) / size
        side_x, side_y = self._uniform(batch, 0.1, 0.35), self._uniform(batch, 0.1, 0.35)
        inside_x = (ramp[None] - self._uniform(batch, 0, 1)[:, None]).abs() < side_x[:, None] / 2
        inside_y = (ramp[None] - self._uniform(batch, 0, 1)[:, None]).abs() < side_y[:, None] / 2
        chosen = self._uniform(batch, 0, 1) < 0.35 * self.strength
        box = inside_y[:, None, :, None] & inside_x[:, None, None, :] & chosen.view(-1, 1, 1, 1)
        return torch.where(box, x.mean((2, 3), keepdim=True), x)


def augment(subject: str, colour: bool, generator: torch.Generator, strength: float) -> FilmAugment | ColourAugment:
    """Return the augmentation of a subject."""
    if not colour:
        return FilmAugment(generator, strength, "equalize")
    return ColourAugment(generator, strength, zoom=0.25 if subject == "fundus" else 0.5)


def plain(images: Tensor, size: int, colour: bool) -> Tensor:
    """Convert images to (B, 3, S, S) in 0..1 as a model is shown them: grey ones equalised, colour ones as they are."""
    x = (images.permute(0, 3, 1, 2) if colour else images[:, None]).float() / 255
    if x.shape[-1] != size:
        x = F.interpolate(x, size=(size, size), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
    return x if colour else equalize(x).expand(-1, 3, -1, -1)
