"""The vision tower on CUDA: one product for q, k and v, GELU inside the product before it, attention by cuDNN."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from aris.model import MedGemma
from aris.model.vision import VisionLayer

# Images in one pass: more gain nothing, and their activations take memory.
BATCH = 8
# cuDNN's attention is the quickest at heads of 72; the others follow where it is missing.
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
        x = tower.embeddings(pixels).contiguous()
        images, patches, width = x.shape
        for layer in self._layers:
            module = layer.module
            heads = module.self_attn.heads
            qkv = F.linear(module.layer_norm1(x), layer.qkv, layer.qkv_bias)
            query, key, value = (
                part.view(images, patches, heads, -1).transpose(1, 2) for part in qkv.split(width, dim=-1)
            )
            with sdpa_kernel(_ATTENTION, set_priority=True):
                out = F.scaled_dot_product_attention(query, key, value)
            x = x + module.self_attn.out_proj(out.transpose(1, 2).reshape(x.shape))
            fc1, fc2 = module.mlp.fc1, module.mlp.fc2
            # The product's epilogue is the tanh approximation, which is the tower's own.
            inner = torch._addmm_activation(
                fc1.bias, module.layer_norm2(x).view(-1, width), fc1.weight.t(), use_gelu=True
            )
            x = x + fc2(inner).view(x.shape)
        soft: Tensor = projector(tower.post_layernorm(x))
        return soft
