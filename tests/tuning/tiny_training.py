"""A tiny model and a tiny corpus to train it on; run as a script, it trains, to be killed and gone on with.

    python tiny_training.py OUT [stall | disk | memory]
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch

from aris.errors import DataError
from aris.model import MedGemma, MedGemmaConfig, TextConfig, VisionConfig
from aris.tuning.data.examples import TokenizedExample
from aris.tuning.loop import Loop
from aris.tuning.recipe import Recipe
from aris.tuning.steps.forward import TrainingImages
from aris.tuning.trainable import prepare

IMAGE, SOFT = 262_144, 4
YES, NO, END = 11, 12, 106
TEXT = TextConfig(
    vocab_size=128,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=3,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    query_pre_attn_scalar=16,
    sliding_window=16,
    layer_types=("sliding_attention", "sliding_attention", "full_attention"),
)
VISION = VisionConfig(16, 32, 1, 2, image_size=16, patch_size=4)


def tiny_model(dtype: torch.dtype = torch.float32) -> MedGemma:
    """Random weights, the same each time; an empty projector, as before the first training."""
    torch.manual_seed(5)
    model = MedGemma(MedGemmaConfig(TEXT, VISION, mm_tokens_per_image=SOFT))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
        assert model.multi_modal_projector is not None
        model.multi_modal_projector.mm_input_projection_weight.zero_()
    return model.to(dtype).eval()


def tiny_examples() -> tuple[list[TokenizedExample], list[TokenizedExample], torch.Tensor]:
    """Bright or dark images with a yes or a no, and texts of unequal lengths whose answer repeats a word."""
    bank = torch.cat([torch.full((6, 16, 16), 30), torch.full((6, 16, 16), 220)]).to(torch.uint8)
    rows = []
    for image in range(12):
        prompt = [2, 105, 20, *[IMAGE] * SOFT, 21, 22, 105, 23]
        answer = [YES if image >= 6 else NO, END]
        rows.append(TokenizedExample("bright", prompt + answer, len(prompt), image))
    for word in range(30, 50):
        prompt = [2, 105, *range(60, 60 + word % 7), word, 105, 23]
        rows.append(TokenizedExample("echo", [*prompt, word, word, END], len(prompt), None))
    return rows[1:6] + rows[7:-2], [rows[0], rows[6], *rows[-2:]], bank


def tiny_recipe(**changes: Any) -> Recipe:
    return Recipe.from_dict(
        {
            "seed": 1, "steps": 30, "batch_size": 12, "max_tokens_per_microbatch": 160, "max_tokens": 64,
            "learning_rate": 2e-2, "tower_learning_rate": 1e-3, "warmup_steps": 3, "weight_decay": 0.01,
            "clip_norm": 1.0, "lora_r": 4, "lora_alpha": 8, "augment_strength": 1.0, "evaluate_every": 10,
            "save_every": 5, "mixture": {"bright": 2, "echo": 1}, "balanced": ["bright"], "precision": "fp32",
        }
        | changes
    )  # fmt: skip


def noisy(films: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    x = films[:, None].float() / 127.5 - 1
    return (x + torch.randn(x.shape, generator=generator) * 0.1).expand(-1, 3, -1, -1)


def plain(films: torch.Tensor) -> torch.Tensor:
    return (films[:, None].float() / 127.5 - 1).expand(-1, 3, -1, -1)


def tiny_loop(
    out: Path, dtype: torch.dtype = torch.float32, augment: Any = noisy, log: Any = lambda _: None, **changes: Any
) -> Loop:
    recipe = tiny_recipe(**changes)
    model = tiny_model(dtype)
    train, validation, bank = tiny_examples()
    images = TrainingImages(bank, augment, plain)
    return Loop(model, prepare(model, recipe), recipe, train, validation, images, out, log=log)


class Trouble:
    """The augmentation, until its `after`-th call (about a step each); then `kind` really happens here."""

    def __init__(self, kind: str, after: int = 13) -> None:
        self.kind, self.left = kind, after

    def __call__(self, films: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        self.left -= 1
        if self.kind == "disk" and self.left == 0:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        elif self.kind == "memory" and self.left == 0:
            size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + (64 << 20), resource.RLIM_INFINITY))
            return noisy(films, generator) + torch.ones(1 << 28).sum()  # a GiB where 64 MiB are left
        return noisy(films, generator)


def stall(line: str) -> None:
    """Wait to be killed at the log line of step 20, between two saves."""
    if '"step": 20, "loss"' in line:
        time.sleep(3600)


if __name__ == "__main__":
    torch.set_num_threads(1)
    kind = sys.argv[2] if len(sys.argv) > 2 else "none"
    log = stall if kind == "stall" else lambda _: None
    try:
        tiny_loop(Path(sys.argv[1]), augment=Trouble(kind), log=log).run()
    except DataError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
