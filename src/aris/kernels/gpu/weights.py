"""Weight matrices as a kernel sees them: dense, or packed in one of the quantised formats of `model/quantized.py`."""

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
            `pack_words` or `pack_tiles` makes it.
        scale: (out, in/g), or None for a dense matrix; (out, in/g, 2), minima beside the scales, for tiles.
        minimum: (out, in/g) for int4 in words, otherwise None.
        group_size: g, columns that share a scale.
        tiled: int4 whose data and scales are in the order of `pack_tiles`. Rows can be sliced by multiples of 16.
    """

    format: str
    data: Tensor
    scale: Tensor | None = None
    minimum: Tensor | None = None
    group_size: int = 0
    tiled: bool = False

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
    kind = (first.format, first.group_size, first.in_features, first.tiled)
    if any((w.format, w.group_size, w.in_features, w.tiled) != kind for w in weights):
        raise ValueError("only matrices of one width and format can be stacked")

    def joined(parts: list[Tensor | None]) -> Tensor | None:
        present = [part for part in parts if part is not None]
        return torch.cat(present) if present else None

    data = joined([w.data for w in weights])
    assert data is not None
    scale, minimum = joined([w.scale for w in weights]), joined([w.minimum for w in weights])
    return Weight(first.format, data, scale, minimum, first.group_size, first.tiled)


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
    for start in range(0, rows, _ROWS):
        codes = _codes(packed[start : start + _ROWS], group_size)
        word = _joined(codes.view(len(codes), -1, 8, 16).transpose(2, 3))
        words[start : start + _ROWS] = word.view(len(codes), -1)
    return words


def pack_tiles(packed: Tensor, scale: Tensor, minimum: Tensor, group_size: int) -> Weight:
    """int4 codes in the order in which `tiles.cu` reads them: every lane of a warp has what it needs in 16 bytes.

    Eight rows and 128 columns are 512 bytes: 32 lanes of four words. Word i of lane 4 r + t holds, of row r, the
    columns 32 i + 8 t to + 7: even ones in its low half, odd ones in its high half. Their scales and minima have an
    order of their own: row by row of the eight, the groups of the 128 columns, scale beside minimum.

    Args:
        packed: uint8 (out, in/2), as for `pack_words`.
        scale, minimum: bfloat16 (out, in/g).
        group_size: g: 32, 64 or 128.

    Raises:
        ValueError: the matrix has not a multiple of 16 rows and 128 columns, or the group is another.
    """
    rows, columns = packed.shape[0], 2 * packed.shape[1]
    if rows % 16 or columns % 128 or group_size not in (32, 64, 128) or scale.dtype != torch.bfloat16:
        raise ValueError(f"({rows}, {columns}) codes in groups of {group_size} cannot be laid out in tiles")
    words = torch.empty(rows, columns // 8, dtype=torch.int32, device=packed.device)
    for start in range(0, rows, _ROWS):
        codes = _codes(packed[start : start + _ROWS], group_size)
        # Rows of eight, their row, span, word i, lane t, column j of eight; the pairs of columns make halves.
        order = codes.view(-1, 8, columns // 128, 4, 4, 4, 2).permute(0, 2, 1, 4, 3, 6, 5)
        words[start : start + _ROWS] = _joined(order.reshape(-1, 8)).view(len(codes), -1)
    both = torch.stack((scale, minimum), dim=2).view(rows // 8, 8, columns // 128, -1)
    both = both.transpose(1, 2).contiguous().view(rows, columns // group_size, 2)
    return Weight("int4", words, both, None, group_size, tiled=True)


_ROWS = 512  # are unpacked at a time, which bounds the memory that it takes


def _codes(packed: Tensor, group_size: int) -> Tensor:
    """Packed codes (out, in/2) as int32 (out, in), in the order of the columns."""
    part = packed.view(len(packed), -1, group_size // 2)
    return torch.cat((part & 15, part >> 4), dim=2).view(len(packed), -1).to(torch.int32)


def _joined(codes: Tensor) -> Tensor:
    """Codes (..., 8) as words (...), the first in the lowest bits."""
    word = codes[..., 0].clone()
    for nibble in range(1, 8):
        word |= codes[..., nibble] << (4 * nibble)
    return word
