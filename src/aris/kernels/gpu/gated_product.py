"""Many rows times gate and up weights with GeGLU in the product's end, for prompts on NVIDIA GPUs from 9.0 on.

The two halves of the product are never written: at 8,192 rows of 4B that saves half a gigabyte of memory traffic a
layer, more than this product loses against the vendor's.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from aris.kernels.gpu.activation import gelu
from aris.kernels.gpu.device import block_memory

# Fewer rows do not fill the tiles, so the vendor's product and a pass over its result are faster.
LEAST_ROWS = 2048
_M, _N, _K = 128, 128, 64


@triton.jit
def _gated_product_kernel(
    x,
    w,
    out,
    M,
    N,
    K,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    TOGETHER: tl.constexpr,
    PRECISION: tl.constexpr,
):
    # Programs that run at the same time share TOGETHER blocks of rows, so that both operands stay in L2.
    pid = tl.program_id(0)
    blocks_m = tl.cdiv(M, BLOCK_M)
    several = TOGETHER * tl.cdiv(N, BLOCK_N)
    first = pid // several * TOGETHER
    height = min(blocks_m - first, TOGETHER)
    m = (first + pid % several % height) * BLOCK_M
    n = pid % several // height * BLOCK_N
    total = tl.zeros((BLOCK_M, 2 * BLOCK_N), dtype=tl.float32)
    for k in range(0, K, BLOCK_K):
        # Gate rows, then the up rows of the same outputs.
        both = tl.reshape(w.load([0, n, k]), (2 * BLOCK_N, BLOCK_K))
        total = tl.dot(x.load([m, k]), both.T, total, input_precision=PRECISION)
    gate, up = tl.split(tl.permute(tl.reshape(total, (BLOCK_M, 2, BLOCK_N)), (0, 2, 1)))
    kind = out.dtype.element_ty
    # Rounded where the plain network rounds.
    gate = gelu(gate.to(kind).to(tl.float32)).to(kind).to(tl.float32)
    rows = m + tl.arange(0, BLOCK_M)
    target = out + rows.to(tl.int64)[:, None] * N + (n + tl.arange(0, BLOCK_N))[None, :]
    tl.store(target, (gate * up.to(kind).to(tl.float32)).to(kind), mask=(rows < M)[:, None])


def fits(rows: int, weight: Tensor) -> bool:
    """Return whether `gated_product` is the way to go for so many rows and a weight (2N, K)."""
    shape = weight.shape[0] % (2 * _N) == 0 and weight.shape[1] % _K == 0 and weight.dtype == torch.bfloat16
    if not (shape and rows >= LEAST_ROWS and weight.is_cuda):
        return False
    # Its tiles take 144 KiB of shared memory, which cards for consumers do not have.
    device = torch.cuda.current_device()
    return torch.cuda.get_device_capability(device) >= (9, 0) and block_memory(device) >= 144 << 10


def gated_product(
    x: Tensor,
    weight: Tensor,
    *,
    block_m: int = _M,
    block_n: int = _N,
    block_k: int = _K,
    stages: int = 3,
    num_warps: int = 8,
) -> Tensor:
    """Rows (T, K) to gelu(x G^T) * (x U^T), (T, N), with `weight` (2N, K): the rows of G, then of U.

    N and K must be multiples of the tile, which the other arguments set.
    """
    rows, columns = x.shape
    width = weight.shape[0] // 2
    out = x.new_empty(rows, width)
    halves = TensorDescriptor(weight, [2, width, columns], [width * columns, columns, 1], [2, block_n, block_k])
    _gated_product_kernel[(triton.cdiv(rows, block_m) * triton.cdiv(width, block_n),)](
        TensorDescriptor(x, [rows, columns], [columns, 1], [block_m, block_k]), halves, out, rows, width, columns,
        BLOCK_M=block_m, BLOCK_N=block_n, BLOCK_K=block_k, TOGETHER=8,
        PRECISION="ieee" if x.element_size() == 4 else "tf32", num_warps=num_warps, num_stages=stages,
    )  # fmt: skip
    return out
