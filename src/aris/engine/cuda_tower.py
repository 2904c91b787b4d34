"""The vision tower on CUDA: one product for q, k and v, GELU and residual sums inside the products."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from aris.kernels.gpu.layer_norm import norm_ahead
from aris.kernels.gpu.tower_attention import can_attend, tower_attention
from aris.model import MedGemma
from aris.model.vision import VisionLayer

# Images in one pass: more gain nothing, and their activations take memory.
BATCH = 8
# cuDNN's attention is the quickest of PyTorch's at heads of 72; the others follow where it is missing.
_ATTENTION = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


@dataclass(frozen=True)
class _Layer:
    module: VisionLayer
    qkv: Tensor  # (3 V, V)
    qkv_bias: Tensor


class CudaTower:
    """Encodes images with a model's tower and projector, whose q, k and v become views of one matrix."""

    def __init__(self, model: MedGemma) -> None:
        assert model.vision_tower is not None
        self.model = model
        self._layers: list[_Layer] = []
        for layer in model.vision_tower.encoder.layers:
            assert isinstance(layer, VisionLayer)
            parts = (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj)
            whole = torch.cat([part.weight.data for part in parts])
            bias = torch.cat([part.bias.data for part in parts])
            for part, rows, offsets in zip(parts, whole.chunk(3), bias.chunk(3), strict=True):
                part.weight.data, part.bias.data = rows, offsets
            self._layers.append(_Layer(layer, whole, bias))

    def __call__(self, pixels: Tensor) -> Tensor:
        """Pixels (N, 3, S, S) to soft tokens (N, mm_tokens_per_image, W)."""
        return torch.cat([self._encode(part) for part in pixels.to(self.model.device).split(BATCH)])

    def _encode(self, pixels: Tensor) -> Tensor:
        tower, projector = self.model.vision_tower, self.model.multi_modal_projector
        assert tower is not None and projector is not None
        # The convolution leaves the patches last; every step after it is slower on that order.
        patches = tower.embeddings(pixels).contiguous()
        x = patches.view(-1, patches.shape[2])  # (N P, V), changed in place from here on
        for layer in self._layers:
            attention, mlp = layer.module.self_attn, layer.module.mlp
            normed = norm_ahead(x, layer.module.layer_norm1, attention.out_proj.bias)
            qkv = F.linear(normed, layer.qkv, layer.qkv_bias).view(*patches.shape[:2], 3, attention.heads, -1)
            x.addmm_(_attend(qkv).view(x.shape), attention.out_proj.weight.t())
            normed = norm_ahead(x, layer.module.layer_norm2, mlp.fc2.bias)
            # The product's epilogue is the tanh approximation, which is the tower's own.
            inner = torch._addmm_activation(mlp.fc1.bias, normed, mlp.fc1.weight.t(), use_gelu=True)
            x.addmm_(inner, mlp.fc2.weight.t())
        soft: Tensor = projector(norm_ahead(x, tower.post_layernorm, None).view(patches.shape))
        return soft


def _attend(qkv: Tensor) -> Tensor:
    """(N, P, 3, H, D) to (N, P, H, D), contiguous."""
    _, patches, _, _, head_dim = qkv.shape
    if can_attend(patches, head_dim, qkv.dtype):
        return tower_attention(qkv)
    query, key, value = qkv.permute(2, 0, 3, 1, 4)
    with sdpa_kernel(_ATTENTION, set_priority=True):
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).contiguous()
