"""A safetensors file, mapped and not read (format: huggingface/safetensors, README)."""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aris.checkpoints.entries import Entry
from aris.errors import CheckpointError

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_MAX_HEADER = 100_000_000  # bytes; the safetensors format's own limit


class SafetensorsFile:
    """A safetensors file, mapped. Tensors are views of the map.

    Raises:
        CheckpointError: missing, truncated, or with a header that cannot be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                # A private map: PyTorch wants writable memory, and nothing written reaches the file.
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except FileNotFoundError:
            raise CheckpointError(f"{path}: missing; the checkpoint is incomplete, get it again") from None
        except ValueError:
            raise CheckpointError(f"{path}: the file is empty; get it again") from None
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
        size = int.from_bytes(self._map[:8], "little") if len(self._map) >= 8 else -1
        if not 0 < size <= min(_MAX_HEADER, len(self._map) - 8):
            raise CheckpointError(f"{path}: not a safetensors file, or truncated; get it again")
        try:
            header = json.loads(self._map[8 : 8 + size].decode("utf-8"))
            header.pop("__metadata__", None)
            self._tensors = {name: self._checked(name, entry, 8 + size) for name, entry in header.items()}
            self._require_apart()
        except CheckpointError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            raise CheckpointError(f"{path}: its header is damaged; get it again") from None

    def _checked(self, name: str, entry: dict[str, Any], start: int) -> tuple[torch.dtype, tuple[int, ...], int]:
        dtype, shape = entry["dtype"], tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        if dtype not in _DTYPES:
            raise CheckpointError(f"{self.path}: tensor {name!r:.100} has dtype {dtype!r:.20}, which is not supported")
        if not all(isinstance(n, int) and n >= 0 for n in (*shape, begin, end)):
            raise ValueError
        if end - begin != math.prod(shape) * _DTYPES[dtype].itemsize:
            raise CheckpointError(f"{self.path}: tensor {name!r:.100} does not have its size; get the file again")
        if start + end > len(self._map):
            raise CheckpointError(f"{self.path}: truncated before the end of tensor {name!r:.100}; get the file again")
        return _DTYPES[dtype], shape, start + begin

    def _require_apart(self) -> None:
        end = 0
        for name, (dtype, shape, start) in sorted(self._tensors.items(), key=lambda item: item[1][2]):
            if start < end:
                raise CheckpointError(f"{self.path}: damaged, tensor {name!r:.100} overlaps another one; get it again")
            end = start + math.prod(shape) * dtype.itemsize

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape."""
        return self._tensors[name][1]

    def dtype(self, name: str) -> torch.dtype:
        """A tensor's dtype in the file."""
        return self._tensors[name][0]

    def tensor(self, name: str) -> Tensor:
        """A tensor in the file's dtype: a view of the map."""
        dtype, shape, offset = self._tensors[name]
        count = math.prod(shape)
        if count == 0:
            return torch.zeros(shape, dtype=dtype)
        if offset % dtype.itemsize:  # not aligned: safetensors asks for it but does not ensure it
            raw = bytearray(self._map[offset : offset + count * dtype.itemsize])
            return torch.frombuffer(raw, dtype=dtype).view(shape)
        return torch.frombuffer(self._map, dtype=dtype, count=count, offset=offset).view(shape)

    def entries(self) -> Iterator[Entry]:
        """Every tensor, under the name it has."""
        for name in self._tensors:
            release = partial(self.release, name)
            yield Entry(name, self.shape(name), self.reader(name), self.dtype(name), release=release)

    def reader(self, name: str) -> Callable[[torch.dtype], Tensor]:
        """A function that gives the tensor in a dtype; a view where that is the file's own."""

        def read(dtype: torch.dtype) -> Tensor:
            tensor = self.tensor(name)
            if tensor.dtype == dtype:
                return tensor
            converted = tensor.to(dtype)
            self.release(name)
            return converted

        return read

    def equals(self, name: str, other: SafetensorsFile, theirs: str) -> bool:
        """Return whether a matrix holds the same, bit for bit, as one of this or another file."""
        one, two = self.tensor(name), other.tensor(theirs)
        same = one.dtype == two.dtype and one.shape == two.shape
        if same:
            # As bytes, so that a NaN equals itself; by rows, so that no mask of the whole size is made.
            pairs = zip(one.view(torch.uint8).split(4096), two.view(torch.uint8).split(4096), strict=True)
            same = all(torch.equal(a, b) for a, b in pairs)
            self.release(name)
        return same

    def release(self, name: str) -> None:
        """Let go of a tensor's pages, which would stay resident beside the copy; the file gives them back if asked."""
        kind, shape, offset = self._tensors[name]
        first = -(-offset // mmap.PAGESIZE) * mmap.PAGESIZE
        length = (offset + math.prod(shape) * kind.itemsize - first) // mmap.PAGESIZE * mmap.PAGESIZE
        if length > 0 and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED, first, length)
