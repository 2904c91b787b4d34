"""Where the time of a prompt, of the tower and of a first token goes: kernels by time, and the host's share.

python benchmarks/profile_gpu.py [--only prefill,tower,ttft]
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

from aris.engine import Engine, EngineLimits, ImageInput
from aris.engine.runners.protocol import PrefillChunk
from gpu_decode import config_of, random_model
from gpu_engine import greedy, prompt


def kernels(name: str, work: Callable[[], object], count: int = 11) -> None:
    work()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as record:
        work()
        torch.cuda.synchronize()
    rows = sorted(record.key_averages(), key=lambda row: -row.self_device_time_total)
    total = sum(row.self_device_time_total for row in rows)
    print(f"{name}: {total / 1e3:.1f} ms of kernels")
    for row in rows[:count]:
        print(f"  {row.self_device_time_total / 1e3:8.2f} ms {row.count:5d} x {row.key[:90]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="prefill,tower,ttft")
    only = parser.parse_args().only.split(",")
    model = random_model(config_of("4b", tower=True))
    engine = Engine(model, EngineLimits(kept_prompts=0, cache_bytes=4 << 30))
    config = model.config
    with torch.inference_mode():
        if "prefill" in only:
            chunk = PrefillChunk(prompt(8192), 0, 1, list(range(1, 130)), outputs=1)
            kernels("prefill 8192", lambda: engine.runner.prefill(chunk))
        if "tower" in only:
            pixels = torch.randn(8, 3, 896, 896, device="cuda").to(torch.bfloat16)
            kernels("tower x8", lambda: engine.encode_images(pixels))
    if "ttft" in only:
        image = [config.boi_token_index, *[config.image_token_index] * 256, config.eoi_token_index]
        ids = [2, *prompt(8)[1:], *image, *prompt(16)[1:]]

        def first(seed: int) -> None:
            pixels = torch.randn(1, 3, 896, 896, generator=torch.Generator().manual_seed(seed))
            recorder = cProfile.Profile()
            recorder.enable()
            next(iter(engine.stream(ids, ImageInput.from_pixels(pixels), greedy(4))))
            recorder.disable()
            if seed == 3:
                pstats.Stats(recorder).sort_stats("tottime").print_stats(14)

        for seed in range(4):
            first(seed)


if __name__ == "__main__":
    main()
