"""Runs put back into their base: for use, for a Hugging Face folder, for GGUF."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

from aris.checkpoints import embedded
from aris.checkpoints.checkpoint import load_model
from aris.checkpoints.export.gguf import save_gguf
from aris.checkpoints.export.huggingface import save_folder
from aris.checkpoints.peft.adapters import CONFIG, TRAINED, load_adapter, require_whole
from aris.errors import CheckpointError
from aris.model import MedGemma, merge_lora
from aris.tuning.base import open_base
from aris.tuning.run import ADAPTER


def apply_run(model: MedGemma, run: Path) -> int:
    """Put a run's adapters and trained weights on a fresh base; return the number of layers and tensors changed.

    Args:
        run: the folder that `tune` wrote, or an adapter's own folder.

    Raises:
        CheckpointError: there is nothing to put on, it does not fit, or `run` is an adapter that is no whole.
    """
    changed = 0
    folder = run / ADAPTER if (run / ADAPTER).is_dir() else run
    if folder == run:
        require_whole(folder)
    if (folder / CONFIG).is_file():
        changed += load_adapter(model, folder, alone=False).applied
    if (run / TRAINED).is_file():
        values = load_file(run / TRAINED)
        parameters = dict(model.named_parameters())
        for name, value in values.items():
            if name not in parameters or parameters[name].shape != value.shape:
                raise CheckpointError(f"{run / TRAINED}: {name} does not fit this model; give the run's own base")
            parameters[name].data = value.to(parameters[name].device, parameters[name].dtype)
        changed += len(values)
    if not changed:
        raise CheckpointError(f"{run}: holds no adapter and no {TRAINED}; give the --out of a finished run")
    return changed


def base_named(run: Path) -> str:
    """Read the base that a run's adapter was trained on, as `tune` was given it; "" if it names none."""
    folder = run / ADAPTER if (run / ADAPTER).is_dir() else run
    try:
        named = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):  # loading it reports the fault
        return ""
    return named if isinstance(named, str) else ""


def merged_model(base: str, run: Path, dtype: torch.dtype = torch.bfloat16) -> MedGemma:
    """Load a base with a run folded in.

    Raises:
        CheckpointError: as `apply_run`, or the base is not there.
    """
    model = load_model(open_base(base).checkpoint, dtype=dtype)
    apply_run(model, run)
    merge_lora(model)
    return model


def merge(base: str, run: Path, out: Path, *, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write base and run as one Hugging Face folder.

    A base from GGUF, as aris-nano's language model is, gets a tokenizer.json made of its vocabulary.

    Raises:
        CheckpointError: as `merged_model`, or the base cannot be written in that layout.
    """
    opened = open_base(base)

    def beside(folder: Path) -> None:
        opened.processor.tokenizer.save(folder / "tokenizer.json")
        if opened.checkpoint.spec is not None and opened.checkpoint.spec.name == embedded.NAME:
            # The terms go with the weights; the calibration does not hold for them.
            for pattern in ("NOTICE", "*TERMS*", "MODEL_CARD.md"):
                for file in sorted(embedded.files().glob(pattern)):
                    shutil.copyfile(file, folder / file.name)

    save_folder(merged_model(base, run, dtype), opened.checkpoint, out, dtype, beside)


def export_gguf(base: str, run: Path, path: Path, *, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write the text part of base and run as GGUF.

    Raises:
        CheckpointError: as `merged_model`, or the base has no vocabulary.
    """
    save_gguf(merged_model(base, run, dtype), open_base(base).checkpoint, path, dtype)
