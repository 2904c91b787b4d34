"""A BERT of two layers with drawn weights, and a tokenizer of a few words, in Hugging Face layout."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *["zinc", "cold", "days", "aspirin", "stroke", "honey", "cough", "the", "a", "of"]]  # noqa: E501
CONFIG = {
    "model_type": "bert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32,
    "max_position_embeddings": 40, "vocab_size": len(WORDS), "type_vocab_size": 2, "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
}  # fmt: skip


def tiny_encoder(folder: Path, seed: int = 0) -> Path:
    """The folder with a config, weights and a tokenizer in it."""
    folder.mkdir(exist_ok=True)
    draw = torch.Generator().manual_seed(seed)
    size, inner = 16, 32
    shapes = {
        "embeddings.word_embeddings.weight": (len(WORDS), size), "embeddings.position_embeddings.weight": (40, size),
        "embeddings.token_type_embeddings.weight": (2, size), "embeddings.LayerNorm.weight": (size,),
        "embeddings.LayerNorm.bias": (size,),
    }  # fmt: skip
    for layer in range(2):
        at = f"encoder.layer.{layer}."
        for name, wide, tall in (
            ("attention.self.query", size, size), ("attention.self.key", size, size), ("attention.self.value", size, size),  # noqa: E501
            ("attention.output.dense", size, size), ("intermediate.dense", inner, size), ("output.dense", size, inner),
        ):  # fmt: skip
            shapes |= {f"{at}{name}.weight": (wide, tall), f"{at}{name}.bias": (wide,)}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{at}{name}.weight": (size,), f"{at}{name}.bias": (size,)}
    save_file(
        {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}, folder / "model.safetensors"
    )
    (folder / "config.json").write_text(json.dumps(CONFIG))
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
