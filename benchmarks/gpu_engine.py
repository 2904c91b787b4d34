"""The whole engine on full-size shapes with random weights: what a caller gets, with the limits from the same run.

    python benchmarks/gpu_engine.py [--size 4b|27b] [--format bf16|int8|int4] [--head bf16|int8|int4]
                                    [--only decode,batch,prefill,tower,ttft,long] [--only cap --cap-gb 4]

decode   one answer after a prompt of 960 tokens, 128 tokens: the median gap between tokens, around 1,024 tokens
batch    32 prompts of 512 tokens, 128 tokens each: tokens a second while all run
prefill  a prompt of 8,192 tokens, to its first token
tower    images in batches of 8, and alone
ttft     one image and a short question, from pixels to the first token
long     128k tokens: the cache's size, and agreement with the plain path at sampled positions (4b, bf16)
cap      an image answered with 4-bit weights under a hard cap of memory, alone in a run
Shares are of the same run's copy bandwidth (bytes read and written) over all bytes that a step reads.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from aris.engine import Engine, EngineLimits, ImageInput, Request, SamplingParams
from aris.engine.runner import PrefillChunk
from aris.engine.runner_cuda import CudaRunner
from gpu_decode import (
    bytes_read,
    config_of,
    copy_bandwidth,
    quantise,
    random_model,
    random_packed_model,
    timed,
)

GIB = 1 << 30


def greedy(tokens: int) -> SamplingParams:
    return SamplingParams(max_tokens=tokens, stop_token_ids=())


def prompt(tokens: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return [2, *torch.randint(300, 200_000, (tokens - 1,), generator=generator).tolist()]


def decode(engine: Engine, bandwidth: float) -> None:
    gaps: list[float] = []
    for seed in range(3):
        last = None
        for _ in engine.stream(prompt(960, seed), None, greedy(128)):
            now = time.perf_counter()
            if last is not None:
                gaps.append(now - last)
            last = now
    seconds = statistics.mean(sorted(gaps)[len(gaps) // 20 : -len(gaps) // 20])
    assert isinstance(engine.runner, CudaRunner)
    nbytes = bytes_read(engine.runner, 1, 1024)
    print(f"decode: {1 / seconds:.1f} tok/s, {nbytes / seconds / bandwidth:.1%} of copy bandwidth over {nbytes / 1e9:.2f} GB; "
          f"limit {bandwidth / nbytes:.0f} tok/s; median gap {statistics.median(gaps) * 1e3:.3f} ms")  # fmt: skip


def batch(engine: Engine, bandwidth: float, count: int = 32, new: int = 128) -> None:
    for round_ in range(2):  # the first captures graphs
        sequences = engine.submit_all(
            [Request(tuple(prompt(512, 50 * round_ + i)), (), greedy(new)) for i in range(count)]
        )
        while any(sequence.generated == 0 for sequence in sequences):
            engine.step()
        torch.cuda.synchronize()
        before, started = sum(sequence.generated for sequence in sequences), time.perf_counter()
        steps = 0
        while not any(sequence.generated >= new - 1 for sequence in sequences):
            engine.step()
            steps += 1
        torch.cuda.synchronize()
        spent = time.perf_counter() - started
        made = sum(sequence.generated for sequence in sequences) - before
        for sequence in sequences:
            sequence.cancel()
    assert isinstance(engine.runner, CudaRunner)
    nbytes = bytes_read(engine.runner, count, 576)
    print(f"batch {count}: {made / spent:.0f} tok/s, {spent / steps * 1e3:.2f} ms a step, "
          f"{nbytes / (spent / steps) / bandwidth:.1%} of copy bandwidth; limit {count * bandwidth / nbytes:.0f} tok/s")  # fmt: skip


def prefill(engine: Engine) -> None:
    runner = engine.runner
    chunk = PrefillChunk(prompt(8192), 0, 1, list(range(1, 130)), outputs=1)
    with torch.inference_mode():
        alone = timed(lambda: runner.prefill(chunk), 7)
    times = []
    for seed in range(5):
        started = time.perf_counter()
        next(iter(engine.stream(prompt(8192, 100 + seed), None, greedy(1))))
        times.append(time.perf_counter() - started)
    flop = (
        2
        * 8192
        * sum(
            w.out_features * w.in_features
            for layer in runner.weights
            for w in (layer.qkv, layer.o, layer.gate_up, layer.down)
        )
    )
    print(f"prefill 8192: {alone * 1e3:.1f} ms on the device, {statistics.median(times) * 1e3:.1f} ms to the first token; "
          f"products alone {flop / 1e12:.1f} TFLOP")  # fmt: skip


def tower(engine: Engine) -> None:
    pixels = torch.randn(8, 3, 896, 896, device="cuda").to(torch.bfloat16)
    with torch.inference_mode():
        eight = timed(lambda: engine.encode_images(pixels), 7) / 8
        one = timed(lambda: engine.encode_images(pixels[:1]), 7)
        plain = timed(lambda: engine.model.encode_images(pixels), 5) / 8
        apart = torch.nn.functional.cosine_similarity(
            engine.encode_images(pixels).float(), engine.model.encode_images(pixels).float(), dim=-1
        ).min()
    print(f"tower: {eight * 1e3:.2f} ms an image in eights ({5.46 / eight:.0f} TFLOP/s), {one * 1e3:.2f} ms alone; plain modules "
          f"{plain * 1e3:.2f}; least cosine between them {float(apart):.5f}")  # fmt: skip


def ttft(engine: Engine) -> None:
    config = engine.model.config
    image = [config.boi_token_index, *[config.image_token_index] * 256, config.eoi_token_index]
    ids = [2, *prompt(8)[1:], *image, *prompt(16)[1:]]
    times = []
    for seed in range(8):
        pixels = torch.randn(1, 3, 896, 896, generator=torch.Generator().manual_seed(seed))
        started = time.perf_counter()
        next(iter(engine.stream(ids, ImageInput.from_pixels(pixels), greedy(4))))
        times.append(time.perf_counter() - started)
    print(f"ttft of one image and a question ({len(ids)} tokens): {statistics.median(times[2:]) * 1e3:.1f} ms")


def long(engine: Engine) -> None:
    tokens = 131_072 - 64
    ids = prompt(tokens)
    runner = engine.runner
    assert isinstance(runner, CudaRunner)
    blocks = list(range(1, 2048 + 1))
    started = time.perf_counter()
    at = 0
    with torch.inference_mode():
        while at < tokens:
            part = ids[at : at + runner.prefill_chunk]
            hidden = runner.prefill(PrefillChunk(part, at, 1, blocks, outputs=1))
            at += len(part)
        torch.cuda.synchronize()
        spent = time.perf_counter() - started
        logits = runner.logits(hidden)
        # The plain path, by chunks, on its own cache; then both at positions near the end.
        cache = engine.model.new_cache()
        for start in range(0, tokens, 4096):
            plain = engine.model.hidden_states(torch.tensor([ids[start : start + 4096]], device="cuda"), None, cache)[
                0, -1:
            ]
        wanted = engine.model.logits(plain)
        cosine = torch.nn.functional.cosine_similarity(logits.float(), wanted.float(), dim=-1)
        print(f"long: prefill of {tokens:,} tokens {spent:.2f} s; last position: cosine {float(cosine.min()):.5f}, "
              f"argmax equal {bool((logits.argmax() == wanted.argmax()).all())}")  # fmt: skip
        per_token = 2 * 2 * 4 * 256 * 5
        used = len(blocks) * 64 * per_token + 29 * 2 * engine.pool.ring * 4 * 256 * 2
        print(f"long: cache of one sequence of {len(blocks) * 64:,} tokens {used / 1e9:.2f} GB (rings and pages)")
        from aris.engine.runner import Rows

        cosines = []
        for step in range(8):
            token = 500 + step
            mine = runner.decode(Rows([token], [tokens + step], [1], [blocks])).clone()
            theirs = engine.model.hidden_states(torch.tensor([[token]], device="cuda"), None, cache)[0]
            cosines.append(float(torch.nn.functional.cosine_similarity(mine.float(), theirs.float()).min()))
        print(f"long: 8 steps after it, least cosine {min(cosines):.5f}")


def cap(options: argparse.Namespace) -> None:
    """An answer about an image with 4-bit weights under a hard cap of the allocator, from the first weight on."""
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.memory._set_allocator_settings("expandable_segments:True")  # as for any card that is nearly full
    torch.cuda.set_per_process_memory_fraction(options.cap_gb * 1e9 / total)
    model = random_packed_model(config_of("4b", tower=True), "int4", options.head or "int8")
    engine = Engine(model, EngineLimits(max_running=1, kept_prompts=0, cache_bytes=256 << 20))
    assert isinstance(engine.runner, CudaRunner)
    ttft(engine)
    config = model.config
    image = [config.boi_token_index, *[config.image_token_index] * 256, config.eoi_token_index]
    pixels = ImageInput.from_pixels(torch.randn(1, 3, 896, 896))
    started = time.perf_counter()
    answer = list(engine.stream([*prompt(8), *image, *prompt(16)[1:]], pixels, greedy(128)))
    spent = time.perf_counter() - started
    free, _ = torch.cuda.mem_get_info()
    print(f"cap {options.cap_gb} GB: an image and {len(answer)} tokens answered in {spent:.2f} s; allocated at most "
          f"{torch.cuda.max_memory_allocated() / 1e9:.2f} GB, reserved {torch.cuda.max_memory_reserved() / 1e9:.2f} GB; "
          f"the whole process, CUDA's own included, {(total - free) / 1e9:.2f} GB")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="4b")
    parser.add_argument("--format", default="bf16", choices=["bf16", "int8", "int4"])
    parser.add_argument("--head", default=None, choices=["bf16", "int8", "int4"])
    parser.add_argument("--only", default="decode,batch,prefill,tower,ttft")
    parser.add_argument("--cap-gb", type=float, default=4.0)
    options = parser.parse_args()
    only = options.only.split(",")
    if only == ["cap"]:
        cap(options)
        return
    bandwidth = copy_bandwidth()
    print(f"{options.size} {options.format}, head {options.head or options.format}; copy {bandwidth / 1e12:.2f} TB/s on "
          f"{torch.cuda.get_device_name()}, torch {torch.__version__}")  # fmt: skip
    model = random_model(config_of(options.size, tower=options.size == "4b"))
    few = "long" in only
    cache = (4 if few else 2 if options.size == "27b" else 8) * GIB
    engine = Engine(model, EngineLimits(max_running=1 if few else 64, kept_prompts=0, cache_bytes=cache))
    assert isinstance(engine.runner, CudaRunner)
    quantise(engine.runner, options.format, options.head or options.format)
    for name, work in (("decode", lambda: decode(engine, bandwidth)), ("batch", lambda: batch(engine, bandwidth)),
                       ("prefill", lambda: prefill(engine)), ("tower", lambda: tower(engine)),
                       ("ttft", lambda: ttft(engine)), ("long", lambda: long(engine))):  # fmt: skip
        if name in only:
            work()


if __name__ == "__main__":
    main()
