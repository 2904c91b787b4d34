"""Adapters in training: LoRA over dense or NF4 layers, with rsLoRA's scale and DoRA's magnitudes if asked."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aris.errors import DataError
from aris.model import LoRALinear
from aris.tuning.layers.lora_product import lora_product
from aris.tuning.layers.nf4 import NF4Linear

ALL_LINEAR = "all-linear"


class TunedLinear(LoRALinear):
    """A frozen layer and its adapter in float32.

    With DoRA (arXiv 2402.09353) each row of the adapted weight W + scale * B A is given a trained length; the length
    that it has by itself is a constant in the backward pass (section 4.3).

    Args:
        base: its weights are used as they are and never copied.
        dora: train the rows' lengths too.
    """

    base: NF4Linear | None
    lora_magnitude_vector: nn.Parameter | None

    def __init__(
        self, base: nn.Linear | NF4Linear, r: int, alpha: float, *, rslora: bool = False, dora: bool = False
    ) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = base.in_features, base.out_features
        self.r, self.scale = r, alpha / (r**0.5 if rslora else r)
        if isinstance(base, NF4Linear):
            self.register_parameter("weight", None)
            self.register_parameter("bias", None)
            self.base = base
            device = base.qweight.device
        else:
            self.weight, self.bias, self.base = base.weight, base.bias, None
            device = base.weight.device
        self.lora_A = nn.Linear(base.in_features, r, bias=False, device=device, dtype=torch.float32)
        self.lora_B = nn.Linear(r, base.out_features, bias=False, device=device, dtype=torch.float32)
        nn.init.zeros_(self.lora_B.weight)
        self.enabled = True
        magnitude = nn.Parameter(self.dense().norm(dim=1)) if dora else None
        self.register_parameter("lora_magnitude_vector", magnitude)

    def dense(self) -> Tensor:
        """Return the base weight float32 (out, in)."""
        return self.weight.detach().float() if self.base is None else self.base.dequantized(torch.float32)

    def frozen(self, dtype: torch.dtype) -> Tensor:
        """Return the base weight (out, in) in a dtype, as products take it."""
        return self.weight.detach().to(dtype) if self.base is None else self.base.dequantized(dtype)

    def forward(self, x: Tensor) -> Tensor:
        if self.enabled and self.lora_magnitude_vector is None:
            out = lora_product(x, self.frozen, self.lora_A.weight, self.lora_B.weight, self.scale)
            bias = self.bias if self.base is None else self.base.bias
            return out if bias is None else out + bias.to(out.dtype)
        if self.base is not None:
            out = self.base(x)
        else:
            out = F.linear(x, self.weight, self.bias if self.lora_magnitude_vector is None else None)
        if not self.enabled:
            return out if self.lora_magnitude_vector is None or self.bias is None else out + self.bias
        low = self.lora_B(self.lora_A(x.to(self.lora_A.weight.dtype))) * self.scale
        with torch.no_grad():
            length = (self.dense() + self.scale * self.lora_B.weight @ self.lora_A.weight).norm(dim=1)
        out = (self.lora_magnitude_vector / length).to(out.dtype) * (out + low.to(out.dtype))
        return out if self.bias is None else out + self.bias

    def merged(self) -> Tensor:
        """Compute the adapted weight (out, in) in float32; return it in the base's dtype, in bfloat16 over NF4."""
        weight = self.dense() + self.scale * self.lora_B.weight.detach() @ self.lora_A.weight.detach()
        if self.lora_magnitude_vector is not None:
            weight = weight * (self.lora_magnitude_vector.detach() / weight.norm(dim=1))[:, None]
        return weight.to(torch.bfloat16 if self.base is not None else self.weight.dtype)


def attach(
    model: nn.Module,
    targets: Sequence[str],
    r: int,
    alpha: float,
    *,
    tower: bool = False,
    rslora: bool = False,
    dora: bool = False,
) -> list[str]:
    """Put an untrained adapter on the targeted layers; return their names.

    Args:
        targets: "all-linear", ends of names ("q_proj"), or patterns over whole names ("*.layers.1?.mlp.*").
        tower: target the vision tower's layers too; otherwise only the decoder's.

    Raises:
        DataError: a target matches no layer.
    """
    prefixes = ("language_model.", "vision_tower.") if tower else ("language_model.",)
    layers = {
        name: module
        for name, module in model.named_modules()
        if (type(module) is nn.Linear or isinstance(module, NF4Linear)) and name.startswith(prefixes)
    }
    chosen: dict[str, None] = {}
    for target in targets:
        names = [name for name in layers if _matches(name, target)]
        if not names:
            raise DataError(f"recipe: the target {target!r:.60} matches no layer; try {ALL_LINEAR!r} or 'q_proj'")
        chosen.update(dict.fromkeys(names))
    for name in chosen:
        parent_name, _, child = name.rpartition(".")
        layer = layers[name]
        assert isinstance(layer, nn.Linear | NF4Linear)
        setattr(model.get_submodule(parent_name), child, TunedLinear(layer, r, alpha, rslora=rslora, dora=dora))
    return list(chosen)


def _matches(name: str, target: str) -> bool:
    return target == ALL_LINEAR or name.endswith(f".{target}") or fnmatch.fnmatchcase(name, target)


@contextmanager
def adapters_off(model: nn.Module) -> Iterator[None]:
    """Switch the adapters off: inside, the model answers as its base does."""
    layers = [module for module in model.modules() if isinstance(module, TunedLinear) and module.enabled]
    for layer in layers:
        layer.enabled = False
    try:
        yield
    finally:
        for layer in layers:
            layer.enabled = True
