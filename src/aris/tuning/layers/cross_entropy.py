"""Cross-entropy over a large vocabulary without all its logits: a chunk of states at a time, gradient included."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Float32 logits that exist at once. 128 MiB are those of 128 states over Gemma's 262,144 tokens.
CHUNK_BYTES = 128 << 20


def chunked_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Compute losses (K,) float32 of states (K, W) against the head's matrix (V, W), for targets (K,) int64.

    A state's loss depends on that state alone, so its gradient is taken while its logits are there, and kept at the
    size of `hidden`. The matrix's own gradient, if it is trained, is made in a second pass over the logits.
    """
    losses: Tensor = _Chunked.apply(hidden, weight, targets)  # type: ignore[no-untyped-call]
    return losses


def _chunk(weight: Tensor) -> int:
    return max(1, CHUNK_BYTES // (4 * weight.shape[0]))


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            size, wants = _chunk(weight), ctx.needs_input_grad[0]
            losses = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
            slope = torch.empty_like(hidden) if wants else None
            for start in range(0, len(hidden), size):
                chunk = slice(start, start + size)
                scores = F.linear(hidden[chunk].to(weight.dtype), weight).float()
                log_total = scores.logsumexp(1, keepdim=True)
                wanted = targets[chunk, None]
                losses[chunk] = (log_total - scores.gather(1, wanted))[:, 0]
                if slope is not None:
                    chance = scores.sub_(log_total).exp_()
                    chance.scatter_add_(1, wanted, torch.full_like(log_total, -1.0))
                    slope[chunk] = (chance.to(weight.dtype) @ weight).to(slope.dtype)
        ctx.save_for_backward(slope, hidden if ctx.needs_input_grad[1] else None, weight, targets)
        return losses

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        slope, hidden, weight, targets = ctx.saved_tensors
        to_hidden = None if slope is None else (slope.float() * grad[:, None]).to(slope.dtype)
        to_weight = None
        if hidden is not None:
            to_weight = torch.zeros_like(weight)
            size = _chunk(weight)
            for start in range(0, len(hidden), size):
                chunk = slice(start, start + size)
                states = hidden[chunk].to(weight.dtype)
                chance = F.linear(states, weight).float().softmax(1)
                chance.scatter_add_(1, targets[chunk, None], torch.full_like(chance[:, :1], -1.0))
                to_weight.addmm_((chance * grad[chunk, None]).to(weight.dtype).T, states)
        return to_hidden, to_weight, None
