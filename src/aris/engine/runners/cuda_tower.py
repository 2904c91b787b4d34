"""The vision tower on CUDA: products as large as they get, GELU and residual sums inside them, biases in the norms.

The rows between layers are kept without the biases of the products that were added to them: these are the same for all
rows, and every norm adds their sum so far (in float32). So a residual sum is one product with beta = 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from aris.kernels.gpu.layer_norm import shifted_norm
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
    shift1: Tensor  # (V,) float32: what the rows lack at the first norm
    shift2: Tensor  # and at the second


class CudaTower:
    """Encodes images with a model's tower and projector, whose q, k and v become views of one matrix.

    Biases and the convolution are kept as copies: the model's weights are not to be changed afterwards.
    """

    def __init__(self, model: MedGemma) -> None:
        vision = model.config.vision
        assert model.vision_tower is not None and vision is not None
        self.model = model
        embedding = model.vision_tower.embeddings.patch_embedding
        # The convolution as a product; rows of a multiple of 16 bytes.
        assert embedding.bias is not None
        taps = embedding.weight.data.flatten(1)
        self._taps = F.pad(taps, (0, -taps.shape[1] % 8))  # (V, C K K and zeros)
        # Whether attention is this package's kernel, which takes keys and values with the patches last.
        self._heads = vision.num_attention_heads, vision.hidden_size // vision.num_attention_heads
        self._own = can_attend(vision.patches_per_side**2, self._heads[1], model.dtype, model.device)
        shift = embedding.bias.data.float()
        self._layers: list[_Layer] = []
        for layer in model.vision_tower.encoder.layers:
            assert isinstance(layer, VisionLayer)
            attention = layer.self_attn
            parts = (attention.q_proj, attention.k_proj, attention.v_proj)
            whole = torch.cat([part.weight.data for part in parts])
            bias = torch.cat([part.bias.data for part in parts])
            for part, rows, offsets in zip(parts, whole.chunk(3), bias.chunk(3), strict=True):
                part.weight.data, part.bias.data = rows, offsets
            after = shift + attention.out_proj.bias.data
            if self._own:  # the values' bias is added behind attention
                after = after + attention.out_proj.weight.data.float() @ attention.v_proj.bias.data.float()
            self._layers.append(_Layer(layer, whole, bias, shift, after))
            shift = after + layer.mlp.fc2.bias.data
        self._shift = shift

    def __call__(self, pixels: Tensor) -> Tensor:
        """Pixels (N, 3, S, S) to soft tokens (N, mm_tokens_per_image, W)."""
        return torch.cat([self._encode(part) for part in pixels.to(self.model.device).split(BATCH)])

    def _encode(self, pixels: Tensor) -> Tensor:
        tower, projector = self.model.vision_tower, self.model.multi_modal_projector
        assert tower is not None and projector is not None
        patches = self._embed(pixels)
        x = patches.view(-1, patches.shape[2])  # (N P, V), changed in place from here on
        attend, shape = _own_attention if self._own else _attention, (*patches.shape[:2], *self._heads)
        for layer in self._layers:
            attention, mlp = layer.module.self_attn, layer.module.mlp
            normed = shifted_norm(x, layer.shift1, layer.module.layer_norm1)
            attended = attend(normed, layer, shape)
            x.addmm_(attended.view(x.shape), attention.out_proj.weight.t())
            normed = shifted_norm(x, layer.shift2, layer.module.layer_norm2)
            # The product's epilogue is the tanh approximation, which is the tower's own.
            inner = torch._addmm_activation(mlp.fc1.bias, normed, mlp.fc1.weight.t(), use_gelu=True)
            x.addmm_(inner, mlp.fc2.weight.t())
        soft: Tensor = projector(shifted_norm(x, self._shift, tower.post_layernorm).view(patches.shape))
        return soft

    def _embed(self, pixels: Tensor) -> Tensor:
        """Pixels (N, 3, S, S) to patches (N, P, V) with their positions, without the convolution's bias."""
        assert self.model.vision_tower is not None
        embeddings = self.model.vision_tower.embeddings
        images, channels, height, width = pixels.shape
        kernel = embeddings.patch_embedding.kernel_size[0]
        down, across = height // kernel, width // kernel
        rows = self._taps.new_zeros(images, down * across, self._taps.shape[1])
        squares = pixels[:, :, : down * kernel, : across * kernel]
        squares = squares.unflatten(3, (across, kernel)).unflatten(2, (down, kernel)).permute(0, 2, 4, 1, 3, 5)
        rows[:, :, : channels * kernel * kernel].view(squares.shape).copy_(squares)
        positions = embeddings.position_embedding.weight.expand(images, -1, -1)
        return torch.baddbmm(positions, rows, self._taps.t().expand(images, -1, -1))


def _own_attention(rows: Tensor, layer: _Layer, shape: tuple[int, int, int, int]) -> Tensor:
    """Rows (N P, V) to (N, P, H, D).

    A bias of the keys adds the same to all scores of a query, which the softmax takes out again; that of the values is
    added to every result, as weights sum to 1, and is in the layer's `shift2`. So neither is added here.
    """
    images, patches, heads, head_dim = shape
    width = rows.shape[1]
    query = F.linear(rows, layer.qkv[:width], layer.qkv_bias[:width])
    key_value = layer.qkv[width:] @ rows.t()
    return tower_attention(query.view(shape), key_value.view(2, heads, head_dim, images, patches))


def _attention(rows: Tensor, layer: _Layer, shape: tuple[int, int, int, int]) -> Tensor:
    """The same by PyTorch's attention."""
    images, patches, heads, head_dim = shape
    qkv = F.linear(rows, layer.qkv, layer.qkv_bias).view(images, patches, 3, heads, head_dim)
    query, key, value = qkv.permute(2, 0, 3, 1, 4)
    with sdpa_kernel(_ATTENTION, set_priority=True):
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).contiguous()
