"""Element-wise steps of a decoder layer with their ways back, one kernel each: RMS norm, RoPE, gated GELU.

The plain modules take a kernel for every operation and keep float32 copies between them.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _norm_kernel(x, weight, y, roots, eps, W: tl.constexpr, PADDED: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, PADDED)
    live = k < W
    value = tl.load(x + row * W + k, mask=live, other=0.0).to(tl.float32)
    root = tl.rsqrt(tl.sum(value * value, axis=0) / W + eps)
    gain = 1.0 + tl.load(weight + k, mask=live, other=0.0).to(tl.float32)
    tl.store(y + row * W + k, (value * root * gain).to(y.dtype.element_ty), mask=live)
    tl.store(roots + row, root)


@triton.jit
def _norm_back_kernel(grad, x, weight, roots, out, W: tl.constexpr, PADDED: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, PADDED)
    live = k < W
    root = tl.load(roots + row)
    unit = tl.load(x + row * W + k, mask=live, other=0.0).to(tl.float32) * root
    gain = 1.0 + tl.load(weight + k, mask=live, other=0.0).to(tl.float32)
    slope = tl.load(grad + row * W + k, mask=live, other=0.0).to(tl.float32) * gain
    along = tl.sum(slope * unit, axis=0) / W
    tl.store(out + row * W + k, (root * (slope - unit * along)).to(out.dtype.element_ty), mask=live)


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        flat = x.contiguous()
        width = flat.shape[-1]
        rows = flat.numel() // width
        y = torch.empty_like(flat)
        roots = torch.empty(rows, dtype=torch.float32, device=x.device)
        padded = triton.next_power_of_2(width)
        _norm_kernel[(rows,)](flat, weight, y, roots, eps, W=width, PADDED=padded, num_warps=_warps(padded))
        ctx.save_for_backward(flat, weight, roots)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        x, weight, roots = ctx.saved_tensors
        out = torch.empty_like(x)
        padded = triton.next_power_of_2(x.shape[-1])
        _norm_back_kernel[(len(roots),)](
            grad.contiguous(), x, weight, roots, out, W=x.shape[-1], PADDED=padded, num_warps=_warps(padded)
        )
        return out, None, None


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """`x / rms(x) * (1 + weight)` over the last axis, in x's dtype; the weight is frozen and gets no gradient."""
    out: Tensor = _Norm.apply(x, weight, eps)
    return out


@triton.jit
def _rotate_kernel(
    x, cos, sin, out, tokens, heads, batch_stride, head_stride, token_stride, table_stride, sign,
    D: tl.constexpr, HALF: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)  # of (batch, heads, tokens)
    token = row % tokens
    head = row // tokens % heads
    batch = row // tokens // heads
    k = tl.arange(0, HALF)
    live = k < D // 2
    at = x + batch * batch_stride + head * head_stride + token * token_stride + k
    table = batch * table_stride + token * D + k
    first = tl.load(at, mask=live, other=0.0).to(tl.float32)
    second = tl.load(at + D // 2, mask=live, other=0.0).to(tl.float32)
    c = tl.load(cos + table, mask=live, other=0.0).to(tl.float32)
    s = tl.load(sin + table, mask=live, other=0.0).to(tl.float32) * sign
    kind = out.dtype.element_ty
    tl.store(out + row * D + k, (first * c - second * s).to(kind), mask=live)
    tl.store(out + row * D + D // 2 + k, (second * c + first * s).to(kind), mask=live)


def _turned(x: Tensor, cos: Tensor, sin: Tensor, sign: float) -> Tensor:
    batch, heads, tokens, dim = x.shape
    if x.stride(3) != 1:
        x = x.contiguous()
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    stride = 0 if cos.shape[0] == 1 else cos.stride(0)
    _rotate_kernel[(batch * heads * tokens,)](
        x, cos, sin, out, tokens, heads, x.stride(0), x.stride(1), x.stride(2), stride, sign,
        D=dim, HALF=triton.next_power_of_2(dim // 2), num_warps=1,
    )  # fmt: skip
    return out


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin, 1.0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turned(grad, cos, sin, -1.0), None, None


def rotate(x: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
    """Queries or keys (B, heads, T, D) turned by cosines and sines (B or 1, 1, T, D), whose halves are equal."""
    cos, sin = (table.contiguous() for table in tables)
    out: Tensor = _Rotate.apply(x, cos, sin)
    return out


@triton.jit
def _tanh(x):
    return 1.0 - 2.0 / (1.0 + tl.exp(2.0 * x))


@triton.jit
def _gated_kernel(gate, up, out, count, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    live = at < count
    g = tl.load(gate + at, mask=live, other=0.0).to(tl.float32)
    u = tl.load(up + at, mask=live, other=0.0).to(tl.float32)
    t = _tanh(0.7978845608028654 * (g + 0.044715 * g * g * g))
    kind = out.dtype.element_ty
    tl.store(out + at, ((0.5 * g * (1.0 + t)).to(kind).to(tl.float32) * u).to(kind), mask=live)


@triton.jit
def _gated_back_kernel(grad, gate, up, to_gate, to_up, count, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    live = at < count
    d = tl.load(grad + at, mask=live, other=0.0).to(tl.float32)
    g = tl.load(gate + at, mask=live, other=0.0).to(tl.float32)
    u = tl.load(up + at, mask=live, other=0.0).to(tl.float32)
    t = _tanh(0.7978845608028654 * (g + 0.044715 * g * g * g))
    slope = 0.5 * (1.0 + t) + 0.5 * g * (1.0 - t * t) * 0.7978845608028654 * (1.0 + 3 * 0.044715 * g * g)
    kind = to_gate.dtype.element_ty
    tl.store(to_gate + at, (d * u * slope).to(kind), mask=live)
    tl.store(to_up + at, (d * 0.5 * g * (1.0 + t)).to(kind), mask=live)


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        gate, up = gate.contiguous(), up.contiguous()
        ctx.save_for_backward(gate, up)
        out = torch.empty_like(gate)
        _gated_kernel[(triton.cdiv(gate.numel(), 2048),)](gate, up, out, gate.numel(), BLOCK=2048, num_warps=8)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        to_gate, to_up = torch.empty_like(gate), torch.empty_like(up)
        _gated_back_kernel[(triton.cdiv(gate.numel(), 2048),)](
            grad.contiguous(), gate, up, to_gate, to_up, gate.numel(), BLOCK=2048, num_warps=8
        )
        return to_gate, to_up


def gated_gelu(gate: Tensor, up: Tensor) -> Tensor:
    """`gelu(gate) * up` with the tanh approximation, for tensors of one shape and dtype."""
    out: Tensor = _Gated.apply(gate, up)
    return out


def _warps(padded: int) -> int:
    return min(16, max(1, padded // 512))
