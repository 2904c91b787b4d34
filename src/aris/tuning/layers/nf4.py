"""Frozen linear layers in NF4 with double quantisation (QLoRA, arXiv 2305.14314), to be trained around.

Codes are packed as `aris.model.quantized` packs them, 64 columns a group. The groups' scales are quantised in turn:
less their mean, to 8 bits by blocks of 256 with one float32 each. That is 4 + 8/64 + 32/(64 * 256) = 4.127 bits a
weight. The dense matrix exists only during a layer's own product; the backward pass makes it again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aris.errors import ModelError
from aris.kernels.gpu.weights import NF4_VALUES
from aris.model.quantized import pack, unpack

GROUP = 64
SCALE_BLOCK = 256
# Rows of a matrix that are quantised at once; bounds the temporary float32 and index tensors.
_ROWS = 4096


def quantize_nf4(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Quantise a matrix (out, in) to packed codes uint8 (out, in/2) and the groups' scales float32 (out, in/64).

    Raises:
        ModelError: 64 does not divide the width.
    """
    if weight.shape[1] % GROUP:
        raise ModelError(f"NF4: groups of {GROUP} do not divide rows of {weight.shape[1]} columns; use the method lora")
    table = torch.tensor(NF4_VALUES, device=weight.device)
    edges = (table[1:] + table[:-1]) / 2  # a value goes to the nearest of the 16
    codes, scales = [], []
    for rows in weight.detach().split(_ROWS):
        groups = rows.float().view(len(rows), -1, GROUP)
        scale = groups.abs().amax(2)
        safe = torch.where(scale == 0, torch.ones_like(scale), scale)
        code = torch.bucketize(groups / safe[:, :, None], edges).to(torch.uint8)
        codes.append(pack(code.view(rows.shape), GROUP))
        scales.append(scale)
    return torch.cat(codes), torch.cat(scales)


def quantize_scales(scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Quantise scales float32 to int8 codes of their shape, factors float32 (blocks,), and their mean ()."""
    mean = scale.mean()
    flat = F.pad((scale - mean).reshape(-1), (0, -scale.numel() % SCALE_BLOCK)).view(-1, SCALE_BLOCK)
    factor = flat.abs().amax(1) / 127
    safe = torch.where(factor == 0, torch.ones_like(factor), factor)
    codes = torch.round(flat / safe[:, None]).clamp(-127, 127).to(torch.int8)
    return codes.view(-1)[: scale.numel()].view(scale.shape), factor, mean


def restore_scales(codes: Tensor, factor: Tensor, mean: Tensor) -> Tensor:
    """Restore the scales float32 of `quantize_scales`."""
    padded = F.pad(codes.reshape(-1), (0, -codes.numel() % SCALE_BLOCK)).view(-1, SCALE_BLOCK)
    return (padded.float() * factor[:, None] + mean).view(-1)[: codes.numel()].view(codes.shape)


@functools.cache
def _kernel() -> Callable[[Tensor, Tensor, Tensor, Tensor, torch.dtype], Tensor] | None:
    """Return the kernel that dequantises a matrix; None without Triton."""
    try:
        from aris.kernels.gpu.nf4 import dequantise_nf4
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "triton":
            raise
        return None
    return dequantise_nf4


class NF4Linear(nn.Module):
    """A frozen linear layer (out_features, in_features) in NF4.

    Attributes:
        qweight: uint8 (out, in/2); over several processes it and the next are seen as float8 of the same bits.
        scale_codes: int8 (out, in/64); `scale_factor` float32 (blocks,), `scale_mean` float32 ().
        bias: (out,) or None; it stays as it is.
    """

    qweight: Tensor
    scale_codes: Tensor
    scale_factor: Tensor
    scale_mean: Tensor

    def __init__(self, qweight: Tensor, scale: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.out_features, self.in_features = qweight.shape[0], qweight.shape[1] * 2
        codes, factor, mean = quantize_scales(scale)
        self.register_buffer("qweight", qweight)
        self.register_buffer("scale_codes", codes)
        self.register_buffer("scale_factor", factor)
        self.register_buffer("scale_mean", mean)
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)

    @classmethod
    def from_linear(cls, linear: nn.Linear, device: torch.device | None = None) -> NF4Linear:
        """Quantise a layer, on `device` if given."""
        bias = None if linear.bias is None else linear.bias.to(device)
        return cls(*quantize_nf4(linear.weight.detach().to(device)), bias)

    def dequantized(self, dtype: torch.dtype) -> Tensor:
        """Return the dense matrix (out, in)."""
        qweight, scale_codes = self.qweight.view(torch.uint8), self.scale_codes.view(torch.int8)
        if qweight.device.type == "cuda" and (kernel := _kernel()) is not None:
            return kernel(qweight, scale_codes, self.scale_factor, self.scale_mean, dtype)
        table = torch.tensor(NF4_VALUES, device=qweight.device, dtype=dtype)
        scale = restore_scales(scale_codes, self.scale_factor, self.scale_mean).to(dtype)
        codes = unpack(qweight, GROUP)
        values = table[codes.int()].view(self.out_features, -1, GROUP) * scale[:, :, None]
        return values.view(self.out_features, self.in_features)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the product of (..., in) to (..., out), in autocast's dtype where that is on, else in x's."""
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        out: Tensor = _Product.apply(x.to(dtype), self)  # type: ignore[no-untyped-call]
        return out if self.bias is None else out + self.bias.to(dtype)

    def extra_repr(self) -> str:
        return f"nf4, in={self.in_features}, out={self.out_features}"


class _Product(torch.autograd.Function):
    """A product x W^T that keeps neither x nor W for the backward pass: W is frozen, and is dequantised again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: NF4Linear) -> Tensor:
        ctx.layer = layer
        return F.linear(x, layer.dequantized(x.dtype))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad @ ctx.layer.dequantized(grad.dtype), None


def quantize_for_training(model: nn.Module, device: torch.device | None = None) -> int:
    """Replace every linear layer of a model's decoder by an `NF4Linear`, one at a time; return their number.

    Embedding, norms, tower and projector stay as they are: they are small, and the head is the embedding.
    """
    decoder = model.get_submodule("language_model")
    names = [name for name, module in decoder.named_modules() if type(module) is nn.Linear]
    for name in names:
        parent_name, _, child = name.rpartition(".")
        parent = decoder.get_submodule(parent_name)
        setattr(parent, child, NF4Linear.from_linear(getattr(parent, child), device))
    return len(names)
