"""Describes matrices in global memory to Hopper's copy engine (CUDA driver API, tensor map object management)."""

from __future__ import annotations

import ctypes
from ctypes import c_int, c_uint, c_uint64, c_void_p

from torch import Tensor

from aris.kernels.gpu.cuda_source import call_driver

_BFLOAT16, _PLAIN, _SWIZZLE_NONE, _SWIZZLE_128B, _PROMOTE_128B, _NO_FILL = 9, 0, 0, 3, 2, 0
_BYTES, _ALIGNMENT = 128, 64


def tensor_map(matrix: Tensor, box: tuple[int, int], *, swizzled: bool) -> bytes:
    """Make a kernel's `TensorMap` argument, to copy boxes of a matrix to shared memory.

    Args:
        matrix: (R, C) bfloat16 on a GPU, whose columns are contiguous; rows and the start lie at multiples of 16 bytes.
        box: rows and columns of a box; a row of it is 16 bytes or a multiple, 128 at most if it is swizzled.
        swizzled: the 16-byte parts of a row are permuted ("128B swizzle" of the PTX ISA), for the matrix units.

    Raises:
        CudaSourceError: the driver refuses it.
    """
    rows, columns = matrix.shape
    room = ctypes.create_string_buffer(_BYTES + _ALIGNMENT)
    at = -(-ctypes.addressof(room) // _ALIGNMENT) * _ALIGNMENT
    call_driver(
        "cuTensorMapEncodeTiled", "a matrix could not be described to the copy engine",
        c_void_p(at), c_int(_BFLOAT16), c_uint(2), c_void_p(matrix.data_ptr()), (c_uint64 * 2)(columns, rows),
        (c_uint64 * 1)(2 * matrix.stride(0)), (c_uint * 2)(box[1], box[0]), (c_uint * 2)(1, 1),
        c_int(_PLAIN), c_int(_SWIZZLE_128B if swizzled else _SWIZZLE_NONE), c_int(_PROMOTE_128B), c_int(_NO_FILL),
    )  # fmt: skip
    return ctypes.string_at(at, _BYTES)
