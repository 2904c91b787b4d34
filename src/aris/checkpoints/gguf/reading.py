"""Reading GGUF files (specification: ggml/docs/gguf.md), from one file or from parts that follow each other.

Nothing is copied until a tensor is asked for, and then a piece at a time: the file is mapped, never read whole.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aris.checkpoints.gguf.blocks import FORMATS, BlockFormat
from aris.errors import CheckpointError

MAGIC = b"GGUF"
# Values dequantised at once: 1 MB of float32, which stays in a core's cache and is three times faster than 16 MB.
_PIECE = 1 << 18
_MAX_TENSORS = 100_000
_MAX_METADATA = 100_000
_MAX_DIMENSIONS = 4

# Metadata value types: number -> struct format. 8 is a string, 9 an array.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


class ByteSpace:
    """Files mapped one after the other, addressed as one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.name = str(paths[0]) if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more parts"
        self._maps: list[mmap.mmap] = []
        self._ends: list[int] = []
        self.size = 0
        for path in paths:
            try:
                with path.open("rb") as file:
                    self._maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            except FileNotFoundError:
                raise CheckpointError(f"{path}: no such file; check the path, or run: aris models pull") from None
            except ValueError:
                raise CheckpointError(f"{path}: the file is empty; download it again") from None
            except OSError as error:
                raise CheckpointError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
            self.size += len(self._maps[-1])
            self._ends.append(self.size)

    def read(self, start: int, length: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """uint8 (length,): a view where the bytes lie in one part, a copy where they cross into the next."""
        if start < 0 or length < 0 or start + length > self.size:
            raise CheckpointError(f"{self.name}: the file ends too early; it is truncated, download it again")
        pieces = []
        begin = 0
        for part, end in zip(self._maps, self._ends, strict=True):
            low, high = max(start, begin), min(start + length, end)
            if low < high:
                pieces.append(np.frombuffer(part, dtype=np.uint8, count=high - low, offset=low - begin))
            begin = end
        if not pieces:
            return np.zeros(0, dtype=np.uint8)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def release(self, start: int, length: int) -> None:
        """Let go of bytes that were read: their pages would stay resident; the file gives them back if asked."""
        begin = 0
        for part, end in zip(self._maps, self._ends, strict=True):
            low, high = max(start, begin), min(start + length, end)
            first, last = -(-(low - begin) // mmap.PAGESIZE), (high - begin) // mmap.PAGESIZE
            if first < last and hasattr(mmap, "MADV_DONTNEED"):
                part.madvise(mmap.MADV_DONTNEED, first * mmap.PAGESIZE, (last - first) * mmap.PAGESIZE)
            begin = end


@dataclass(frozen=True)
class TensorInfo:
    """Location of a tensor. `shape` is in PyTorch's order (rows first); GGUF stores it reversed."""

    shape: tuple[int, ...]
    format: BlockFormat
    offset: int

    @property
    def values(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return self.values // self.format.values * self.format.nbytes


class GGUFFile:
    """A GGUF file, version 2 or 3, little-endian.

    Attributes:
        metadata: keys and values; arrays are lists.
        tensors: by the names in the file.

    Raises:
        CheckpointError: not GGUF, an unknown version or tensor type, truncated, or with contents that cannot be.
    """

    def __init__(self, *paths: Path) -> None:
        self.space = ByteSpace(paths)
        self._at = 0
        if self.space.size < 24 or bytes(self.space.read(0, 4)) != MAGIC:
            raise CheckpointError(f"{self.space.name}: not a GGUF file; give a .gguf file of a Gemma 3 model")
        self._at = 4
        version = self._scalar("I")
        if version in (2 << 24, 3 << 24):
            raise CheckpointError(f"{self.space.name}: a big-endian GGUF file; get the little-endian one")
        if version not in (2, 3):
            raise CheckpointError(f"{self.space.name}: GGUF version {version} is not supported (2 and 3 are)")
        tensors, entries = self._scalar("Q"), self._scalar("Q")
        if tensors > _MAX_TENSORS or entries > _MAX_METADATA:
            raise self._damaged("its header counts cannot be")
        self.metadata: dict[str, Any] = {}
        for _ in range(entries):
            key = self._string()
            self.metadata[key] = self._value(self._scalar("I"))
        self.tensors: dict[str, TensorInfo] = {}
        for _ in range(tensors):
            self._tensor_info()
        alignment = self.metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
            raise self._damaged("its alignment cannot be")
        self._data = -(-self._at // alignment) * alignment
        parts = self.metadata.get("split.count", 0)
        if isinstance(parts, int) and parts > 1:
            raise CheckpointError(
                f"{self.space.name}: one of {parts} shards; join them with llama-gguf-split --merge and give the result"
            )
        end = 0
        for name, info in sorted(self.tensors.items(), key=lambda item: item[1].offset):
            if self._data + info.offset + info.nbytes > self.space.size:
                raise CheckpointError(
                    f"{self.space.name}: tensor {name!r:.80} lies beyond the end of the file; "
                    "it is truncated, download it again"
                )
            if info.offset < end:
                raise self._damaged(f"tensor {name!r:.80} overlaps another one")
            end = info.offset + info.nbytes

    def tensor(self, name: str, dtype: torch.dtype = torch.float32) -> Tensor:
        """A tensor's values, computed in float32 and rounded once to `dtype`.

        Beside the result it takes a megabyte or two: pieces are read, dequantised, and their pages let go.
        """
        info = self.tensors[name]
        return self._dequantised(info, info.values, dtype).view(info.shape)

    def codes(self, name: str) -> tuple[Tensor, Tensor] | None:
        """A matrix as it is stored, codes int8 (out, in) and scales float32 (out, in/32); None in other formats."""
        info = self.tensors[name]
        form = info.format
        if form.codes is None or len(info.shape) != 2 or info.shape[1] % form.values:
            return None
        codes = torch.empty(info.values, dtype=torch.int8)
        scales = torch.empty(info.values // form.values)
        step = _PIECE // form.values
        for start in range(0, len(scales), step):
            count = min(step, len(scales) - start)
            first = self._data + info.offset + start * form.nbytes
            raw = self.space.read(first, count * form.nbytes).reshape(-1, form.nbytes)
            part, scale = form.codes(raw)
            at = slice(start * form.values, (start + count) * form.values)
            codes[at] = torch.from_numpy(np.ascontiguousarray(part).reshape(-1).copy())
            scales[start : start + count] = torch.from_numpy(scale.reshape(-1).copy())
            self.space.release(first, raw.size)
        return codes.view(info.shape), scales.view(info.shape[0], -1)

    def rows(self, name: str, count: int) -> Tensor:
        """The first rows of a matrix, at most `count`, float32."""
        info = self.tensors[name]
        rows = min(count, info.shape[0])
        return self._dequantised(info, rows * math.prod(info.shape[1:]), torch.float32).view(rows, *info.shape[1:])

    def same_bytes(self, one: str, other: str) -> bool:
        """Return whether two tensors of one format and shape hold the same."""
        size = self.tensors[one].nbytes
        first, second = (self._data + self.tensors[name].offset for name in (one, other))
        same = True
        for start in range(0, size, _PIECE):
            count = min(_PIECE, size - start)
            same &= np.array_equal(self.space.read(first + start, count), self.space.read(second + start, count))
            self.space.release(first + start, count)
            self.space.release(second + start, count)
        return same

    def _dequantised(self, info: TensorInfo, values: int, dtype: torch.dtype) -> Tensor:
        """The first values of a tensor, flat; a whole number of blocks."""
        form = info.format
        out = torch.empty(values, dtype=dtype)
        step = _PIECE // form.values * form.values
        for start in range(0, values, step):
            count = min(step, values - start)
            first = self._data + info.offset + start // form.values * form.nbytes
            raw = self.space.read(first, count // form.values * form.nbytes).reshape(-1, form.nbytes)
            with np.errstate(invalid="ignore", over="ignore"):
                piece = form.dequantize(raw).reshape(-1)
            # Plain float32 comes back as a view of the read-only map, which PyTorch does not take.
            out[start : start + count] = torch.from_numpy(piece if piece.flags.writeable else piece.copy())
            self.space.release(first, raw.size)
        return out

    def _damaged(self, why: str) -> CheckpointError:
        return CheckpointError(f"{self.space.name}: damaged, {why}; download it again")

    def _scalar(self, kind: str) -> Any:
        size = struct.calcsize("<" + kind)
        raw = self.space.read(self._at, size)
        self._at += size
        return struct.unpack("<" + kind, raw.tobytes())[0]

    def _string(self) -> str:
        length = self._scalar("Q")
        raw = self.space.read(self._at, length)
        self._at += length
        return raw.tobytes().decode("utf-8", errors="replace")

    def _value(self, kind: int) -> Any:
        if kind in _SCALARS:
            return self._scalar(_SCALARS[kind])
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            raise self._damaged(f"metadata type {kind} does not exist")
        of, count = self._scalar("I"), self._scalar("Q")
        if count > self.space.size - self._at:  # an element takes at least one byte
            raise self._damaged("a metadata array is longer than the file")
        if of == _STRING:
            return self._strings(count)
        if of not in _SCALARS:
            raise self._damaged(f"metadata arrays of type {of} are not supported")
        dtype = np.dtype("<" + _SCALARS[of])
        raw = self.space.read(self._at, count * dtype.itemsize)
        self._at += count * dtype.itemsize
        return np.frombuffer(raw.tobytes(), dtype=dtype).tolist()

    def _strings(self, count: int) -> list[str]:
        """An array of strings: a vocabulary has 262,144, so bytes are fetched by the megabyte."""
        out: list[str] = []
        window, begin = b"", self._at

        def fetch(at: int, length: int) -> bytes:
            nonlocal window, begin
            if not begin <= at or at + length > begin + len(window):
                begin = at
                window = self.space.read(at, min(max(length, 1 << 20), self.space.size - at)).tobytes()
                if len(window) < length:
                    raise self._damaged("it ends within a string")
            return window[at - begin : at - begin + length]

        for _ in range(count):
            (length,) = struct.unpack("<Q", fetch(self._at, 8))
            out.append(fetch(self._at + 8, length).decode("utf-8", errors="replace"))
            self._at += 8 + length
        return out

    def _tensor_info(self) -> None:
        name = self._string()
        if name in self.tensors:
            raise self._damaged(f"tensor {name!r:.60} is named twice")
        dimensions = self._scalar("I")
        if dimensions > _MAX_DIMENSIONS:
            raise self._damaged(f"tensor {name!r:.60} has {dimensions} dimensions")
        shape = tuple(self._scalar("Q") for _ in range(dimensions))[::-1]
        kind, offset = self._scalar("I"), self._scalar("Q")
        if kind not in FORMATS:
            known = ", ".join(known.name for known in FORMATS.values())
            raise CheckpointError(f"{self.space.name}: tensor type {kind} is not supported; requantise it to {known}")
        info = TensorInfo(shape, FORMATS[kind], offset)
        if info.values % info.format.values or (shape and shape[-1] % info.format.values):
            raise self._damaged(f"tensor {name!r:.60} does not divide into blocks")
        if info.nbytes > self.space.size:
            raise CheckpointError(
                f"{self.space.name}: tensor {name!r:.60} is larger than the file; it is truncated or damaged"
            )
        self.tensors[name] = info
