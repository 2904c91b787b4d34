"""Fused element-wise steps under a model that is trained on a GPU."""

from __future__ import annotations

from torch import Tensor

from aris.kernels.gpu.training import gated_gelu, rms_norm, rotate
from aris.model import MedGemma
from aris.model.decoder import MLP, Attention
from aris.model.norms import RMSNorm


class FusedRMSNorm(RMSNorm):
    """A frozen norm, each pass in one kernel."""

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.weight, self.eps)


class FusedAttention(Attention):
    """Attention with RoPE, each pass in one kernel."""

    rotate = staticmethod(rotate)


class FusedMLP(MLP):
    """Feed-forward layer with its gate, each pass in one kernel."""

    gated = staticmethod(gated_gelu)


def fuse(model: MedGemma) -> None:
    """Replace the decoder's modules by fused ones; weights, names and results stay. Norms must be frozen."""
    kinds = {RMSNorm: FusedRMSNorm, Attention: FusedAttention, MLP: FusedMLP}
    for module in model.language_model.modules():
        fused = kinds.get(type(module))
        if fused is not None and not (fused is FusedRMSNorm and module.weight.requires_grad):
            module.__class__ = fused
