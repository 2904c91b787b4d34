"""A checkpoint of any format, opened: its configuration and its tensors, read when asked for; and a model from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aris.checkpoints import embedded, pull, registry
from aris.checkpoints.configs import read_config
from aris.checkpoints.entries import Entry, TokenizerSource
from aris.checkpoints.gguf import gemma
from aris.checkpoints.gguf.reading import GGUFFile
from aris.checkpoints.huggingface import reading
from aris.checkpoints.names import EMBEDDING, HEAD
from aris.checkpoints.peft.adapters import LoRAMatrices, read_adapter
from aris.checkpoints.safetensors_file import SafetensorsFile
from aris.errors import CheckpointError
from aris.model import (
    Codes,
    MedGemma,
    MedGemmaConfig,
    QuantizedEmbedding,
    QuantizedLinear,
    quantize_matrix,
    require_supported_dtype,
)

# Columns that share a scale in `Entry.blocks`.
_BLOCK_COLUMNS = 32
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint.

    Attributes:
        name: as asked for.
        config: the model's shape.
        entries: gives every tensor.
        tokenizer: where the tokenizer is.
        processor: contents of `preprocessor_config.json`, empty if there is none.
        spec: the registry's entry, if the model is a named one, or what it was tuned from is never for patient care.
        tuned: whether the weights are other ones than those of `spec`: a run was folded in (`aris tune merge`).
        adapters: folders of adapters that belong to the model.
        calibration: how scores become probabilities (`calibration.json`), empty if the model has none.
        quantization: how the weights were quantised (`quantization_config`), empty if they are not.
    """

    name: str
    config: MedGemmaConfig
    entries: Callable[[], Iterator[Entry]]
    tokenizer: TokenizerSource
    processor: dict[str, Any] = field(default_factory=dict)
    spec: registry.ModelSpec | None = None
    adapters: tuple[Path, ...] = ()
    calibration: dict[str, Any] = field(default_factory=dict)
    quantization: dict[str, Any] = field(default_factory=dict)
    tuned: bool = False


def open_checkpoint(
    name_or_path: str, *, revision: str | None = None, mmproj: str | Path | None = None
) -> Checkpoint:
    """Open a checkpoint without reading its weights.

    Args:
        name_or_path: a name of the registry ("aris-nano", "medgemma-4b-it"), a hub id ("google/medgemma-4b-it"), a
            folder in Hugging Face layout, or a `.gguf` file; a GGUF file beside it that holds a vision tower (named
            `mmproj` somewhere, as a rule) gives it eyes.
        revision: of a hub id; by default the registry's or the one that was pulled.
        mmproj: the file of a GGUF model's vision tower, where it lies elsewhere or there are several.

    Raises:
        CheckpointError: nothing of this name, or its files are missing, damaged or of another family.
    """
    spec = registry.find(name_or_path)
    path = Path(name_or_path).expanduser()
    if mmproj is not None:
        require_gguf(name_or_path)
    if spec is not None and spec.name == embedded.NAME:
        return open_nano()
    if spec is None and path.suffix.lower() == ".gguf":
        return _open_gguf(path, None if mmproj is None else Path(mmproj).expanduser())
    if spec is None and path.is_dir():
        return _open_folder(name_or_path, path, None)
    if spec is None and path.is_file():
        if path.suffix in _PICKLES:
            raise CheckpointError(f"{path}: a pickle, which can run code when read; convert it to safetensors")
        raise CheckpointError(f"{path}: not a checkpoint; give a folder with config.json, or a .gguf file")
    folder = pull.local_folder(name_or_path, spec, revision=revision)
    pull.require_whole(name_or_path, folder)
    return _open_folder(name_or_path, folder, spec)


def require_gguf(name_or_path: str) -> None:
    """Raise `CheckpointError` unless a model is a `.gguf` file, with which alone mmproj files go."""
    if registry.find(name_or_path) is not None or Path(name_or_path).suffix.lower() != ".gguf":
        raise CheckpointError(f"{name_or_path}: mmproj files go with a .gguf model; leave --mmproj out")


def _open_folder(name: str, path: Path, spec: registry.ModelSpec | None) -> Checkpoint:
    folder = reading.HFFolder(path)
    source = folder.quantization.get("source")
    if spec is None and isinstance(source, dict) and isinstance(source.get("model"), str):
        spec = registry.find(source["model"])  # what the model is for and what it is not stays the same
    origin = registry.tuned_from(folder.tuned_from)
    return Checkpoint(
        name,
        folder.config,
        folder.entries,
        TokenizerSource(path=folder.tokenizer_path),
        processor=folder.processor,
        spec=origin or spec,
        calibration=read_json(path / "calibration.json", missing_ok=True),
        quantization=folder.quantization,
        tuned=origin is not None,
    )


def _open_gguf(path: Path, tower: Path | None) -> Checkpoint:
    file = GGUFFile(path)
    if tower is None:
        beside = [] if gemma.names_a_tower(path) else gemma.towers_beside(path)
        if len(beside) > 1:
            raise CheckpointError(
                f"{path.parent}: {len(beside)} mmproj files ({', '.join(each.name for each in beside)}); name the one "
                f"that belongs to {path.name}: --mmproj FILE, or aris.load(..., mmproj=FILE)"
            )
        tower = beside[0] if beside else None
    mmproj = None if tower is None else GGUFFile(tower)
    origin = registry.tuned_from(file.metadata.get(registry.TUNED_FROM_KEY))
    return Checkpoint(
        str(path),
        gemma.config(file, mmproj),
        lambda: gemma.entries(file, mmproj),
        TokenizerSource(vocabulary=gemma.vocabulary(file), chat_template=gemma.chat_template(file)),
        processor=gemma.processor(mmproj),
        spec=origin,
        tuned=origin is not None,
    )


def open_nano(folder: Path | None = None) -> Checkpoint:
    """Open `aris-nano`: the embedded one, or one that was just trained and may lack its calibration yet.

    Args:
        folder: of `config.json`, `preprocessor_config.json`, `vision.safetensors` and `adapter/`.

    Raises:
        CheckpointError: files are missing or damaged.
    """
    files = embedded.files() if folder is None else folder
    base = embedded.language_weights()
    tower = SafetensorsFile(files / "vision.safetensors")

    def entries() -> Iterator[Entry]:
        yield from gemma.entries(base)
        yield from tower.entries()

    return Checkpoint(
        embedded.NAME,
        read_config(read_json(files / "config.json"), str(files)),
        entries,
        TokenizerSource(vocabulary=gemma.vocabulary(base), chat_template=gemma.chat_template(base)),
        processor=read_json(files / "preprocessor_config.json"),
        spec=registry.find(embedded.NAME),
        adapters=(files / "adapter",),
        calibration=read_json(files / "calibration.json", missing_ok=folder is not None),
    )


def read_json(path: Path, *, missing_ok: bool = False) -> dict[str, Any]:
    """A JSON object from a checkpoint's file.

    Raises:
        CheckpointError: missing, or not a JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if missing_ok:
            return {}
        raise CheckpointError(f"{path}: missing; the checkpoint is incomplete, get it again") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise CheckpointError(f"{path}: not readable as JSON; the file is damaged, get it again") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: not a JSON object; the file is damaged, get it again")
    return value


def merged_entries(checkpoint: Checkpoint, model: MedGemma) -> Iterator[Entry]:
    """A checkpoint's tensors, its own adapters folded in as each is read.

    Args:
        model: of its configuration, on the meta device or any other; says which layers there are.

    Raises:
        CheckpointError: an adapter is damaged or does not fit.
    """
    adapters = [read_adapter(model, folder) for folder in checkpoint.adapters]
    for entry in checkpoint.entries():
        name = entry.name.removesuffix(".weight")
        for adapter in adapters:
            if name in adapter and entry.name.endswith(".weight"):
                entry = _with_adapter(entry, adapter[name])
        yield entry


def _with_adapter(entry: Entry, adapter: LoRAMatrices) -> Entry:
    def read(dtype: torch.dtype) -> Tensor:
        return adapter.merged(entry.read(dtype))

    def blocks() -> Codes:
        return quantize_matrix(read(torch.float32), "int8", _BLOCK_COLUMNS)

    kept = blocks if entry.blocks is not None else None
    return Entry(entry.name, entry.shape, read, entry.dtype, release=entry.release, blocks=kept)


def meta_model(checkpoint: Checkpoint) -> MedGemma:
    """The model's shape without weights.

    Raises:
        CheckpointError: no model has these sizes.
    """
    try:
        with torch.device("meta"):
            return MedGemma(checkpoint.config)
    except (ArithmeticError, RuntimeError, TypeError, ValueError):
        raise CheckpointError(f"{checkpoint.name}: no model has the sizes that its configuration gives") from None


def checked_entries(checkpoint: Checkpoint, model: MedGemma) -> Iterator[Entry]:
    """`merged_entries`, each known to the model, of its shape and there once; complete, or it ends in an error.

    Raises:
        CheckpointError: a tensor is missing, unknown, or of another shape than the configuration says.
    """
    wanted = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    for entry in merged_entries(checkpoint, model):
        shape = wanted.pop(entry.name, None)
        if shape is None:
            raise CheckpointError(
                f"{checkpoint.name}: tensor {entry.name!r:.100} is not part of this model, or is there twice"
            )
        if shape != tuple(entry.shape):
            raise CheckpointError(
                f"{checkpoint.name}: tensor {entry.name} has shape {tuple(entry.shape)}, its configuration says {shape}"
            )
        yield entry
    if wanted:
        first = next(iter(wanted))
        raise CheckpointError(f"{checkpoint.name}: {len(wanted)} tensors are missing, {first} among them; get it again")


def is_quantizable(name: str, shape: tuple[int, ...]) -> bool:
    """Return whether a parameter is one of the matrices that are quantised: the decoder's, its embedding included."""
    return name.startswith("language_model.") and name.endswith(".weight") and len(shape) == 2


def require_finite(checkpoint: Checkpoint, name: str, value: Tensor) -> None:
    """Raise `CheckpointError` if a parameter, or the scales of its codes, holds NaN or an infinity.

    One pass over the values, at the speed of memory; such a model answers every question with the same token.
    """
    if value.numel() and value.is_floating_point():
        low, high = torch.aminmax(value)  # a NaN anywhere makes both NaN
        if not bool(low.isfinite()) or not bool(high.isfinite()):
            raise CheckpointError(
                f"{checkpoint.name}: tensor {name} holds values that are no numbers (NaN or infinity); its training "
                "failed, or the file is damaged: get it again"
            )


def load_model(
    checkpoint: Checkpoint,
    *,
    dtype: torch.dtype = torch.bfloat16,
    device: torch.device | str = "cpu",
    quantize: str | None = None,
    packed: bool = False,
    blocks: bool = False,
) -> MedGemma:
    """Build the model, in eval mode, its own adapters folded in.

    Tensors are read and moved one at a time, so the peak is the weights and one tensor. On the CPU, weights whose
    dtype is the file's stay mapped: no copy at all.

    Args:
        quantize: "int8" or "int4" rounds the decoder's matrices as they are read (the head to int8).
        blocks: keep matrices of quantised block formats (GGUF's) in int8 by 32 columns, with adapters folded in.
        packed: leave matrices that the checkpoint holds in 8 or 4 bits as they are; else they are made dense.

    Raises:
        CheckpointError: a tensor is missing, unknown, of another shape than the configuration says, or not finite.
        ModelError: the dtype or the format is not supported.
    """
    require_supported_dtype(dtype)
    model = meta_model(checkpoint)
    parts = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    location = torch.device(device)
    for entry in checked_entries(checkpoint, model):
        parent, _, leaf = entry.name.rpartition(".")
        codes: Codes | None = None
        if is_quantizable(entry.name, parts[entry.name]):
            is_head = entry.name in (EMBEDDING, HEAD)
            if quantize is not None:
                codes = quantize_matrix(entry.read(dtype), "int8" if is_head else quantize, None, location)
                entry.release()
            elif packed and entry.codes is not None:
                codes = entry.codes().to(location)
            elif blocks and entry.blocks is not None:
                codes = entry.blocks().to(location)
                entry.release()
        if codes is None:
            value = nn.Parameter(entry.read(dtype).to(location), requires_grad=False)
            require_finite(checkpoint, entry.name, value.detach())
            setattr(model.get_submodule(parent), leaf, value)
        else:
            for part in (codes.scale, codes.minimum):
                if part is not None:
                    require_finite(checkpoint, entry.name, part)
            above, _, name = parent.rpartition(".")
            kind = QuantizedEmbedding if entry.name in (EMBEDDING, HEAD) else QuantizedLinear
            setattr(model.get_submodule(above), name, kind.from_codes(codes))
    return model.eval()
