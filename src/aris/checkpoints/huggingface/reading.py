"""Hugging Face folders: `config.json`, `tokenizer.json` and safetensors, single or in shards, mapped and not read.

Prequantised bitsandbytes checkpoints are dequantised on the way (see `bnb.py`).
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aris.checkpoints.configs import read_config
from aris.checkpoints.entries import Entry
from aris.checkpoints.names import EMBEDDING, HEAD, is_dropped, is_head, our_name
from aris.checkpoints.quantized import bnb, packed
from aris.checkpoints.registry import TUNED_FROM
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
        """Whether a matrix holds the same, bit for bit, as one of this or another file."""
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


class HFFolder:
    """A folder as transformers saves it.

    Attributes:
        config: the model's shape.
        processor: how images are prepared: `image_processor` of `processor_config.json` (transformers 5), else the
            contents of `preprocessor_config.json`; empty if neither is there.
        tokenizer_path: where `tokenizer.json` is or should be.
        quantization: `quantization_config` of `config.json`, empty if there is none.
        tuned_from: the named model that a tuned one says it was made of; None if it says none.

    Raises:
        CheckpointError: files are missing or damaged, the weights are pickles, or the model is of another family.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        raw = self._json("config.json", required=True)
        # Fine-tunes may stop on tokens that only the second file names.
        stops = [*_ids(self._json("generation_config.json")), *_ids(raw)]
        if not stops and isinstance(raw.get("text_config"), dict):
            stops = _ids(raw["text_config"])
        raw["eos_token_id"] = list(dict.fromkeys(stops)) or None
        self.config = read_config(raw, str(path))
        quantization = raw.get("quantization_config")
        _require_readable(quantization, path)
        self.quantization: dict[str, Any] = quantization if isinstance(quantization, dict) else {}
        self.tuned_from: object = raw.get(TUNED_FROM)
        self._packed = self.quantization.get("quant_method") == packed.METHOD
        self.processor = self._processor()
        self.tokenizer_path = path / "tokenizer.json"
        self._files = self._open()
        self._tied = self._is_tied()
        if not self._tied:
            text = replace(self.config.text, tie_word_embeddings=False)
            self.config = replace(self.config, text=text)
        elif not self.config.text.tie_word_embeddings:
            if not any(is_head(name) for name in self._files):
                raise CheckpointError(
                    f"{path}: its head is not the embedding (tie_word_embeddings is false) and lm_head.weight is "
                    "missing; get it again"
                )
            self.config = replace(self.config, text=replace(self.config.text, tie_word_embeddings=True))

    def _processor(self) -> dict[str, Any]:
        whole = self._json("processor_config.json")
        inner = whole.get("image_processor")
        if not isinstance(inner, dict):
            inner = self._json("preprocessor_config.json")
        for name, part in (("processor_config.json", whole), ("its image processor", inner)):
            tokens = part.get("image_seq_length")
            if tokens is not None and self.config.vision is not None and tokens != self.config.mm_tokens_per_image:
                raise CheckpointError(
                    f"{self.path}: {name} gives {tokens!r:.20} tokens an image, config.json "
                    f"{self.config.mm_tokens_per_image}; use the checkpoint's own files"
                )
        return inner

    def _json(self, name: str, *, required: bool = False) -> dict[str, Any]:
        path = self.path / name
        if not path.is_file():
            if required:
                raise CheckpointError(f"{self.path}: no {name}; give a folder in Hugging Face layout, or a .gguf file")
            return {}
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError):
            raise CheckpointError(f"{path}: not readable as JSON; the file is damaged, get it again") from None
        if not isinstance(value, dict):
            raise CheckpointError(f"{path}: not a JSON object; the file is damaged, get it again")
        return value

    def _open(self) -> dict[str, SafetensorsFile]:
        """Which file holds which tensor."""
        index = self.path / "model.safetensors.index.json"
        if index.is_file():
            wanted = self._json(index.name).get("weight_map")
            if not isinstance(wanted, dict) or not wanted:
                raise CheckpointError(f"{index}: no weight_map; the file is damaged, get it again")
            files: dict[str, SafetensorsFile] = {}
            for name, file in wanted.items():
                if not isinstance(file, str) or Path(file).name != file:
                    raise CheckpointError(f"{index}: {file!r:.60} is not the name of a file beside it; get it again")
                if file not in files:
                    files[file] = SafetensorsFile(self.path / file)
                if name not in files[file]:
                    raise CheckpointError(f"{self.path / file}: lacks {name!r:.100}, which the index promises")
            return {name: files[file] for name, file in wanted.items()}
        single = self.path / "model.safetensors"
        if not single.is_file():
            if any(self.path.glob("*.bin")) or any(self.path.glob("*.pt*")):
                raise CheckpointError(
                    f"{self.path}: the weights are pickles, which can run code when read; convert them to safetensors"
                )
            raise CheckpointError(f"{self.path}: no model.safetensors; the checkpoint is incomplete, get it again")
        file = SafetensorsFile(single)
        return dict.fromkeys(file, file)

    def entries(self) -> Iterator[Entry]:
        """Every parameter of the model under our name, dequantised where the file is quantised.

        Raises:
            CheckpointError: a quantised tensor's statistics are missing or of another kind.
        """
        for name, file in self._files.items():
            if is_dropped(name) or bnb.is_statistic(name):
                continue
            if self._packed:
                if packed.is_codes(name):
                    yield packed.entry(name, self._files)
                    continue
                if packed.is_statistic(name, self._files):
                    continue
            if self._tied and is_head(name):
                continue
            four_bit = bnb.find(name, self._files)
            ours, release = our_name(name), partial(file.release, name)
            if four_bit is None:
                yield Entry(ours, file.shape(name), file.reader(name), file.dtype(name), release=release)
            else:
                codes = four_bit.codes_reader()
                yield Entry(ours, four_bit.shape, four_bit.read, codes=codes, release=release)

    def _is_tied(self) -> bool:
        """Whether there is no head, or only the embedding written out again."""
        heads = [name for name in self._files if our_name(name).startswith(HEAD.removesuffix("weight"))]
        if not heads:
            return True
        if not all(is_head(name) for name in heads):
            return False  # quantised: of our own folders, which write it only where it differs
        embeddings = [name for name in self._files if our_name(name) == EMBEDDING]
        return any(self._files[head].equals(head, self._files[name], name) for head in heads for name in embeddings)


def _ids(config: dict[str, Any]) -> list[Any]:
    """Token ids that end an answer, in a configuration's `eos_token_id`."""
    ids = config.get("eos_token_id")
    return [] if ids is None else ids if isinstance(ids, list) else [ids]


def _require_readable(quantization: Any, path: Path) -> None:
    """Refuse a way of quantising that we do not undo."""
    if quantization is None:
        return
    method = quantization.get("quant_method") if isinstance(quantization, dict) else quantization
    if method == packed.METHOD:
        return
    if method != "bitsandbytes":
        raise CheckpointError(f"{path}: quantised by {method!r:.40}, which is not supported; bitsandbytes is")
    if quantization.get("load_in_8bit") or quantization.get("_load_in_8bit"):
        raise CheckpointError(f"{path}: quantised to 8 bits by bitsandbytes; only its nf4 and fp4 are supported")
