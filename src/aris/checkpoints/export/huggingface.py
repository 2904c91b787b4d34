"""Writes a model as a Hugging Face folder that transformers, vLLM and Aris read, tower included."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

from aris.checkpoints.checkpoint import Checkpoint
from aris.checkpoints.names import HEAD
from aris.checkpoints.registry import TUNED_FROM
from aris.checkpoints.writing import SafetensorsWriter, new_folder
from aris.errors import CheckpointError
from aris.model import MedGemma

SHARD_BYTES = 4 << 30


def save_folder(
    model: MedGemma,
    source: Checkpoint,
    out: Path,
    dtype: torch.dtype = torch.bfloat16,
    beside: Callable[[Path], None] | None = None,
) -> None:
    """Write weights in shards under the official names, and beside them the source's tokenizer and settings.

    A tower with a stem, as aris-nano's, is written in the same layout, which Aris opens and transformers does not know.

    Args:
        out: a new folder, which appears whole or not at all.
        beside: writes the tokenizer and what else goes with the weights, for a source that is no Hugging Face folder.

    Raises:
        CheckpointError: the source is no Hugging Face folder, whose tokenizer could be copied, and nothing writes one;
            or `out` is there already or cannot be written.
    """
    tokenizer = source.tokenizer.path
    if tokenizer is None and beside is None:
        raise CheckpointError(f"{source.name}: only a model in Hugging Face layout can be merged; export it to GGUF")
    with suppress(OSError):
        out.parent.mkdir(parents=True, exist_ok=True)
    state = {_official_name(name, model): tensor for name, tensor in model.state_dict().items()}
    with new_folder(out) as folder:
        if tokenizer is None:
            assert beside is not None
            (folder / "config.json").write_text(json.dumps(source.config.to_dict()), encoding="utf-8")
            if source.processor:
                (folder / "preprocessor_config.json").write_text(json.dumps(source.processor), encoding="utf-8")
            beside(folder)
        for file in () if tokenizer is None else sorted(tokenizer.parent.iterdir()):
            if file.suffix in (".json", ".model", ".jinja") and not file.name.endswith(".index.json"):
                shutil.copyfile(file, folder / file.name)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config.pop("quantization_config", None)
        if source.spec is not None and not source.spec.patient_care:
            config[TUNED_FROM] = source.spec.name  # so that what it writes says so too
        tied = model.config.text.tie_word_embeddings
        for part in (config, config.get("text_config")):
            if isinstance(part, dict) and (not tied or part.get("tie_word_embeddings") is False):
                part["tie_word_embeddings"] = tied
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        shapes = {name: (dtype, tuple(tensor.shape)) for name, tensor in state.items()}
        writer = SafetensorsWriter(folder, shapes, {"format": "pt"}, SHARD_BYTES)
        try:
            for name, tensor in state.items():
                writer.write(name, tensor.detach().to(dtype))
            writer.close()
        finally:
            writer.abandon()


def _official_name(name: str, model: MedGemma) -> str:
    """A parameter's name in Google's checkpoints."""
    if name == HEAD:
        return "lm_head.weight" if model.config.vision is None else "language_model.lm_head.weight"
    if model.config.vision is None:
        return name.replace("language_model.", "model.", 1)
    if name.startswith("language_model."):
        return name.replace("language_model.", "language_model.model.", 1)
    return name.replace("vision_tower.", "vision_tower.vision_model.", 1)
