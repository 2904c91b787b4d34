"""The convolutional stem of `aris-nano`'s tower (SigLIP has none; see `VisionConfig.stem_channels`).

Trained on thousands of films instead of billions of images, a small transformer needs what convolutions know from
the start: that neighbours matter and that position does not ("Early convolutions help transformers see better",
arXiv 2106.14881). Each stage halves the resolution, then mixes with one ConvNeXt block (arXiv 2201.03545).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class StemStage(nn.Module):
    """(B, C_in, S, S) -> (B, C_out, S/2, S/2)."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels_in, channels, kernel_size=3, stride=2, padding=1)
        self.down_norm = nn.GroupNorm(1, channels)
        self.depthwise = nn.Conv2d(channels, channels, kernel_size=5, padding=2, groups=channels)
        self.norm = nn.GroupNorm(1, channels)
        self.expand = nn.Conv2d(channels, 3 * channels, kernel_size=1)
        self.contract = nn.Conv2d(3 * channels, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.down_norm(self.down(x)), approximate="tanh")
        return x + self.contract(F.gelu(self.expand(self.norm(self.depthwise(x))), approximate="tanh"))
