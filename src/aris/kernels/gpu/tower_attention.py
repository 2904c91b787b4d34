"""Attention of a vision tower with heads of 72 dimensions, by a CUDA C++ kernel for Hopper (`tower_attention.cu`).

Of SigLIP's heads libraries compute 128 dimensions; here it is 80 for the scores and 72 for the values. The kernel ran
only emulated, not yet on a GPU, so it is used where `ARIS_TOWER_ATTENTION` is set to 1 and nowhere else.
"""

from __future__ import annotations

import functools
import math
import os
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from aris.kernels.gpu.cuda_source import Kernel, compiles, kernel, why_not

HEAD_DIM = 72
_KEYS = 128  # of a block: an image's patches must be a multiple
_STAGE = (HEAD_DIM // 8 * 2 + 1) * (_KEYS * 16 + 16)  # bytes of a block of keys and values


@dataclass(frozen=True)
class Plan:
    """How a thread block works.

    Attributes:
        groups: warp groups that compute, 2 or 3, each 64 queries.
        stages: blocks of keys and values in shared memory, at least 3 with `overlap`.
        overlap: each group multiplies one block's values beside the next one's scores; else groups overlap each other.
    """

    groups: int = 3
    stages: int = 3
    overlap: bool = False


DEFAULT = Plan()


def can_attend(patches: int, head_dim: int, dtype: torch.dtype) -> bool:
    """Whether the kernel takes such a tower, is asked for, and this machine has it."""
    fits = head_dim == HEAD_DIM and patches % _KEYS == 0 and dtype == torch.bfloat16
    wanted = os.environ.get("ARIS_TOWER_ATTENTION") == "1"
    return fits and wanted and torch.cuda.is_available() and _works(torch.cuda.current_device())


@functools.cache
def _works(device: int) -> bool:
    if why_not() or torch.cuda.get_device_capability(device) != (9, 0):
        return False
    return compiles(lambda: _kernel(device, DEFAULT), "the tower's attention is PyTorch's, which is slower")


def _kernel(device: int, plan: Plan) -> Kernel:
    definitions = {"GROUPS": plan.groups, "STAGES": plan.stages, "OVERLAP": int(plan.overlap)}
    return kernel("tower_attention.cu", "attend_tower", device, **definitions)


def tower_attention(qkv: Tensor, plan: Plan = DEFAULT) -> Tensor:
    """Full self-attention of every image over its patches, scores times 72 ** -0.5.

    Args:
        qkv: (N, P, 3, H, 72) bfloat16, contiguous; P is a multiple of 128.

    Returns:
        (N, P, H, 72) bfloat16.
    """
    images, patches, _, heads, _ = qkv.shape
    out = qkv.new_empty(images, patches, heads, HEAD_DIM)
    grid = (-(-patches // (64 * plan.groups)), images * heads, 1)
    arguments = (qkv, out, patches, heads, math.log2(math.e) / math.sqrt(HEAD_DIM))
    shared = plan.stages * (_STAGE + 16)
    _kernel(qkv.device.index or 0, plan).launch(grid, 128 * (plan.groups + 1), shared, arguments, pdl=False)
    return out


def tower_attention_reference(qkv: Tensor) -> Tensor:
    """The same in plain PyTorch."""
    query, key, value = qkv.permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2)
