"""The product of an adapted layer with its own backward pass: no float32 copies, only x and x A^T are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class _LoRAProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Callable[[torch.dtype], Tensor], low: Tensor, high: Tensor, scale: float
    ) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        a, b = low.to(x.dtype), high.to(x.dtype)
        middle = rows @ a.T  # (N, r)
        out = F.linear(rows, weight(x.dtype)).addmm_(middle, b.T, alpha=scale)
        ctx.save_for_backward(rows, middle, low, high)
        ctx.weight, ctx.scale = weight, scale
        return out.view(*x.shape[:-1], out.shape[-1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, Tensor, Tensor, None]:
        rows, middle, low, high = ctx.saved_tensors
        shape = grad.shape
        grad = grad.reshape(-1, shape[-1])
        to_middle = (grad @ high.to(grad.dtype)).mul_(ctx.scale)  # (N, r)
        to_x = None
        if ctx.needs_input_grad[0]:
            to_x = (grad @ ctx.weight(grad.dtype)).addmm_(to_middle, low.to(grad.dtype))
            to_x = to_x.view(*shape[:-1], to_x.shape[-1])
        to_low = (to_middle.T @ rows).to(low.dtype)
        to_high = (grad.T @ middle).to(high.dtype).mul_(ctx.scale)
        return to_x, None, to_low, to_high, None


def lora_product(
    x: Tensor, weight: Callable[[torch.dtype], Tensor], low: Tensor, high: Tensor, scale: float
) -> Tensor:
    """Compute `x W^T + scale * (x A^T) B^T` in autocast's dtype where that is on, else in x's.

    Args:
        x: (..., in).
        weight: gives the frozen W (out, in) in a dtype; it is called again in the backward pass, and gets no gradient.
        low, high: A (r, in) and B (out, r), float32; their gradients are too.
    """
    kind = x.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
    with torch.autocast(kind, enabled=False):
        out: Tensor = _LoRAProduct.apply(x.to(dtype), weight, low, high, scale)  # type: ignore[no-untyped-call]
    return out
