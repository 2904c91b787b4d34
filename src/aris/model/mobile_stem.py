"""Inverted residual blocks as a tower's stem (MobileNetV2, arXiv 1801.04381; the blocks of EfficientNet-Lite0).

A stem that begins from ImageNet weights lets a small tower learn from hundreds of images of a kind; batch
normalisation is folded into the convolutions. Images of S x S pixels come out as (N, 112, S/16, S/16).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

# Repeats, kernel, stride of the first, expansion, channels: EfficientNet-Lite0's stages at strides 2 to 16.
LITE0_STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112))
LITE0_FIRST = 32
STRIDE = 16


class InvertedResidual(nn.Module):
    """Inverted residual block, (N, C_in, H, W) -> (N, C_out, H/stride, W/stride): widen, filter, narrow."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels_in * expansion
        self.kernel, self.stride, self.shortcut = kernel, stride, stride == 1 and channels_in == channels
        self.expand = nn.Conv2d(channels_in, wide, 1) if expansion > 1 else None
        self.depthwise = nn.Conv2d(wide, wide, kernel, stride, groups=wide)
        self.project = nn.Conv2d(wide, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else F.relu6(self.expand(x))
        out = self.project(F.relu6(self.depthwise(same_padding(wide, self.kernel, self.stride))))
        return x + out if self.shortcut else out


class MobileStem(nn.Module):
    """Stem of inverted residual blocks, (N, 3, S, S) -> (N, 112, S/16, S/16)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, LITE0_FIRST, 3, 2)
        blocks, channels = [], LITE0_FIRST
        for repeats, kernel, stride, expansion, wider in LITE0_STAGES:
            for at in range(repeats):
                blocks.append(InvertedResidual(channels, wider, kernel, stride if at == 0 else 1, expansion))
                channels = wider
        self.blocks = nn.Sequential(*blocks)
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(F.relu6(self.first(same_padding(x, 3, 2))))


def same_padding(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Pad as TensorFlow's "SAME" does: what is odd goes behind."""
    low, high = [], []
    for length in x.shape[-2:]:
        total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
        low.append(total // 2)
        high.append(total - total // 2)
    return F.pad(x, (low[1], high[1], low[0], high[0]))
