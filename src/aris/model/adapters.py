"""Low-rank adapters (LoRA, arXiv 2106.09685) on linear layers, in the layout of PEFT.

`y = x W^T + scale * (x A^T) B^T` with A (r, in) and B (out, r). `scale` is alpha / r, or alpha / sqrt(r) for rsLoRA
(arXiv 2312.03732).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aris.model.quantized import QuantizedLinear


class LoRALinear(nn.Linear):
    """A linear layer with an adapter. `weight` and `bias` are the base layer's own and keep their names."""

    def __init__(self, base: nn.Linear, r: int, alpha: float, *, rslora: bool = False) -> None:
        with torch.device("meta"):
            super().__init__(base.in_features, base.out_features, bias=False)
        self.weight = base.weight
        self.bias = base.bias
        self.r = r
        self.scale = alpha / (r**0.5 if rslora else r)
        self.lora_A = nn.Linear(base.in_features, r, bias=False, device=base.weight.device, dtype=base.weight.dtype)
        self.lora_B = nn.Linear(r, base.out_features, bias=False, device=base.weight.device, dtype=base.weight.dtype)
        nn.init.zeros_(self.lora_B.weight)  # an untrained adapter changes nothing

    def forward(self, x: Tensor) -> Tensor:
        low = self.lora_B(self.lora_A(x.to(self.lora_A.weight.dtype))) * self.scale
        return F.linear(x, self.weight, self.bias) + low.to(x.dtype)

    def merged(self) -> Tensor:
        """The weight (out, in) with the adapter folded in, computed in float32 and rounded once to its dtype."""
        delta = self.lora_B.weight.float() @ self.lora_A.weight.float()
        return (self.weight.float() + self.scale * delta).to(self.weight.dtype)


class LoRAQuantized(nn.Module):
    """A quantised linear layer with an adapter in the activations' dtype; the codes stay as they are."""

    def __init__(
        self, base: QuantizedLinear, r: int, alpha: float, *, rslora: bool = False, dtype: torch.dtype = torch.bfloat16
    ) -> None:
        super().__init__()
        self.base = base
        self.in_features, self.out_features = base.in_features, base.out_features
        self.r = r
        self.scale = alpha / (r**0.5 if rslora else r)
        device = base.qweight.device
        self.lora_A = nn.Linear(base.in_features, r, bias=False, device=device, dtype=dtype)
        self.lora_B = nn.Linear(r, base.out_features, bias=False, device=device, dtype=dtype)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out) in x's dtype."""
        low = self.lora_B(self.lora_A(x.to(self.lora_A.weight.dtype))) * self.scale
        return self.base(x) + low.to(x.dtype)


def attach_lora(
    model: nn.Module,
    select: Callable[[str], bool],
    r: int,
    alpha: float,
    *,
    rslora: bool = False,
) -> list[str]:
    """Put an adapter on every linear layer whose name `select` accepts; return those names, in the model's order."""
    chosen = [name for name, module in model.named_modules() if type(module) is nn.Linear and select(name)]
    for name in chosen:
        parent_name, _, child = name.rpartition(".")
        parent = model.get_submodule(parent_name)
        setattr(parent, child, LoRALinear(getattr(parent, child), r, alpha, rslora=rslora))
    return chosen


def merge_lora(model: nn.Module) -> int:
    """Fold every adapter into its layer, which becomes a plain linear layer again; return how many."""
    adapted = [(name, module) for name, module in model.named_modules() if isinstance(module, LoRALinear)]
    for name, module in adapted:
        with torch.device("meta"):
            plain = nn.Linear(module.in_features, module.out_features, bias=module.bias is not None)
        plain.weight = nn.Parameter(module.merged(), requires_grad=module.weight.requires_grad)
        plain.bias = module.bias
        parent_name, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent_name), child, plain)
    return len(adapted)
