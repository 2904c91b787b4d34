"""Random variations of films, on the device: as other equipment, exposure, detectors or crops would show them.

Images are (B, 1, S, S) float in 0..1. Every random number comes from the generator passed in. The films of one centre
share its habits (framing, markers, exposure, borders); a model that learns those fails elsewhere, so training varies
them and the normalisation that ends each function removes what it can.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def equalize(x: Tensor) -> Tensor:
    """Equalise the histogram of each image over 256 grey levels: exposure and contrast curves cancel out.

    The same map as `aris.prompting.normalize` makes on uint8 arrays; a test holds the two together.
    """
    batch, _, height, width = x.shape
    levels = (x * 255).round().clamp(0, 255).long().view(batch, -1)
    counts = torch.zeros(batch, 256, device=x.device).scatter_add_(1, levels, torch.ones_like(levels, dtype=x.dtype))
    cdf = counts.cumsum(1) / (height * width)
    lowest = cdf.gather(1, levels.amin(1, keepdim=True))
    curve = ((cdf - lowest) / (1 - lowest).clamp(min=1e-6)).clamp(0, 1)
    return ((curve * 255).round() / 255).gather(1, levels).view_as(x)


def to_pixels(x: Tensor) -> Tensor:
    """Convert (B, 1, S, S) in 0..1 to a tower's input (B, 3, S, S) in -1..1."""
    return (x * 2 - 1).expand(-1, 3, -1, -1)


class FilmAugment:
    """Random geometry, exposure, resolution, occlusion, markers and frames, then equalisation.

    Args:
        generator: on the images' device; all randomness.
        strength: 0 leaves films as they are, 1 is the recipe's setting.
        normalize: "equalize" or "none".
        mirror: left and right may be swapped.
    """

    def __init__(
        self, generator: torch.Generator, strength: float = 1.0, normalize: str = "equalize", *, mirror: bool = True
    ) -> None:
        self.generator = generator
        self.strength = strength
        self.normalize = normalize
        self.mirror = mirror

    def __call__(self, films: Tensor, size: int) -> Tensor:
        """Augment films uint8 (B, H, W) to float (B, 1, size, size) in 0..1."""
        x = films[:, None].float() / 255
        x = self._geometry(x, size)
        x = self._exposure(x)
        x = self._resolution(x)
        x = self._markers(x)
        x = self._frame(x)
        x = self._cutout(x)
        return equalize(x) if self.normalize == "equalize" else x

    def _uniform(self, batch: int, low: float, high: float, like: Tensor) -> Tensor:
        return torch.rand(batch, device=like.device, generator=self.generator) * (high - low) + low

    def _chance(self, batch: int, probability: float, like: Tensor) -> Tensor:
        return torch.rand(batch, device=like.device, generator=self.generator) < probability * self.strength

    def _geometry(self, x: Tensor, size: int) -> Tensor:
        """Apply zoom, aspect, shift, turn, shear and mirror in one bilinear resampling; outside is black."""
        batch = x.shape[0]
        s = self.strength
        zoom = torch.exp(self._uniform(batch, -0.45 * s, 0.16 * s, x))  # of the film's side: 0.64 to 1.17
        aspect = torch.exp(self._uniform(batch, -0.22 * s, 0.22 * s, x))
        scale_x, scale_y = zoom * aspect, zoom / aspect
        slack_x, slack_y = (1 - scale_x).abs(), (1 - scale_y).abs()
        shift_x = self._uniform(batch, -1, 1, x) * slack_x
        shift_y = self._uniform(batch, -1, 1, x) * slack_y
        angle = self._uniform(batch, -12 * s, 12 * s, x) * (math.pi / 180)
        shear = self._uniform(batch, -0.08 * s, 0.08 * s, x)
        mirror = torch.where(self._chance(batch, 0.5 if self.mirror else 0.0, x), -1.0, 1.0)
        cos, sin = angle.cos(), angle.sin()
        theta = torch.stack(
            [
                torch.stack([scale_x * cos * mirror, scale_x * (shear - sin), shift_x], 1),
                torch.stack([scale_y * sin * mirror, scale_y * cos, shift_y], 1),
            ],
            1,
        )
        grid = F.affine_grid(theta, [batch, 1, size, size], align_corners=False)
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    def _exposure(self, x: Tensor) -> Tensor:
        """Apply a tone curve, an uneven field, scattered-radiation haze and noise."""
        batch, s = x.shape[0], self.strength

        def column(values: Tensor) -> Tensor:
            return values.view(-1, 1, 1, 1)

        gamma = torch.exp(self._uniform(batch, -0.7 * s, 0.7 * s, x))
        x = x.clamp(1e-4, 1) ** column(gamma)
        low = self._uniform(batch, 0, 0.25 * s, x)
        high = self._uniform(batch, 1 - 0.3 * s, 1 + 0.2 * s, x)
        x = column(low) + x * column(high - low)
        field = torch.rand(batch, 1, 3, 3, device=x.device, generator=self.generator) * 2 - 1
        field = F.interpolate(field, size=x.shape[-2:], mode="bicubic", align_corners=False)
        x = x + field * column(self._uniform(batch, 0, 0.12 * s, x))
        noise = torch.randn(x.shape, device=x.device, generator=self.generator)
        x = x + noise * column(self._uniform(batch, 0, 0.03 * s, x) * self._chance(batch, 0.5, x))
        return x.clamp(0, 1)

    def _resolution(self, x: Tensor) -> Tensor:
        """Blur, sharpen, or a trip through a smaller size, each for part of the batch."""
        size = x.shape[-1]
        soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        amount = self._uniform(x.shape[0], -1.0, 1.5, x) * self._chance(x.shape[0], 0.6, x)
        x = (x + (x - soft) * amount.view(-1, 1, 1, 1)).clamp(0, 1)
        small = int(size * float(torch.empty(1).uniform_(0.25, 0.8, generator=self._host())))
        worse = F.interpolate(x, size=(small, small), mode="bilinear", antialias=True, align_corners=False)
        worse = F.interpolate(worse, size=(size, size), mode="bilinear", align_corners=False)
        return torch.where(self._chance(x.shape[0], 0.35, x).view(-1, 1, 1, 1), worse, x)

    def _host(self) -> torch.Generator:
        """Make a host generator continued from the device's, for the one size that a whole batch shares."""
        seed = int(torch.randint(0, 2**31 - 1, (1,), device=self.generator.device, generator=self.generator))
        return torch.Generator().manual_seed(seed)

    def _markers(self, x: Tensor) -> Tensor:
        """Draw bright or dark bars in the corners and at the sides, like lead markers and burned-in text."""
        for _ in range(2):
            x = self._rectangle(x, probability=0.5, low=0.02, high=0.09, at_edge=True, bright=0.8)
        return x

    def _cutout(self, x: Tensor) -> Tensor:
        return self._rectangle(x, probability=0.35, low=0.1, high=0.3, at_edge=False, bright=0.2)

    def _rectangle(
        self, x: Tensor, *, probability: float, low: float, high: float, at_edge: bool, bright: float
    ) -> Tensor:
        """Fill one box an image, sides `low` to `high` of the film's, with one grey level."""
        batch, size = x.shape[0], x.shape[-1]
        centre_x = self._uniform(batch, 0, 1, x)
        centre_y = self._uniform(batch, 0, 1, x)
        if at_edge:
            near = self._uniform(batch, 0.02, 0.16, x)
            centre_x = torch.where(centre_x < 0.5, near, 1 - near)
        width, height = self._uniform(batch, low, high, x), self._uniform(batch, low, high, x)
        light, dark = self._uniform(batch, 0.8, 1, x), self._uniform(batch, 0, 0.3, x)
        level = torch.where(self._chance(batch, bright, x), light, dark)
        ramp = (torch.arange(size, device=x.device) + 0.5) / size
        inside_x = (ramp[None] - centre_x[:, None]).abs() < width[:, None] / 2
        inside_y = (ramp[None] - centre_y[:, None]).abs() < height[:, None] / 2
        inside = inside_y[:, :, None] & inside_x[:, None, :] & self._chance(batch, probability, x)[:, None, None]
        return torch.where(inside[:, None], level.view(-1, 1, 1, 1), x)

    def _frame(self, x: Tensor) -> Tensor:
        """Draw a black or white margin of up to 12 % on any side."""
        batch, size = x.shape[0], x.shape[-1]
        margins = torch.rand(4, batch, device=x.device, generator=self.generator) * 0.12 * self.strength
        margins = margins * (torch.rand(4, batch, device=x.device, generator=self.generator) < 0.25)
        ramp = (torch.arange(size, device=x.device) + 0.5) / size
        left = ramp[None] < margins[0][:, None]
        right = ramp[None] > 1 - margins[1][:, None]
        top = ramp[None] < margins[2][:, None]
        bottom = ramp[None] > 1 - margins[3][:, None]
        outside = (left | right)[:, None, :] | (top | bottom)[:, :, None]
        level = torch.where(self._chance(batch, 0.25, x), 1.0, 0.0)
        return torch.where(outside[:, None], level.view(-1, 1, 1, 1), x)
