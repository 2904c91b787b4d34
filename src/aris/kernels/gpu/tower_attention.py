"""Attention of a vision tower with heads of 72 dimensions, by a CUDA C++ kernel for Hopper (`tower_attention.cu`).

Of SigLIP's heads libraries compute 128 dimensions; here it is 80 for the scores and 72 for the values.
"""

from __future__ import annotations

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from aris.kernels.gpu.cuda_source import Kernel, compiles, driver_has, kernel, why_not
from aris.kernels.gpu.device import processors
from aris.kernels.gpu.tensor_map import tensor_map

HEAD_DIM = 72
# As in the CUDA source: keys of a block (an image's patches must be a multiple), warp groups, blocks in shared memory.
_KEYS, _GROUPS, _STAGES = 128, 3, 4
_QUERIES = 64 * _GROUPS  # of a tile
_SHARED = _STAGES * (2 * (2 * HEAD_DIM + 8) * 128 + 16) + _GROUPS * ((HEAD_DIM + 8) * 64 * 2 + 16)  # bytes


def can_attend(patches: int, head_dim: int, dtype: torch.dtype, device: torch.device) -> bool:
    """Return whether the kernel takes such a tower and this device has it."""
    fits = head_dim == HEAD_DIM and patches % _KEYS == 0 and dtype == torch.bfloat16 and device.type == "cuda"
    return fits and _works(device.index if device.index is not None else torch.cuda.current_device())


@functools.cache
def _works(device: int) -> bool:
    if why_not() or torch.cuda.get_device_capability(device) != (9, 0) or not driver_has("cuTensorMapEncodeTiled"):
        return False
    with torch.cuda.device(device):
        return compiles(lambda: _kernel(device), "the tower's attention is PyTorch's, which is slower")


def _kernel(device: int) -> Kernel:
    return kernel("tower_attention.cu", "attend_tower", device)


def tower_attention(query: Tensor, key_value: Tensor) -> Tensor:
    """Full self-attention of every image over its patches, scores times 72 ** -0.5.

    Args:
        query: (N, P, H, 72) bfloat16, contiguous; P is a multiple of 128.
        key_value: (2, H, 72, N, P) bfloat16, contiguous: patches last, as a product of weights and rows has them.

    Returns:
        (N, P, H, 72) bfloat16.
    """
    images, patches, heads, _ = query.shape
    device = query.device.index or 0
    out = torch.empty_like(query)
    rows = images * patches
    queries = tensor_map(query.view(rows, heads * HEAD_DIM), (64, 8), swizzled=False)
    keys = tensor_map(key_value.view(2 * heads * HEAD_DIM, rows), (HEAD_DIM, 64), swizzled=True)
    full = patches // _QUERIES
    tiles = images * heads * -(-patches // _QUERIES)
    sizes = (patches, heads, full, images * heads * full, tiles)
    arguments = (queries, keys, out, *sizes, math.log2(math.e) / math.sqrt(HEAD_DIM))
    grid = (min(tiles, processors(device)), 1, 1)
    _kernel(device).launch(grid, 128 * (_GROUPS + 1), _SHARED, arguments, pdl=False)
    return out


def tower_attention_reference(query: Tensor, key_value: Tensor) -> Tensor:
    """The same in plain PyTorch."""
    key, value = key_value.permute(0, 3, 1, 4, 2)
    return F.scaled_dot_product_attention(query.transpose(1, 2), key, value).transpose(1, 2)
