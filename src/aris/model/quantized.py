"""Weights in 8 or 4 bits with a scale for each group of columns; activations stay as they are.

Formats, rows by output (so rows of several matrices can be stacked), g columns a group:

* int8: `qweight` int8 (out, in), `scale` float32 (out, in/g), w = scale * q, symmetric. g = in by default.
* int4: `qweight` uint8 (out, in/2), `scale` and `minimum` bfloat16 (out, in/g), w = scale * q + minimum, q in 0..15.
* nf4: `qweight` as int4, `scale` float32 (out, in/g), w = scale * NF4_VALUES[q] (QLoRA, arXiv 2305.14314).

In each group of the 4-bit formats byte j (0 <= j < g/2) holds column j in its low nibble and column j + g/2 in its
high one.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aris.errors import ModelError
from aris.kernels.gpu.weights import NF4_VALUES

FORMATS = ("int8", "int4", "nf4")
DEFAULT_GROUP = 64
# Shrunk ranges that are tried for each group of int4; the one with the least squared error is taken.
_CLIPPING = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75)
# Values that are quantised and rows that are unpacked at once, which bounds the float32 copies.
_VALUES = 1 << 21
_ROWS = 8192


class Codes(NamedTuple):
    """A quantised matrix (out, in): its format, tensors as the module describes, and columns a group."""

    format: str
    qweight: Tensor
    scale: Tensor
    minimum: Tensor | None
    group_size: int

    def to(self, device: torch.device | None) -> Codes:
        """The same on a device."""
        minimum = None if self.minimum is None else self.minimum.to(device)
        return self._replace(qweight=self.qweight.to(device), scale=self.scale.to(device), minimum=minimum)

    @property
    def in_features(self) -> int:
        """Columns of the matrix."""
        return self.qweight.shape[1] * (1 if self.format == "int8" else 2)

    @property
    def nbytes(self) -> int:
        """Bytes of all its tensors."""
        return sum(part.nbytes for part in (self.qweight, self.scale, self.minimum) if part is not None)

    def dequantized(self) -> Tensor:
        """The float32 matrix (out, in)."""
        return dequantize(self.format, self.qweight, self.scale, self.minimum, self.group_size)


def quantize_matrix(
    weight: Tensor, kind: str, group_size: int | None = None, device: torch.device | None = None
) -> Codes:
    """Round a matrix (out, in) to the nearest codes, some rows at a time, on `device` if given.

    Args:
        kind: "int8" or "int4".
        group_size: None is 64 for int4 and whole rows for int8.

    Raises:
        ModelError: an unknown format, or the width does not take the group.
    """
    size = _group(kind, group_size, weight.shape[1])
    parts: list[tuple[Tensor, Tensor, Tensor | None]] = []
    for rows in weight.detach().split(max(1, _VALUES // weight.shape[1])):
        rows = rows.to(device)
        if kind == "int8":
            parts.append((*quantize_int8(rows, size), None))
        elif kind == "int4":
            parts.append(quantize_int4(rows, size))
        else:
            raise ModelError(f"quantisation {kind!r:.20}: not known; use int8 or int4")
    minima = [minimum for _, _, minimum in parts if minimum is not None]
    joined = torch.cat(minima) if minima else None
    return Codes(kind, torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts]), joined, size)


def quantize_int8(weight: Tensor, group_size: int | None = None) -> tuple[Tensor, Tensor]:
    """A matrix (out, in) of any float dtype to int8 (out, in) and scales float32 (out, in/g).

    Raises:
        ModelError: the group does not divide the width.
    """
    groups = _groups(weight, group_size or weight.shape[1])
    scale = groups.abs().amax(2) / 127.0
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    codes = torch.round(groups / scale[:, :, None]).clamp(-127, 127)
    return codes.to(torch.int8).view(weight.shape), scale


def quantize_int4(weight: Tensor, group_size: int = DEFAULT_GROUP) -> tuple[Tensor, Tensor, Tensor]:
    """A matrix (out, in) to packed codes uint8 (out, in/2), scales and minima bfloat16 (out, in/g).

    Each group's range is shrunk a little where that lowers its squared error, against the scales as they are stored.

    Raises:
        ModelError: the group is odd or does not divide the width.
    """
    groups = _groups(weight, group_size)
    low, high = groups.amin(2), groups.amax(2)
    middle, half = (low + high) / 2, (high - low) / 2
    best: tuple[Tensor, Tensor, Tensor, Tensor] | None = None
    for clipping in _CLIPPING:
        scale = (2 * half * clipping / 15.0).clamp(min=1e-8).bfloat16()
        minimum = (middle - half * clipping).bfloat16()
        wide, least = scale.float()[:, :, None], minimum.float()[:, :, None]
        codes = torch.round((groups - least) / wide).clamp(0, 15)
        error = (codes * wide + least - groups).square().sum(2)
        if best is None:
            best = error, codes.to(torch.uint8), scale, minimum
            continue
        better = error < best[0]
        best = (
            torch.where(better, error, best[0]),
            torch.where(better[:, :, None], codes.to(torch.uint8), best[1]),
            torch.where(better, scale, best[2]),
            torch.where(better, minimum, best[3]),
        )
    assert best is not None
    return pack(best[1].view(weight.shape), group_size), best[2], best[3]


def pack(codes: Tensor, group_size: int) -> Tensor:
    """Codes 0..15, uint8 (out, in), to bytes (out, in/2) in the order that the module describes."""
    low, high = codes.view(codes.shape[0], -1, 2, group_size // 2).unbind(2)
    return (low | (high << 4)).view(codes.shape[0], -1)


def unpack(packed: Tensor, group_size: int) -> Tensor:
    """The codes of `pack`."""
    groups = packed.view(packed.shape[0], -1, group_size // 2)
    return torch.cat((groups & 15, groups >> 4), dim=2).view(packed.shape[0], -1)


def dequantize(kind: str, qweight: Tensor, scale: Tensor, minimum: Tensor | None, group_size: int) -> Tensor:
    """The float32 matrix (out, in) that quantised weights stand for."""
    if kind == "int8":
        codes = qweight.float()
    elif kind == "int4":
        codes = unpack(qweight, group_size).float()
    else:
        table = torch.tensor(NF4_VALUES, device=qweight.device)
        codes = table[unpack(qweight, group_size).long()]
    values = codes.view(codes.shape[0], -1, group_size) * scale.float()[:, :, None]
    if minimum is not None:
        values = values + minimum.float()[:, :, None]
    return values.view(codes.shape)


class _Quantized(nn.Module):
    """A matrix (out_features, in_features) in one of the formats.

    Attributes:
        format, group_size, in_features, out_features: as the module describes.
        qweight, scale, minimum: buffers; `minimum` is None but for int4.
    """

    qweight: Tensor
    scale: Tensor
    minimum: Tensor | None

    def __init__(
        self, kind: str, qweight: Tensor, scale: Tensor, minimum: Tensor | None, in_features: int, group_size: int
    ) -> None:
        super().__init__()
        self.format, self.group_size = kind, group_size
        self.in_features, self.out_features = in_features, qweight.shape[0]
        self.register_buffer("qweight", qweight)
        self.register_buffer("scale", scale)
        self.register_buffer("minimum", minimum)

    @classmethod
    def from_codes(cls, codes: Codes) -> Self:
        """A module on a matrix that is quantised already."""
        return cls(codes.format, codes.qweight, codes.scale, codes.minimum, codes.in_features, codes.group_size)

    def dequantized(self) -> Tensor:
        """The float32 matrix (out, in)."""
        return dequantize(self.format, self.qweight, self.scale, self.minimum, self.group_size)

    def extra_repr(self) -> str:
        return f"{self.format}, group_size={self.group_size}, in={self.in_features}, out={self.out_features}"


class QuantizedLinear(_Quantized):
    """A linear layer without a bias whose weight is quantised; the reference product, by way of the dense matrix."""

    @classmethod
    def from_linear(
        cls, linear: nn.Linear, kind: str, group_size: int | None = None, device: torch.device | None = None
    ) -> QuantizedLinear:
        """Quantise a layer, on `device` if given.

        Raises:
            ModelError: it has a bias, or its width does not take the group.
        """
        if linear.bias is not None:
            raise ModelError("quantisation: only layers without a bias are quantised")
        return cls.from_codes(quantize_matrix(linear.weight, kind, group_size, device))

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out) in x's dtype."""
        if self.group_size == self.in_features and _int8_op(x, self.format):
            flat = x.reshape(-1, self.in_features)
            out = torch._weight_int8pack_mm(flat, self.qweight, self.scale[:, 0].to(x.dtype))
            return out.view(*x.shape[:-1], -1)
        return F.linear(x, self.dequantized().to(x.dtype))


class CodedEmbedding(nn.Module):
    """An embedding or head that is not an `nn.Embedding`: rows are looked up, and all of them score a hidden state."""

    def lookup(self, token_ids: Tensor, dtype: torch.dtype) -> Tensor:
        """Ids (...) int64 to rows (..., width)."""
        raise NotImplementedError

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., width) to scores (..., vocabulary)."""
        raise NotImplementedError


class QuantizedEmbedding(_Quantized, CodedEmbedding):
    """The embedding and head, quantised; tied, or one of the two."""

    @classmethod
    def from_embedding(
        cls, embedding: nn.Embedding, kind: str, group_size: int | None = None, device: torch.device | None = None
    ) -> QuantizedEmbedding:
        """Quantise an embedding (vocabulary, width), on `device` if given."""
        return cls.from_codes(quantize_matrix(embedding.weight, kind, group_size, device))

    def lookup(self, token_ids: Tensor, dtype: torch.dtype) -> Tensor:
        """Ids (...) int64 to rows (..., width)."""
        flat = token_ids.reshape(-1)
        minimum = None if self.minimum is None else self.minimum[flat]
        rows = dequantize(self.format, self.qweight[flat], self.scale[flat], minimum, self.group_size)
        return rows.to(dtype).view(*token_ids.shape, -1)

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., width) to scores (..., vocabulary), some rows of the matrix at a time."""
        if self.group_size == self.in_features and _int8_op(hidden, self.format):
            flat = hidden.reshape(-1, self.in_features)
            scores = torch._weight_int8pack_mm(flat, self.qweight, self.scale[:, 0].to(hidden.dtype))
            return scores.view(*hidden.shape[:-1], -1)
        out = []
        for start in range(0, self.out_features, 4 * _ROWS):
            rows = slice(start, start + 4 * _ROWS)
            minimum = None if self.minimum is None else self.minimum[rows]
            weight = dequantize(self.format, self.qweight[rows], self.scale[rows], minimum, self.group_size)
            out.append(F.linear(hidden, weight.to(hidden.dtype)))
        return torch.cat(out, dim=-1)


def _int8_op(x: Tensor, kind: str) -> bool:
    """Return whether PyTorch's own product of bfloat16 rows and int8 weights serves; it has one for CPUs."""
    return kind == "int8" and x.device.type == "cpu" and x.dtype == torch.bfloat16


def _group(kind: str, group_size: int | None, width: int) -> int:
    return group_size or (width if kind == "int8" else DEFAULT_GROUP)


def _groups(weight: Tensor, group_size: int) -> Tensor:
    """(out, in) as float32 (out, in/g, g)."""
    if group_size < 2 or weight.shape[1] % group_size or group_size % 2:
        raise ModelError(f"quantisation: groups of {group_size} do not divide rows of {weight.shape[1]} columns")
    return weight.float().view(weight.shape[0], -1, group_size)
