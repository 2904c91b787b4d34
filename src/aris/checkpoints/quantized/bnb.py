"""Weights that bitsandbytes quantised to 4 bits (NF4, FP4), dequantised by our own code (QLoRA, arXiv 2305.14314).

A quantised `X.weight` is stored as bytes of two codes each, first value in the high nibble, beside
`X.weight.absmax` (one for each block of values), `.quant_map` (the 16 levels) and `.quant_state.bitsandbytes__nf4` or
`__fp4` (JSON as bytes: shape, block size). With double quantisation `absmax` is itself 8-bit codes into
`.nested_quant_map`, times `.nested_absmax`, plus an offset.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from aris.errors import CheckpointError
from aris.kernels.gpu.weights import NF4_VALUES
from aris.model import Codes
from aris.model.quantized import pack

if TYPE_CHECKING:
    from aris.checkpoints.safetensors_file import SafetensorsFile

_STATE = ".quant_state.bitsandbytes__"
_SUFFIXES = (".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", f"{_STATE}nf4", f"{_STATE}fp4")


_ROWS = 512  # unpacked at once
_MAX_BLOCK = 1 << 16  # bitsandbytes itself goes to 4,096


def is_statistic(name: str) -> bool:
    """Return whether a tensor only describes another one's quantisation."""
    return name.endswith(_SUFFIXES)


@dataclass(frozen=True)
class Packed:
    """A quantised weight and what it takes to read it.

    Attributes:
        shape: of the weight.
        block: values that share an absmax.
    """

    name: str
    shape: tuple[int, ...]
    block: int
    nested_block: int
    offset: float
    nested: bool
    is_nf4: bool
    files: Mapping[str, SafetensorsFile]

    def _part(self, suffix: str) -> Tensor:
        key = f"{self.name}{suffix}"
        if key not in self.files:
            raise CheckpointError(f"{self.name}: {suffix[1:]} is missing; the checkpoint is incomplete, get it again")
        return self.files[key].tensor(key)

    def _misfit(self) -> CheckpointError:
        return CheckpointError(f"{self.name}: its quantised parts do not fit its shape; get the checkpoint again")

    def _absmax(self, blocks: int) -> Tensor:
        """float32 (blocks,): the largest magnitude of each block."""
        absmax = self._part(".absmax").flatten()
        if len(absmax) != blocks:
            raise self._misfit()
        if not self.nested:
            return absmax.float()
        levels = self._part(".nested_quant_map").float().flatten()
        scales = self._part(".nested_absmax").float().flatten()
        if absmax.dtype != torch.uint8 or len(levels) != 256 or len(scales) != -(-blocks // self.nested_block):
            raise self._misfit()
        return levels[absmax.long()] * scales.repeat_interleave(self.nested_block)[:blocks] + self.offset

    def codes_reader(self) -> Callable[[], Codes] | None:
        """A function that gives the matrix in our nf4, in 4 bits as it is; None where it cannot be held so.

        It can where it is NF4 and no block crosses into another row.
        """
        if not self.is_nf4 or len(self.shape) != 2 or self.shape[1] % self.block:
            return None
        levels = self._part(".quant_map").float().flatten()
        if len(levels) != 16 or not torch.allclose(levels, torch.tensor(NF4_VALUES), rtol=0, atol=1e-6):
            return None
        return self._codes

    def _codes(self) -> Codes:
        """Bytes of two neighbours, first in the high nibble, to bytes of columns j and j + g/2 of a group."""
        rows, columns = self.shape
        packed = self._part("").flatten().view(torch.uint8)
        if 2 * len(packed) != rows * columns:
            raise self._misfit()
        scale = self._absmax(rows * columns // self.block).view(rows, -1)
        packed = packed.view(rows, -1)
        out = torch.empty(rows, columns // 2, dtype=torch.uint8)
        for start in range(0, rows, _ROWS):
            part = packed[start : start + _ROWS]
            values = torch.stack((part >> 4, part & 15), dim=2).view(len(part), columns)
            out[start : start + _ROWS] = pack(values, self.block)
        self.files[self.name].release(self.name)
        return Codes("nf4", out, scale, None, self.block)

    def read(self, dtype: torch.dtype) -> Tensor:
        """The weight in `dtype`: levels looked up and scaled in float32, rounded once."""
        # Stored as bytes, or as another dtype that holds them (bnb_4bit_quant_storage).
        packed = self._part("").flatten().view(torch.uint8)
        levels = self._part(".quant_map").float().flatten()
        count = math.prod(self.shape)
        if 2 * len(packed) != count + count % 2 or len(levels) != 16:
            raise self._misfit()
        absmax = self._absmax(-(-count // self.block))
        out = torch.empty(count, dtype=dtype)
        step = max(self.block, (1 << 18) // self.block * self.block)  # whole blocks, about 1 MB of float32
        for start in range(0, count, step):
            stop = min(start + step, count)
            part = packed[start // 2 : (stop + 1) // 2]
            codes = torch.stack((part >> 4, part & 15), dim=1).flatten()[: stop - start].long()
            scales = absmax[start // self.block : -(-stop // self.block)].repeat_interleave(self.block)
            out[start:stop] = levels[codes] * scales[: stop - start]
        return out.view(self.shape)


def find(name: str, files: Mapping[str, SafetensorsFile]) -> Packed | None:
    """Find the reader of a quantised tensor; None if it is not quantised.

    Raises:
        CheckpointError: its description is damaged.
    """
    for kind in ("nf4", "fp4"):
        key = f"{name}{_STATE}{kind}"
        if key in files:
            break
    else:
        return None
    try:
        state: dict[str, Any] = json.loads(bytes(files[key].tensor(key).flatten().tolist()).decode("utf-8"))
        shape = tuple(int(n) for n in state["shape"])
        block = int(state["blocksize"])
        nested = "nested_blocksize" in state
        nested_block, offset = int(state.get("nested_blocksize", 1)), float(state.get("nested_offset", 0.0))
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError):
        raise CheckpointError(f"{name}: its quantisation's description is damaged; get the checkpoint again") from None
    if min(block, nested_block, *shape, 1) < 1 or block % 2 or max(block, nested_block) > _MAX_BLOCK:
        raise CheckpointError(f"{name}: its quantisation's description is damaged; get the checkpoint again")
    return Packed(name, shape, block, nested_block, offset, nested, kind == "nf4", files)
