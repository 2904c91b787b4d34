"""Writing a folder of safetensors a tensor at a time, in any order; the folder appears whole or not at all."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from aris.errors import CheckpointError, is_full_disk

SHARD = 4 * 1000**3  # bytes of tensors in a file, unless one tensor is larger
_NAMES = {
    torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int8: "I8", torch.uint8: "U8",
}  # fmt: skip
_SPARE = 64 << 20  # bytes of disk for what is not a tensor


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file beside its place and move it there: a kill or a power cut leaves the old file or the new one."""
    with _beside(path) as file:
        write(file)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` to write into, moved there when the block ends well, else removed.

    Raises:
        CheckpointError: `path` is a folder or its parent is none, or the disk is full or cannot be written.
    """
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder; give the file to write")
    if not path.parent.is_dir():
        raise CheckpointError(f"{path.parent}: no such folder; make it first")
    try:
        with _beside(path) as file:
            yield file
    except OSError as error:
        raise _unwritten(path, error) from None


@contextmanager
def _beside(path: Path) -> Iterator[BinaryIO]:
    fresh = path.with_name(f".{path.name}.new")
    try:
        with fresh.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)  # on a full disk its half would take the room that the next try needs
        raise


def _unwritten(path: Path, error: OSError) -> CheckpointError:
    if is_full_disk(error):
        return CheckpointError(f"{path}: the disk is full; free some space or choose another place")
    return CheckpointError(f"{path}: cannot be written ({error.strerror}); check its permissions")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` to write into, moved there when the block ends well, else removed.

    Raises:
        CheckpointError: `out` exists, its parent does not, or the disk is full or cannot be written.
    """
    if out.exists() or out.is_symlink():
        raise CheckpointError(f"{out}: exists already; give a new folder or remove it first")
    if not out.parent.is_dir():
        raise CheckpointError(f"{out.parent}: no such folder; make it first")
    made: Path | None = None
    try:
        made = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        yield made
        made.chmod(0o777 & ~_umask())  # mkdtemp lets only its maker in
        made.rename(out)
        made = None
    except OSError as error:
        raise _unwritten(out, error) from None
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


class SafetensorsWriter:
    """Safetensors, in shards with an index where they are large; every tensor has its place before any is written.

    Raises:
        CheckpointError: the disk has not enough free space.
    """

    def __init__(
        self,
        folder: Path,
        tensors: Mapping[str, tuple[torch.dtype, tuple[int, ...]]],
        metadata: Mapping[str, str],
        shard: int = SHARD,
    ) -> None:
        self._locations: dict[str, tuple[BinaryIO, int, torch.dtype, tuple[int, ...]]] = {}
        self._files: list[BinaryIO] = []
        sizes = {name: math.prod(shape) * dtype.itemsize for name, (dtype, shape) in tensors.items()}
        self.nbytes = sum(sizes.values())
        free = shutil.disk_usage(folder).free
        if self.nbytes + _SPARE > free:
            raise CheckpointError(
                f"{folder.parent}: {self.nbytes / 1e9:.1f} GB to write and {free / 1e9:.1f} GB free; free some space"
            )
        parts: list[list[str]] = [[]]
        filled = 0
        # safetensors allows no gaps: wide types go first, and what would leave the rest unaligned goes last.
        for name in sorted(tensors, key=lambda name: (sizes[name] % 64 != 0, -tensors[name][0].itemsize)):
            if parts[-1] and filled + sizes[name] > shard:
                parts.append([])
                filled = 0
            parts[-1].append(name)
            filled += sizes[name]
        index: dict[str, str] = {}
        for number, names in enumerate(parts, 1):
            file_name = "model.safetensors"
            if len(parts) > 1:
                file_name = f"model-{number:05d}-of-{len(parts):05d}.safetensors"
            index |= dict.fromkeys(names, file_name)
            self._start(folder / file_name, names, tensors, sizes, metadata)
        if len(parts) > 1:
            whole = {"metadata": {"total_size": self.nbytes}, "weight_map": index}
            (folder / "model.safetensors.index.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")

    def _start(
        self,
        path: Path,
        names: list[str],
        tensors: Mapping[str, tuple[torch.dtype, tuple[int, ...]]],
        sizes: Mapping[str, int],
        metadata: Mapping[str, str],
    ) -> None:
        header: dict[str, Any] = {"__metadata__": dict(metadata)}
        at = 0
        for name in names:
            dtype, shape = tensors[name]
            header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [at, at + sizes[name]]}
            at += sizes[name]
        text = json.dumps(header).encode()
        text += b" " * (-(8 + len(text)) % 64)
        file = path.open("wb")
        self._files.append(file)
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            self._locations[name] = (file, 8 + len(text) + header[name]["data_offsets"][0], *tensors[name])

    def write(self, name: str, tensor: Tensor) -> None:
        """Put a tensor in its place; each once, of the dtype and shape that were announced."""
        file, start, dtype, shape = self._locations.pop(name)
        if tensor.dtype != dtype or tuple(tensor.shape) != shape:
            raise ValueError(f"{name}: {tensor.dtype} {tuple(tensor.shape)} was announced as {dtype} {shape}")
        file.seek(start)
        if tensor.numel():
            file.write(tensor.contiguous().cpu().view(-1).view(torch.uint8).numpy().data)

    def close(self) -> None:
        """Flush to the disk.

        Raises:
            ValueError: a tensor that was announced was not written.
        """
        if self._locations:
            first = next(iter(self._locations))
            raise ValueError(f"{len(self._locations)} tensors were not written, {first} among them")
        for file in self._files:
            file.flush()
            os.fsync(file.fileno())
            file.close()

    def abandon(self) -> None:
        """Close what is open, without a word: something else has failed."""
        for file in self._files:
            with suppress(OSError):
                file.close()
