"""The SigLIP vision tower and its way into the decoder (Gemma 3 report, section 2.1).

N images of S x S pixels, P patches, vision width V, M soft tokens an image, text width W.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aris.model.attention import attend_all
from aris.model.config import MedGemmaConfig, VisionConfig
from aris.model.embedding import embedding
from aris.model.mobile_stem import STRIDE, MobileStem
from aris.model.norms import RMSNorm
from aris.model.stem import StemStage


class PatchEmbeddings(nn.Module):
    """Pixels (N, 3, S, S) to patches (N, P, V): one convolution whose stride is its kernel, plus learned positions."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        channels, patch = config.num_channels, config.patch_size
        if config.stem_channels:
            stages = []
            for wider in config.stem_channels:
                stages.append(StemStage(channels, wider))
                channels, patch = wider, patch // 2
            self.stem: nn.Module = nn.Sequential(*stages)
        elif config.mobile_stem:
            self.stem = MobileStem()
            channels, patch = self.stem.channels, patch // STRIDE
        else:
            self.stem = nn.Identity()
        self.patch_embedding = nn.Conv2d(channels, config.hidden_size, kernel_size=patch, stride=patch)
        self.position_embedding = embedding(config.patches_per_side**2, config.hidden_size)

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.patch_embedding(self.stem(pixels.to(self.patch_embedding.weight.dtype)))
        return patches.flatten(2).transpose(1, 2) + self.position_embedding.weight


class VisionAttention(nn.Module):
    """Full self-attention over the patches of an image, with biases."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.head_dim = width // self.heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        shape = (*x.shape[:2], self.heads, self.head_dim)
        query, key, value = (
            project(x).view(shape).transpose(1, 2) for project in (self.q_proj, self.k_proj, self.v_proj)
        )  # (N, heads, P, head_dim)
        out = attend_all(query, key, value, self.head_dim**-0.5)
        return self.out_proj(out.transpose(1, 2).reshape(x.shape))


class VisionMLP(nn.Module):
    """Two layers with a tanh-approximated GELU between them, (N, P, V) -> (N, P, V)."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class VisionLayer(nn.Module):
    """Pre-norm transformer layer of the tower."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.self_attn = VisionAttention(config)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = VisionMLP(config)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class VisionEncoder(nn.Module):
    """The stack of layers."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(VisionLayer(config) for _ in range(config.num_hidden_layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class VisionTower(nn.Module):
    """Pixels (N, 3, S, S), in -1..1, to patch features (N, P, V). SigLIP's pooling head is not used."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.embeddings = PatchEmbeddings(config)
        self.encoder = VisionEncoder(config)
        self.post_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.post_layernorm(self.encoder(self.embeddings(pixels)))


class MultiModalProjector(nn.Module):
    """Patch features (N, P, V) to soft tokens (N, M, W): average pooling on the grid, RMSNorm, one matrix."""

    def __init__(self, config: MedGemmaConfig) -> None:
        super().__init__()
        assert config.vision is not None
        self.side = config.vision.patches_per_side
        self.kernel = self.side // round(config.mm_tokens_per_image**0.5)
        # Stored (in, out), unlike a Linear layer's weight.
        self.mm_input_projection_weight = nn.Parameter(torch.zeros(config.vision.hidden_size, config.text.hidden_size))
        self.mm_soft_emb_norm = RMSNorm(config.vision.hidden_size, config.vision.layer_norm_eps)

    def forward(self, patches: Tensor) -> Tensor:
        return self.project(self.pool(patches))

    def pool(self, patches: Tensor) -> Tensor:
        """(N, P, V) -> (N, M, V): the part without weights."""
        images, _, width = patches.shape
        grid = patches.transpose(1, 2).reshape(images, width, self.side, self.side)
        return F.avg_pool2d(grid, self.kernel).flatten(2).transpose(1, 2)

    def project(self, pooled: Tensor) -> Tensor:
        """(N, M, V) -> (N, M, W)."""
        return self.mm_soft_emb_norm(pooled) @ self.mm_input_projection_weight
