"""How a kernel sees a weight matrix: dense, or packed in one of the quantised formats of `model/quantized.py`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Codes of the formats inside kernels (Triton constants must be numbers).
DENSE, INT8, INT4, NF4 = 0, 1, 2, 3
# NF4's code values (QLoRA, arXiv 2305.14314, appendix E).
NF4_VALUES = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
FORMATS = {"dense": DENSE, "int8": INT8, "int4": INT4, "nf4": NF4}


@dataclass(frozen=True)
class Weight:
    """A matrix (out, in) that multiplies rows from the right: y = x W^T.

    Attributes:
        format: "dense", "int8", "int4" or "nf4".
        data: dense (out, in) bfloat16 or float32; int8 (out, in); or for the 4-bit formats int32 (out, in/8), as
            `pack_words` makes it.
        scale: (out, in/g), or None for a dense matrix.
        minimum: (out, in/g) for int4, otherwise None.
        group_size: g, columns that share a scale.
    """

    format: str
    data: Tensor
    scale: Tensor | None = None
    minimum: Tensor | None = None
    group_size: int = 0

    @property
    def out_features(self) -> int:
        """Rows of the matrix."""
        return self.data.shape[0]

    @property
    def in_features(self) -> int:
        """Columns of the matrix."""
        return self.data.shape[1] * (8 if self.format in ("int4", "nf4") else 1)

    @property
    def nbytes(self) -> int:
        """Bytes that one pass over the matrix reads, scales included."""
        parts = (self.data, self.scale, self.minimum)
        return sum(part.nbytes for part in parts if part is not None)


def stack(weights: list[Weight]) -> Weight:
    """Several matrices of the same width and format as one, below each other: one product instead of several."""
    first = weights[0]
    kind = (first.format, first.group_size, first.in_features)
    if any((w.format, w.group_size, w.in_features) != kind for w in weights):
        raise ValueError("only matrices of one width and format can be stacked")

    def joined(parts: list[Tensor | None]) -> Tensor | None:
        present = [part for part in parts if part is not None]
        return torch.cat(present) if present else None

    data = joined([w.data for w in weights])
    assert data is not None
    return Weight(
        first.format, data, joined([w.scale for w in weights]), joined([w.minimum for w in weights]), first.group_size
    )


def pack_words(packed: Tensor, group_size: int) -> Tensor:
    """The 4-bit codes of `model/quantized.py` in the order that these kernels read: int32 (out, in/8).

    A row is cut into spans of 128 columns of 16 words. Nibble i of word c is column 16 i + c of its span, so that a
    thread which loads neighbouring words needs neighbouring inputs.

    Args:
        packed: uint8 (out, in/2). Inside each group, byte j holds column j in its low nibble and column j + g/2 in its
            high one.
        group_size: g, a divisor of 128.

    Raises:
        ValueError: the width is no multiple of 128, or the group does not divide 128.
    """
    rows, half = packed.shape
    if 2 * half % 128 or 128 % group_size:
        raise ValueError(f"4-bit rows of {2 * half} columns in groups of {group_size} do not fill spans of 128")
    words = torch.empty(rows, half // 4, dtype=torch.int32, device=packed.device)
    for start in range(0, rows, 512):  # bounds what the unpacked codes take
        part = packed[start : start + 512].view(-1, 2 * half // group_size, group_size // 2)
        codes = torch.cat((part & 15, part >> 4), dim=2).view(len(part), 2 * half // 128, 8, 16).to(torch.int32)
        word = codes[:, :, 0].clone()
        for nibble in range(1, 8):
            word |= codes[:, :, nibble] << (4 * nibble)
        words[start : start + 512] = word.view(len(part), -1)
    return words
