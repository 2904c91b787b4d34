"""Tiny random models for the engine's tests, and the plain way to a greedy answer: one sequence on a HybridCache."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from aris.engine import Engine, EngineLimits, ImageInput, Request, SamplingParams
from aris.engine.cache.kv_pool import KVPool
from aris.model import MedGemma, MedGemmaConfig, TextConfig, VisionConfig

BOI, EOI, SOFT, VOCABULARY = 308, 309, 310, 320
IMAGE = [BOI, SOFT, SOFT, SOFT, SOFT, EOI]


def tiny(window: int = 24, max_tokens: int = 2000, seed: int = 3, *, tied: bool = True) -> MedGemma:
    torch.manual_seed(seed)
    text = TextConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        query_pre_attn_scalar=24,
        sliding_window=window,
        layer_types=("sliding_attention", "sliding_attention", "full_attention", "sliding_attention"),
        max_position_embeddings=max_tokens,
        tie_word_embeddings=tied,
    )
    config = MedGemmaConfig(
        text,
        VisionConfig(16, 32, 1, 2, image_size=16, patch_size=4),
        mm_tokens_per_image=4,
        boi_token_index=BOI,
        eoi_token_index=EOI,
        image_token_index=SOFT,
    )
    model = MedGemma(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model


def engine(model: MedGemma, slots: int = 80, blocks: int = 400, **limits: int) -> Engine:
    """An engine on a pool of exactly so many usable slots and blocks."""
    pool = KVPool(model.config.text, slots + 1, blocks + 1, "cpu", model.dtype)
    return Engine(model, EngineLimits(**limits), pool=pool)


def text(length: int, seed: int) -> list[int]:
    """A prompt of random tokens that begins with bos."""
    random = torch.Generator().manual_seed(seed)
    return [2, *torch.randint(10, 300, (length - 1,), generator=random).tolist()]


def pixels(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def greedy(max_tokens: int, **changes: object) -> SamplingParams:
    return SamplingParams(max_tokens=max_tokens, **({"stop_token_ids": ()} | changes))  # type: ignore[arg-type]


def request(
    prompt: Sequence[int], images: torch.Tensor | None = None, params: SamplingParams | None = None, **changes: object
) -> Request:
    inputs = () if images is None else ImageInput.from_pixels(images)
    return Request(prompt, inputs, params or greedy(20), **changes)  # type: ignore[arg-type]


@torch.inference_mode()
def plain(model: MedGemma, prompt: Sequence[int], count: int, images: torch.Tensor | None = None) -> list[int]:
    """The greedy answer of `count` tokens, computed without the engine."""
    cache = model.new_cache()
    soft = None if images is None else model.encode_images(images)
    logits = model(torch.tensor([list(prompt)]), soft, cache)[0, -1]
    out: list[int] = []
    while True:
        logits[[BOI, EOI, SOFT]] = float("-inf")
        out.append(int(logits.argmax()))
        if len(out) == count:
            return out
        logits = model(torch.tensor([[out[-1]]]), None, cache)[0, -1]


def tokens(sequence: object) -> list[int]:
    """The answer of a sequence, run to its end."""
    return [step.token_id for step in sequence]  # type: ignore[attr-defined]
