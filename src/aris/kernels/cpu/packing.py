"""Int8 matrices in groups of 32 columns, in the orders that the C++ kernels read, and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

GROUP = 32
LANES = 16
# Rows that are packed at once; bounds the temporary copies.
_ROWS = 16_384
# Room in a word's bound for the rounding of sums in float32, as a part of its residual's and of its own length.
_SLACK, _SLACK_OF_ALL = 1.01, 1e-5


@dataclass(frozen=True)
class PackedMatrix:
    """A matrix (outputs, columns); `codes` uint8 and `scales` float16 in the order of products.h."""

    codes: Tensor
    scales: Tensor
    outputs: int
    columns: int

    @property
    def nbytes(self) -> int:
        """Bytes that a product reads."""
        return self.codes.nbytes + self.scales.nbytes


@dataclass(frozen=True)
class PackedHead:
    """An embedding (words, columns) in two planes of four bits, in the order of head.h."""

    upper: Tensor
    lower: Tensor
    scales: Tensor
    bounds: Tensor
    parts: Tensor
    units: Tensor
    words: int
    columns: int

    @property
    def nbytes(self) -> int:
        """Bytes of all parts."""
        return self.sketch_nbytes + self.lower.nbytes + self.parts.nbytes + self.units.nbytes

    @property
    def sketch_nbytes(self) -> int:
        """Return the bytes that the search for the argmax reads at least."""
        return self.upper.nbytes + self.scales.nbytes + self.bounds.nbytes


def quantize_groups(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix (out, in) to codes int8, -127..127, made for scales float16 (out, in/32)."""
    groups = weight.float().view(len(weight), -1, GROUP)
    scale = (groups.abs().amax(2) / 127).half()
    safe = torch.where(scale == 0, torch.ones_like(scale), scale).float()
    codes = torch.round(groups / safe[:, :, None]).clamp(-127, 127).to(torch.int8)
    return codes.view(weight.shape), scale


def _padded(codes: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    more = -len(codes) % LANES
    return F.pad(codes, (0, 0, 0, more)), F.pad(scales, (0, 0, 0, more))


def _lanes_last(scales: Tensor) -> Tensor:
    """(out, G) to (out/16, G, 16)."""
    return scales.view(-1, LANES, scales.shape[1]).transpose(1, 2).contiguous()


def pack_matrix(codes: Tensor, scales: Tensor) -> PackedMatrix:
    """Codes int8 (out, in) and scales float16 (out, in/32); outputs are padded to a multiple of 16 with zeros."""
    codes, scales = _padded(codes, scales)
    outputs, columns = codes.shape
    packed = torch.empty(outputs // LANES, columns // GROUP, 8, LANES, 4, dtype=torch.uint8)
    for start in range(0, outputs, _ROWS):
        part = codes[start : start + _ROWS].view(-1, LANES, columns // GROUP, 8, 4)
        position = packed[start // LANES : start // LANES + len(part)]
        position.copy_(part.permute(0, 2, 3, 1, 4).to(torch.int16) + 128)
    return PackedMatrix(packed.view(-1), _lanes_last(scales).view(-1), outputs, columns)


def alternate(gate: tuple[Tensor, Tensor], up: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Two matrices of one shape as one, blocks of 16 outputs of each in turn."""

    def both(one: Tensor, two: Tensor) -> Tensor:
        blocks = torch.stack((one.view(-1, LANES, one.shape[1]), two.view(-1, LANES, two.shape[1])), dim=1)
        return blocks.reshape(-1, one.shape[1])

    return both(gate[0], up[0]), both(gate[1], up[1])


def pack_head(codes: Tensor, scales: Tensor) -> PackedHead:
    """Codes int8 (words, width) and scales float16 (words, width/32); words are padded to a multiple of 16."""
    words = len(codes)
    codes, scales = _padded(codes, scales)
    padded, columns = codes.shape
    shape = (padded // LANES, columns // GROUP, 4, LANES, 4)
    upper, lower = torch.empty(shape, dtype=torch.uint8), torch.empty(shape, dtype=torch.uint8)
    bounds, units = torch.empty(padded), torch.empty(padded)
    parts = torch.empty(padded // LANES, columns // GROUP, LANES, dtype=torch.uint8)
    for start in range(0, padded, _ROWS):
        part = codes[start : start + _ROWS].to(torch.int16)
        own = scales[start : start + _ROWS].float().abs()  # ggml's formats have scales below zero, lengths are not
        rest = part & 15
        square = ((rest - 8).float() ** 2).view(len(part), -1, GROUP).sum(2)
        whole = (part.float() ** 2).view(len(part), -1, GROUP).sum(2)
        residual, length = ((each * own**2).sum(1).sqrt() for each in (square, whole))
        words_at = slice(start, start + len(part))
        bounds[words_at] = residual * _SLACK + length * _SLACK_OF_ALL
        by_group = square.sqrt() * own * _SLACK + whole.sqrt() * own * _SLACK_OF_ALL
        unit = (by_group.amax(1) / 250).clamp(min=1e-30)
        units[words_at] = unit
        at = slice(start // LANES, start // LANES + len(part) // LANES)
        parts[at] = (
            torch.ceil(by_group / unit[:, None]).to(torch.uint8).view(-1, LANES, columns // GROUP).transpose(1, 2)
        )
        upper[at] = _nibbles((part >> 4) + 8)
        lower[at] = _nibbles(rest)
    flat = _lanes_last(scales).view(-1)
    return PackedHead(upper.view(-1), lower.view(-1), flat, bounds, parts.view(-1), units, words, columns)


def _nibbles(values: Tensor) -> Tensor:
    """Values 0..15 (rows, columns) to bytes (rows/16, columns/32, 4, 16, 4), the later columns in high nibbles."""
    groups = values.to(torch.uint8).view(-1, LANES, values.shape[1] // GROUP, 2, 4, 4)
    low, high = groups.unbind(3)
    return (low | (high << 4)).permute(0, 2, 3, 1, 4)


def unpack_matrix(packed: PackedMatrix) -> Tensor:
    """The float32 matrix (outputs, columns), padding included."""
    groups = packed.columns // GROUP
    codes = packed.codes.view(-1, groups, 8, LANES, 4).permute(0, 3, 1, 2, 4).reshape(packed.outputs, groups, GROUP)
    scales = packed.scales.view(-1, groups, LANES).transpose(1, 2).reshape(packed.outputs, groups)
    return ((codes.float() - 128) * scales.float()[:, :, None]).view(packed.outputs, packed.columns)
