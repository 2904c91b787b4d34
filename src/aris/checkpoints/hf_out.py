"""Writes a model as a Hugging Face folder that transformers, vLLM and Aris read, tower included."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from aris.checkpoints.checkpoint import Checkpoint
from aris.errors import CheckpointError
from aris.model import MedGemma

SHARD_BYTES = 4 << 30


def save_folder(model: MedGemma, source: Checkpoint, out: Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write weights in shards under the official names, and beside them the source's tokenizer and settings.

    Raises:
        CheckpointError: the source is no Hugging Face folder, whose tokenizer could be copied, or its tower has a
            stem, which transformers does not know.
    """
    tokenizer = source.tokenizer.path
    if tokenizer is None:
        raise CheckpointError(f"{source.name}: only a model in Hugging Face layout can be merged; export it to GGUF")
    if source.config.vision is not None and source.config.vision.stem_channels:
        raise CheckpointError(f"{source.name}: its tower has a stem that transformers does not know")
    out.mkdir(parents=True, exist_ok=True)
    for file in sorted(tokenizer.parent.iterdir()):
        if file.suffix in (".json", ".model", ".jinja") and not file.name.endswith(".index.json"):
            shutil.copyfile(file, out / file.name)
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    config.pop("quantization_config", None)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    shards: list[dict[str, Tensor]] = [{}]
    size = total = 0
    for name, tensor in model.state_dict().items():
        value = tensor.detach().to(dtype).contiguous().cpu()
        bytes_of = value.numel() * value.element_size()
        if size + bytes_of > SHARD_BYTES and shards[-1]:
            shards.append({})
            size = 0
        shards[-1][_official_name(name, model)] = value
        size, total = size + bytes_of, total + bytes_of
    if len(shards) == 1:
        save_file(shards[0], out / "model.safetensors", {"format": "pt"})
        return
    index: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file(shard, out / name, {"format": "pt"})
        index.update(dict.fromkeys(shard, name))
    table = {"metadata": {"total_size": total}, "weight_map": index}
    (out / "model.safetensors.index.json").write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


def _official_name(name: str, model: MedGemma) -> str:
    """A parameter's name in Google's checkpoints."""
    if model.config.vision is None:
        return name.replace("language_model.", "model.", 1)
    if name.startswith("language_model."):
        return name.replace("language_model.", "language_model.model.", 1)
    return name.replace("vision_tower.", "vision_tower.vision_model.", 1)
