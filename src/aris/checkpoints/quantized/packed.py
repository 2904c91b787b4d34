"""Our own quantised folders: a matrix `X.weight` is stored as `X.qweight`, `X.scale` and, for int4, `X.minimum`.

Layouts are those of `model/quantized.py`, so a mapped file serves as it is. The tensors say themselves which format
they are in: int8 codes are int8; of the 4-bit ones, uint8, int4 has minima and nf4 has none. `config.json` carries
`quantization_config` with `quant_method` "aris" and how the folder was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from aris.checkpoints.entries import Entry
from aris.errors import CheckpointError
from aris.model import Codes

if TYPE_CHECKING:
    from aris.checkpoints.safetensors_file import SafetensorsFile

METHOD = "aris"
ALIGNMENT = 64  # bytes; what PyTorch gives its own tensors
CODES, SCALE, MINIMUM = ".qweight", ".scale", ".minimum"


def is_codes(name: str) -> bool:
    """Return whether a tensor is a matrix's codes."""
    return name.endswith(CODES)


def is_statistic(name: str, files: Mapping[str, SafetensorsFile]) -> bool:
    """Return whether a tensor only belongs to another one's codes."""
    stem, _, last = name.rpartition(".")
    return f".{last}" in (SCALE, MINIMUM) and stem + CODES in files


def entry(name: str, files: Mapping[str, SafetensorsFile]) -> Entry:
    """The matrix whose codes a tensor is.

    Raises:
        CheckpointError: its parts are missing or do not fit each other.
    """
    stem = name.removesuffix(CODES)
    damaged = CheckpointError(f"{stem}: its quantised parts are missing or do not fit; quantise the model again")
    if stem + SCALE not in files:
        raise damaged
    kind, shape = files[name].dtype(name), files[name].shape(name)
    scale, has_minimum = files[stem + SCALE].shape(stem + SCALE), stem + MINIMUM in files
    form = {torch.int8: "int8", torch.uint8: "int4" if has_minimum else "nf4"}.get(kind)
    if form is None or len(shape) != 2 or len(scale) != 2 or min(*shape, *scale) < 1 or scale[0] != shape[0]:
        raise damaged
    width = shape[1] * (1 if form == "int8" else 2)
    wanted = torch.bfloat16 if form == "int4" else torch.float32
    fits = width % scale[1] == 0 and width // scale[1] % 2 == 0 and files[stem + SCALE].dtype(stem + SCALE) == wanted
    if has_minimum:
        least = files[stem + MINIMUM]
        fits = fits and (least.shape(stem + MINIMUM), least.dtype(stem + MINIMUM)) == (scale, wanted)
    if not fits or (form == "int8" and has_minimum):
        raise damaged

    def codes() -> Codes:
        minimum = files[stem + MINIMUM].tensor(stem + MINIMUM) if has_minimum else None
        qweight = files[name].tensor(name)
        if qweight.data_ptr() % ALIGNMENT:
            # PyTorch's int8 product on CPUs loads whole aligned vectors and crashes on others.
            qweight = qweight.clone()
        return Codes(form, qweight, files[stem + SCALE].tensor(stem + SCALE), minimum, width // scale[1])

    def read(dtype: torch.dtype) -> Tensor:
        whole = codes()
        out = torch.empty(shape[0], width, dtype=dtype)
        for start in range(0, shape[0], 1024):  # bounds the float32 copy
            rows = slice(start, start + 1024)
            minimum = None if whole.minimum is None else whole.minimum[rows]
            out[rows] = whole._replace(
                qweight=whole.qweight[rows], scale=whole.scale[rows], minimum=minimum
            ).dequantized()
        return out

    return Entry(f"{stem}.weight", (shape[0], width), read, codes=codes)
