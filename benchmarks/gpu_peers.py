"""What transformers does with MedGemma's 4B shapes and random bfloat16 weights on this GPU, a JSON line a figure.

    python benchmarks/gpu_peers.py [--only eager,prefill,tower,static]

eager    one answer after 960 tokens, and 32 after 512: tokens a second, the model called step by step
prefill  8,192 tokens, in ms
tower    images in batches of 8, in ms an image
static   `generate` with a static cache, which compiles the step: tokens a second of one answer
`gpu_engine.py` runs this in a process of its own, with a limit of time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import torch
import transformers

from parity_gpu import SHAPES


def report(**figures: float) -> None:
    print(json.dumps(figures), flush=True)


def build() -> Any:
    shape = SHAPES["4b"]
    config = transformers.Gemma3Config(
        text_config=shape["text"], vision_config=shape["vision"], mm_tokens_per_image=shape["tokens_per_image"]
    )
    config._attn_implementation = "sdpa"
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = transformers.Gemma3ForConditionalGeneration(config).eval()
    torch.set_default_dtype(torch.float32)
    model.tie_weights()
    return model


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median of `work`, the device waited for."""
    work()
    times = []
    for _ in range(repeats):
        torch.cuda.synchronize()
        started = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return sorted(times)[repeats // 2]


def eager(model: Any, rows: int, context: int, steps: int) -> float:
    """Tokens a second of `rows` answers after `context` tokens each."""
    ids = torch.randint(300, 200_000, (rows, context), device="cuda")
    out = model(input_ids=ids, use_cache=True, logits_to_keep=1)
    cache, token = out.past_key_values, out.logits[:, -1:].argmax(-1)
    started = 0.0
    for step in range(steps + 3):
        if step == 3:
            torch.cuda.synchronize()
            started = time.perf_counter()
        out = model(input_ids=token, past_key_values=cache, use_cache=True)
        token = out.logits[:, -1:].argmax(-1)
        token.tolist()
    return rows * steps / (time.perf_counter() - started)


def static(model: Any) -> float:
    """Tokens a second of `generate` with a static cache: the time between a long and a short answer."""
    ids = torch.randint(300, 200_000, (1, 960), device="cuda")

    def answer(tokens: int) -> None:
        model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, min_new_tokens=tokens,
                       do_sample=False, cache_implementation="static", max_length=None)  # fmt: skip

    answer(160)
    return 128 / (seconds(lambda: answer(160), 3) - seconds(lambda: answer(32), 3))


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="eager,prefill,tower,static")
    only = parser.parse_args().only.split(",")
    transformers.logging.set_verbosity_error()
    model = build()
    if "eager" in only:
        report(batch_1=eager(model, 1, 960, 24))
        report(batch_32=eager(model, 32, 512, 12))
    if "prefill" in only:
        ids = torch.randint(300, 200_000, (1, 8192), device="cuda")
        report(prefill_ms=1e3 * seconds(lambda: model(input_ids=ids, use_cache=True, logits_to_keep=1), 3))
    if "tower" in only:
        pixels = torch.randn(8, 3, 896, 896, device="cuda", dtype=torch.bfloat16)
        report(tower_ms=1e3 * seconds(lambda: model.model.get_image_features(pixel_values=pixels), 3) / 8)
    if "static" in only:
        report(static_1=static(model))


if __name__ == "__main__":
    main()
