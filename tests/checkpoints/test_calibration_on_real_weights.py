"""Calibrated rounding of Gemma 3 270M's own first layers: closer than rounding to nearest, on texts it did not see."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from aris.backends.loading import tokenizer_of
from aris.checkpoints import Checkpoint, load_model, open_checkpoint
from aris.checkpoints.export.layerwise import calibrated_layers
from aris.model import Codes, QuantizedLinear, quantize_matrix
from aris.model.config import LOCAL

LAYERS, LENGTH = 2, 256


def sequences(checkpoint: Checkpoint, data: Path) -> list[list[int]]:
    """Twelve sequences of training questions and answers."""
    with gzip.open(data / "medquad" / "medquad.jsonl.gz", "rt", encoding="utf-8") as file:
        items = [item for line in file if (item := json.loads(line))["split"] == "train"]
    tokenizer = tokenizer_of(checkpoint.tokenizer)
    made = []
    for item in items[:: len(items) // 100]:
        ids = tokenizer.encode(f"{item['question']}\n{item['answer']}", add_bos=True)
        if len(ids) >= LENGTH:
            made.append(ids[:LENGTH])
    return made[:12]


@pytest.mark.data
@torch.inference_mode()
def test_real_layers_keep_their_outputs_better(data_dir: Path) -> None:
    checkpoint = open_checkpoint("aris-nano")
    texts = sequences(checkpoint, data_dir)
    assert len(texts) == 12
    model = load_model(checkpoint, dtype=torch.float32)
    model.language_model.layers = model.language_model.layers[:LAYERS]
    weights = dict(model.named_parameters())
    made: dict[str, Codes | Tensor] = {}
    done = calibrated_layers(
        checkpoint.config, weights.__getitem__, lambda name: None if "embed" in name else ("int4", 64), texts[:10]
    )
    for name, codes in done:
        made[name] = codes
        if name.endswith(f"layers.{LAYERS - 1}.mlp.down_proj.weight"):
            break  # the next layer is not needed
    unseen = torch.tensor(texts[10:])
    states = []
    stack = model.language_model
    assert all(kind == LOCAL for kind in stack.config.layer_types[:LAYERS])
    stack.config = type(stack.config)(
        **{**stack.config.__dict__, "num_hidden_layers": LAYERS, "layer_types": (LOCAL,) * LAYERS}
    )
    states.append(model.hidden_states(unseen))
    for calibrated in (True, False):
        for name, codes in made.items():
            if not isinstance(codes, Codes):
                continue
            chosen = codes if calibrated else quantize_matrix(weights[name], "int4")
            above, _, leaf = name.removesuffix(".weight").rpartition(".")
            setattr(model.get_submodule(above), leaf, QuantizedLinear.from_codes(chosen))
        states.append(model.hidden_states(unseen))
    away = [float((state - states[0]).square().mean()) for state in states[1:]]
    assert away[0] < 0.8 * away[1]
