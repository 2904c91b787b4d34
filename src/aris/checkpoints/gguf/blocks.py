"""Dequantisation of GGUF's block formats, as ggml defines them (ggml-quants.c), vectorised over blocks.

Each function takes a tensor's blocks as uint8 (N, bytes a block) and gives float32 (N, values a block).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Blocks = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int8]


def _half(blocks: Blocks, at: int) -> Values:
    """(N, 1) float32 of the float16 at byte `at` of each block."""
    return np.ascontiguousarray(blocks[:, at : at + 2]).view(np.float16).astype(np.float32)


def _nibbles(packed: Blocks) -> Blocks:
    """(N, 16) bytes to (N, 32) values: all low nibbles, then all high ones."""
    return np.concatenate([packed & 15, packed >> 4], axis=1)


def _fifth_bits(blocks: Blocks, at: int) -> Blocks:
    """(N, 32) of 0 or 16 from the 32 bits at byte `at`."""
    bits = np.unpackbits(np.ascontiguousarray(blocks[:, at : at + 4]), axis=1, bitorder="little")
    return (bits << 4).astype(np.uint8)


def q8_0(b: Blocks) -> Values:
    """32 signed bytes and a scale."""
    return b[:, 2:].view(np.int8).astype(np.float32) * _half(b, 0)


def q8_0_codes(b: Blocks) -> tuple[Codes, Values]:
    """The signed bytes (N, 32), and the scales (N, 1)."""
    return b[:, 2:].view(np.int8), _half(b, 0)


def q4_0_codes(b: Blocks) -> tuple[Codes, Values]:
    """The nibbles less 8, and the scales."""
    return _nibbles(b[:, 2:]).view(np.int8) - np.int8(8), _half(b, 0)


def q5_0_codes(b: Blocks) -> tuple[Codes, Values]:
    """The five-bit values less 16, and the scales."""
    return (_nibbles(b[:, 6:]) | _fifth_bits(b, 2)).view(np.int8) - np.int8(16), _half(b, 0)


def q4_0(b: Blocks) -> Values:
    """32 nibbles around 8 and a scale."""
    return (_nibbles(b[:, 2:]).astype(np.float32) - 8) * _half(b, 0)


def q4_1(b: Blocks) -> Values:
    """32 nibbles, a scale and a minimum."""
    return _nibbles(b[:, 4:]).astype(np.float32) * _half(b, 0) + _half(b, 2)


def q5_0(b: Blocks) -> Values:
    """32 five-bit values around 16 and a scale."""
    return ((_nibbles(b[:, 6:]) | _fifth_bits(b, 2)).astype(np.float32) - 16) * _half(b, 0)


def q5_1(b: Blocks) -> Values:
    """32 five-bit values, a scale and a minimum."""
    return (_nibbles(b[:, 8:]) | _fifth_bits(b, 4)).astype(np.float32) * _half(b, 0) + _half(b, 2)


def _scales_and_minima(packed: Blocks) -> tuple[Values, Values]:
    """The 12 bytes of Q4_K and Q5_K: eight 6-bit scales and eight 6-bit minima, (N, 8) each."""
    first, second, high = packed[:, 0:4], packed[:, 4:8], packed[:, 8:12]
    scales = np.concatenate([first & 63, (high & 15) | ((first >> 6) << 4)], axis=1)
    minima = np.concatenate([second & 63, (high >> 4) | ((second >> 6) << 4)], axis=1)
    return scales.astype(np.float32), minima.astype(np.float32)


def _k_nibbles(packed: Blocks) -> Blocks:
    """(N, 128) bytes to (N, 8, 32): each 32 bytes hold one group in the low nibbles and the next in the high ones."""
    groups = packed.reshape(-1, 4, 1, 32)
    return np.concatenate([groups & 15, groups >> 4], axis=2).reshape(-1, 8, 32)


def q4_k(b: Blocks) -> Values:
    """256 nibbles in 8 groups; scales and minima of the groups in 6 bits."""
    scales, minima = _scales_and_minima(b[:, 4:16])
    values = _k_nibbles(b[:, 16:144]).astype(np.float32)
    out = values * (scales * _half(b, 0))[:, :, None] - (minima * _half(b, 2))[:, :, None]
    return out.reshape(-1, 256)


def q5_k(b: Blocks) -> Values:
    """As Q4_K with a fifth bit: bit g of byte i belongs to value i of group g."""
    scales, minima = _scales_and_minima(b[:, 4:16])
    fifth = (b[:, 16:48][:, None, :] >> np.arange(8, dtype=np.uint8)[:, None]) & 1  # (N, 8, 32)
    values = (_k_nibbles(b[:, 48:176]) | (fifth << 4)).astype(np.float32)
    out = values * (scales * _half(b, 0))[:, :, None] - (minima * _half(b, 2))[:, :, None]
    return out.reshape(-1, 256)


def q6_k(b: Blocks) -> Values:
    """256 six-bit values around 32 in 16 groups with signed scales."""
    packed = b[:, 0:128].reshape(-1, 2, 1, 64)
    low = np.concatenate([packed & 15, packed >> 4], axis=2).reshape(-1, 2, 4, 32)
    high = b[:, 128:192].reshape(-1, 2, 1, 32) >> np.array([0, 2, 4, 6], dtype=np.uint8)[:, None]
    values = (low | ((high & 3) << 4)).astype(np.float32) - 32  # (N, 2, 4, 32)
    scales = np.ascontiguousarray(b[:, 192:208]).view(np.int8).astype(np.float32) * _half(b, 208)
    return (values.reshape(-1, 16, 16) * scales[:, :, None]).reshape(-1, 256)


def q3_k(b: Blocks) -> Values:
    """256 three-bit values around 4 (the third bit inverted, in a mask) in 16 groups with 6-bit signed scales."""
    mask, packed, scale_bytes = b[:, 0:32], b[:, 32:96], b[:, 96:108]
    low = packed.reshape(-1, 2, 1, 32) >> np.array([0, 2, 4, 6], dtype=np.uint8)[:, None]
    two_bits = (low & 3).reshape(-1, 8, 32)
    third = (mask[:, None, :] >> np.arange(8, dtype=np.uint8)[:, None]) & 1
    values = two_bits.astype(np.float32) - np.where(third, 0, 4).astype(np.float32)
    # Scales: 4 low bits from bytes 0..7 (low nibbles, then high), 2 high bits from bytes 8..11.
    four = np.concatenate([scale_bytes[:, :8] & 15, scale_bytes[:, :8] >> 4], axis=1)
    two = (scale_bytes[:, None, 8:12] >> np.array([0, 2, 4, 6], dtype=np.uint8)[:, None]) & 3
    scales = (four | (two.reshape(-1, 16) << 4)).astype(np.float32) - 32
    return (values.reshape(-1, 16, 16) * (scales * _half(b, 108))[:, :, None]).reshape(-1, 256)


def f32(b: Blocks) -> Values:
    """Plain float32."""
    return b.view(np.float32)


def f16(b: Blocks) -> Values:
    """Plain float16."""
    return b.view(np.float16).astype(np.float32)


def bf16(b: Blocks) -> Values:
    """Plain bfloat16: the upper half of a float32."""
    return (b.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


@dataclass(frozen=True)
class BlockFormat:
    """Block format of ggml: a tensor type."""

    name: str
    values: int
    nbytes: int
    dequantize: Callable[[Blocks], Values]
    # Codes int8 (N, values) and scales float32 (N, 1), where a value is nothing but code times scale.
    codes: Callable[[Blocks], tuple[Codes, Values]] | None = None


# By ggml's type number.
FORMATS: dict[int, BlockFormat] = {
    0: BlockFormat("F32", 1, 4, f32),
    1: BlockFormat("F16", 1, 2, f16),
    2: BlockFormat("Q4_0", 32, 18, q4_0, q4_0_codes),
    3: BlockFormat("Q4_1", 32, 20, q4_1),
    6: BlockFormat("Q5_0", 32, 22, q5_0, q5_0_codes),
    7: BlockFormat("Q5_1", 32, 24, q5_1),
    8: BlockFormat("Q8_0", 32, 34, q8_0, q8_0_codes),
    11: BlockFormat("Q3_K", 256, 110, q3_k),
    12: BlockFormat("Q4_K", 256, 144, q4_k),
    13: BlockFormat("Q5_K", 256, 176, q5_k),
    14: BlockFormat("Q6_K", 256, 210, q6_k),
    30: BlockFormat("BF16", 1, 2, bf16),
}
