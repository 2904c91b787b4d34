"""A small decoder whose widths take groups of 64, as a Hugging Face folder, and its matrices in bitsandbytes' NF4."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from aris.model import MedGemma, MedGemmaConfig, TextConfig
from imported_late import bitsandbytes


def network(layers: int = 2) -> MedGemma:
    """Widths of 128 and 192, 300 tokens, one local and one global layer."""
    torch.manual_seed(3)
    kinds = tuple("full_attention" if index % 2 else "sliding_attention" for index in range(layers))
    text = TextConfig(
        vocab_size=300, hidden_size=128, intermediate_size=192, num_hidden_layers=layers, num_attention_heads=2,
        num_key_value_heads=1, head_dim=64, query_pre_attn_scalar=64, sliding_window=8, layer_types=kinds,
    )  # fmt: skip
    model = MedGemma(MedGemmaConfig(text)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_((torch.randn_like(parameter) * 0.1).bfloat16().float())
    return model


def save(model: MedGemma, folder: Path) -> Path:
    """Write its config and bfloat16 weights."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {f"model.{n.removeprefix('language_model.')}": p.bfloat16() for n, p in model.state_dict().items()}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(model.config.to_dict()))
    return folder


def save_nf4(model: MedGemma, folder: Path, kind: str = "nf4", nested: bool = True) -> Path:
    """As transformers saves it after bitsandbytes quantised its linear layers."""
    functional = bitsandbytes()

    save(model, folder)
    tensors = {}
    for name, value in model.state_dict().items():
        key = f"model.{name.removeprefix('language_model.')}"
        if not name.endswith("proj.weight"):
            tensors[key] = value.bfloat16()
            continue
        codes, state = functional.quantize_4bit(
            value.bfloat16(), blocksize=64, quant_type=kind, compress_statistics=nested
        )
        tensors |= {key: codes} | {f"{key}.{part}": item for part, item in state.as_dict(packed=True).items()}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    config = model.config.to_dict() | {
        "quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": kind}
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder
