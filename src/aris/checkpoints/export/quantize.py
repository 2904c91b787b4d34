"""A checkpoint of any format rounded to 8 or 4 bits, matrix by matrix, into a folder that is loaded in place.

Without calibration a matrix is read, rounded and written before the next one is read. With it a layer's matrices are
held together, since their inputs come from running the layers before them (see `model/gptq.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aris.checkpoints.checkpoint import Checkpoint, checked_entries, is_quantizable, meta_model, require_finite
from aris.checkpoints.entries import Entry
from aris.checkpoints.export.layerwise import calibrated_layers
from aris.checkpoints.names import EMBEDDING, HEAD
from aris.checkpoints.quantized import packed
from aris.checkpoints.registry import TUNED_FROM
from aris.checkpoints.writing import SHARD, SafetensorsWriter, new_folder
from aris.errors import CheckpointError, ModelError
from aris.model import Codes, quantize_matrix
from aris.model.quantized import DEFAULT_GROUP

FORMATS = ("int8", "int4")
HEADS = ("int8", "int4", "keep")


@dataclass(frozen=True)
class Rounding:
    """Settings of a quantisation.

    Attributes:
        format: "int8" or "int4", of the decoder's layers.
        group_size: columns that share a scale; None is 64 for int4 and whole rows for int8.
        head: "int8", "int4" or "keep", of the embedding, and of the head where it is not tied to it.
    """

    format: str
    group_size: int | None = None
    head: str = "int8"

    def of(self, name: str) -> tuple[str, int | None] | None:
        """Format and group of a matrix; None if it is kept."""
        if name not in (EMBEDDING, HEAD):
            return self.format, self.group_size
        return None if self.head == "keep" else (self.head, self.group_size if self.head == self.format else None)


@dataclass(frozen=True)
class Calibration:
    """Texts to round by.

    Attributes:
        sequences: token ids, each of the same length.
        description: what they are, for the metadata.
    """

    sequences: Sequence[Sequence[int]]
    description: dict[str, Any]


@dataclass(frozen=True)
class QuantizationReport:
    """Report of a quantisation: bytes of the tensors, before (in the source's precision, dense) and after."""

    folder: Path
    dense_bytes: int
    nbytes: int
    matrices: int
    quantization: dict[str, Any]


def quantize_checkpoint(
    checkpoint: Checkpoint,
    out: Path,
    rounding: Rounding,
    *,
    calibration: Calibration | None = None,
    device: torch.device | str = "cpu",
    finish: Callable[[Path], None] = lambda folder: None,
    shard: int = SHARD,
    step: Callable[[str], None] = lambda name: None,
) -> QuantizationReport:
    """Write a quantised folder; the decoder's matrices are rounded, everything else keeps its precision.

    Args:
        checkpoint: of any format; its own adapters are folded in first.
        out: must not exist; it appears when all is written, or not at all.
        calibration: error-compensating rounding by these texts; None rounds to nearest.
        device: where layers are run and rounded.
        finish: puts the tokenizer and other files into the folder before it takes its name.
        shard: bytes of a safetensors file.
        step: called with each matrix's name when it is written.

    Raises:
        CheckpointError: the source is damaged or quantised already, `out` exists, or the disk is full.
        ModelError: an unknown format, a group that does not divide a width, or texts that cannot calibrate.
    """
    _check(checkpoint, rounding)
    model = meta_model(checkpoint)
    entries = {entry.name: entry for entry in checked_entries(checkpoint, model)}
    plan: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {}
    dense_bytes = 0
    for entry in entries.values():
        kind = _kept_dtype(entry)
        dense_bytes += kind.itemsize * _count(entry.shape)
        form = rounding.of(entry.name) if is_quantizable(entry.name, entry.shape) else None
        plan |= {entry.name: (kind, entry.shape)} if form is None else _announced(entry, *form)
    digests: dict[str, str] = {}
    quantization: dict[str, Any] = {
        "quant_method": packed.METHOD,
        "version": 1,
        "format": rounding.format,
        "group_size": rounding.group_size or (DEFAULT_GROUP if rounding.format == "int4" else "row"),
        "head": rounding.head,
        "rounding": "nearest" if calibration is None else "gptq",
        "calibration": None if calibration is None else calibration.description,
    }
    matrices = 0
    with new_folder(out) as folder:
        writer = SafetensorsWriter(folder, plan, {"format": "pt", "quant_method": packed.METHOD}, shard)
        try:

            def keep(name: str, codes: Codes) -> None:
                nonlocal matrices
                matrices += 1
                stem = name.removesuffix(".weight")
                writer.write(stem + packed.CODES, codes.qweight)
                writer.write(stem + packed.SCALE, codes.scale)
                if codes.minimum is not None:
                    writer.write(stem + packed.MINIMUM, codes.minimum)
                step(name)

            rest = dict(entries)
            if calibration is not None:

                def read(name: str) -> Tensor:
                    entry = rest.pop(name)
                    value = _read(checkpoint, entry, digests).clone()
                    entry.release()
                    return value

                done = calibrated_layers(checkpoint.config, read, rounding.of, calibration.sequences, device)
                for name, codes in done:
                    if isinstance(codes, Codes):
                        keep(name, codes.to(torch.device("cpu")))
                    else:
                        writer.write(name, codes)
            for name in list(rest):
                entry = rest.pop(name)
                value = _read(checkpoint, entry, digests)
                form = rounding.of(name) if is_quantizable(name, entry.shape) else None
                if form is None:
                    writer.write(name, value)
                else:
                    keep(name, quantize_matrix(value, *form, torch.device(device)).to(torch.device("cpu")))
                del value
                entry.release()
            writer.close()
        except BaseException:
            writer.abandon()
            raise
        lines = "".join(f"{name} {digests[name]}\n" for name in sorted(digests))
        quantization["source"] = {
            "model": checkpoint.spec.name if checkpoint.spec is not None else Path(checkpoint.name).name,
            # Of the weights as they were rounded, adapters folded in: name, SHA-256 of the values, a line each.
            "weights_sha256": hashlib.sha256(lines.encode()).hexdigest(),
        }
        config = checkpoint.config.to_dict() | {"quantization_config": quantization}
        if checkpoint.tuned and checkpoint.spec is not None:
            config[TUNED_FROM] = checkpoint.spec.name
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        if checkpoint.processor:
            text = json.dumps(checkpoint.processor, indent=2) + "\n"
            (folder / "preprocessor_config.json").write_text(text, encoding="utf-8")
        finish(folder)
    return QuantizationReport(out, dense_bytes, writer.nbytes, matrices, quantization)


def _check(checkpoint: Checkpoint, rounding: Rounding) -> None:
    if rounding.format not in FORMATS:
        raise ModelError(f"quantisation {rounding.format!r:.20}: not known; use {' or '.join(FORMATS)}")
    if rounding.head not in HEADS:
        raise ModelError(f"head {rounding.head!r:.20}: not known; use {', '.join(HEADS)}")
    if checkpoint.quantization:
        raise CheckpointError(f"{checkpoint.name}: quantised already, and rounding twice loses more; give its source")
    text = checkpoint.config.text
    for width in (text.hidden_size, text.intermediate_size, text.num_attention_heads * text.head_dim):
        size = rounding.group_size or (DEFAULT_GROUP if rounding.format == "int4" else width)
        if size < 2 or size % 2 or width % size:
            raise ModelError(
                f"quantisation: groups of {size} do not divide this model's rows of {width} columns; "
                "give --group a divisor of it, such as 32"
            )


def _announced(entry: Entry, form: str, group_size: int | None) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    rows, width = entry.shape
    stem = entry.name.removesuffix(".weight")
    groups = (rows, width // (group_size or (width if form == "int8" else DEFAULT_GROUP)))
    if form == "int8":
        return {stem + packed.CODES: (torch.int8, (rows, width)), stem + packed.SCALE: (torch.float32, groups)}
    return {
        stem + packed.CODES: (torch.uint8, (rows, width // 2)),
        stem + packed.SCALE: (torch.bfloat16, groups),
        stem + packed.MINIMUM: (torch.bfloat16, groups),
    }


def _kept_dtype(entry: Entry) -> torch.dtype:
    """The source's precision; of a GGUF file, whose blocks have none, bfloat16 for matrices and float32 for norms."""
    if entry.dtype in (torch.float32, torch.float16, torch.bfloat16):
        return entry.dtype
    return torch.float32 if len(entry.shape) == 1 else torch.bfloat16


def _read(checkpoint: Checkpoint, entry: Entry, digests: dict[str, str]) -> Tensor:
    value = entry.read(_kept_dtype(entry))
    require_finite(checkpoint, entry.name, value)
    flat = value.contiguous().view(-1).view(torch.uint8).numpy()
    digests[entry.name] = hashlib.sha256(flat.data).hexdigest()
    return value


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count
