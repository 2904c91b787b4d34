"""The whole engine on full-size shapes with random weights: what a caller gets, a peer beside it, and the limits of the run.

    python benchmarks/gpu_engine.py [--peer-seconds 150]                 # the table of all figures
    python benchmarks/gpu_engine.py --only decode,batch [--size 4b|27b] [--format bf16|int8|int4] [--head bf16|int8|int4]
    python benchmarks/gpu_engine.py --only cap --cap-gb 4

decode   one answer after a prompt of 960 tokens, 128 tokens: the median gap between tokens, around 1,024 tokens
batch    32 prompts of 512 tokens, 128 tokens each: tokens a second while all run
prefill  a prompt of 8,192 tokens, to its first token
tower    images in batches of 8, and alone
ttft     one image and a short question, from pixels to the first token
long     128k tokens: the cache's size, and agreement with the plain path at sampled positions (4b, bf16)
cap      an image answered with 4-bit weights under a hard cap of memory, alone in a run
Shares are of the same run's copy bandwidth (bytes read and written) over all bytes that a step reads. The peer of the
table is transformers in the same run (`gpu_peers.py`). vLLM and llama.cpp are not run: their figures were measured earlier
on such a machine, and say so.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from aris.engine import Engine, EngineLimits, ImageInput, Request, SamplingParams
from aris.engine.runners.cuda import CudaRunner
from aris.engine.runners.protocol import PrefillChunk
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


@dataclass(frozen=True)
class Figure:
    """One line of the table: what was measured, its unit, what memory would allow, and the share of that reached."""

    name: str
    ours: float
    unit: str
    limit: float | None = None

    @property
    def share(self) -> str:
        """Of the limit."""
        if self.limit is None:
            return ""
        return f"{self.limit / self.ours if self.unit == 'ms' else self.ours / self.limit:.1%}"


# Measured on another day on such a machine; llama.cpp's and vLLM's programs do not run beside this script.
EARLIER = {
    "4b bf16, one answer": "vLLM 217, llama.cpp 223, transformers compiled 132",
    "4b int4, one answer": "vLLM GPTQ-Marlin 250, llama.cpp Q4_0 301",
    "4b bf16, 32 answers": "vLLM 5,667",
    "4b int4, 32 answers": "vLLM GPTQ-Marlin 6,107",
    "4b bf16, prompt of 8,192": "vLLM 101, llama.cpp 296",
    "27b bf16, one answer": "vLLM 45",
    "27b int4, one answer": "vLLM 81",
}
PEER = {
    "4b bf16, one answer": "batch_1",
    "4b bf16, 32 answers": "batch_32",
    "4b bf16, prompt of 8,192": "prefill_ms",
    "4b bf16, an image of 8": "tower_ms",
}


def greedy(tokens: int) -> SamplingParams:
    return SamplingParams(max_tokens=tokens, stop_token_ids=())


def prompt(tokens: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return [2, *torch.randint(300, 200_000, (tokens - 1,), generator=generator).tolist()]


def decode(engine: Engine, bandwidth: float) -> Figure:
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
    return Figure("one answer", 1 / seconds, "tokens/s", bandwidth / nbytes)


def batch(engine: Engine, bandwidth: float, count: int = 32, new: int = 128) -> Figure:
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
    return Figure(f"{count} answers", made / spent, "tokens/s", count * bandwidth / nbytes)


@functools.cache
def product_speed() -> float:
    """Operations a second of a large bfloat16 product, measured once."""
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 2 * 8192**3 / timed(lambda: torch.matmul(a, b))


def prefill(engine: Engine) -> Figure:
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
    speed = product_speed()
    print(f"prefill 8192: {alone * 1e3:.1f} ms on the device, {statistics.median(times) * 1e3:.1f} ms to the first token; "
          f"products alone {flop / 1e12:.1f} TFLOP, {flop / speed * 1e3:.1f} ms at the {speed / 1e12:.0f} TFLOP/s of a large one")  # fmt: skip
    return Figure("prompt of 8,192", alone * 1e3, "ms", flop / speed * 1e3)


def tower(engine: Engine) -> Figure:
    pixels = torch.randn(8, 3, 896, 896, device="cuda").to(torch.bfloat16)
    with torch.inference_mode():
        eight = timed(lambda: engine.encode_images(pixels), 7) / 8
        one = timed(lambda: engine.encode_images(pixels[:1]), 7)
        plain = timed(lambda: engine.model.encode_images(pixels), 5) / 8
        apart = torch.nn.functional.cosine_similarity(
            engine.encode_images(pixels).float(), engine.model.encode_images(pixels).float(), dim=-1
        ).min()
    vision = engine.model.config.vision
    assert vision is not None
    width, patches = vision.hidden_size, vision.patches_per_side**2
    products = 2 * patches * width * (4 * width + 2 * vision.intermediate_size)
    flop = vision.num_hidden_layers * (products + 4 * patches**2 * width)
    speed = product_speed()
    print(f"tower: {eight * 1e3:.2f} ms an image in eights, {one * 1e3:.2f} ms alone; {flop / 1e12:.2f} TFLOP, "
          f"{flop / speed * 1e3:.2f} ms at the {speed / 1e12:.0f} TFLOP/s of a large product; plain modules {plain * 1e3:.2f} ms, "
          f"least cosine between them {float(apart):.5f}")  # fmt: skip
    return Figure("an image of 8", eight * 1e3, "ms", flop / speed * 1e3)


def ttft(engine: Engine) -> Figure:
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
    return Figure("image and question to the first token", statistics.median(times[2:]) * 1e3, "ms")


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
        from aris.engine.runners.protocol import Rows

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


def engine_of(size: str, kind: str, head: str, *, few: bool = False) -> Engine:
    """An engine on random weights; 4-bit ones are made packed, as 27b would not fit otherwise beside its codes."""
    shape = config_of(size, tower=size == "4b")
    model = random_model(shape) if kind != "int4" else random_packed_model(shape, kind, head)
    cache = (4 if few else 2 if size == "27b" else 8) * GIB
    engine = Engine(model, EngineLimits(max_running=1 if few else 64, kept_prompts=0, cache_bytes=cache))
    assert isinstance(engine.runner, CudaRunner)
    if kind == "int8" or (kind == "bf16" and head != "bf16"):
        quantise(engine.runner, kind, head)
    return engine


def measure(engine: Engine, only: list[str], bandwidth: float) -> list[Figure]:
    """The measurements asked for, in their order."""
    figures = []
    for name, work in (("decode", lambda: decode(engine, bandwidth)), ("batch", lambda: batch(engine, bandwidth)),
                       ("prefill", lambda: prefill(engine)), ("tower", lambda: tower(engine)),
                       ("ttft", lambda: ttft(engine))):  # fmt: skip
        if name in only:
            figures.append(work())
    if "long" in only:
        long(engine)
    return figures


def peers(limit: float) -> dict[str, float]:
    """transformers' figures in this run: what its process printed within the limit of seconds."""
    command = [sys.executable, str(Path(__file__).parent / "gpu_peers.py")]
    try:
        text = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False).stdout
    except subprocess.TimeoutExpired as stopped:
        output = stopped.stdout or b""
        text = output if isinstance(output, str) else output.decode()
        print(f"transformers: stopped after {limit:.0f} s; what it had not printed is missing below")
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("{"):
            found |= json.loads(line)
    return found


def table(bandwidth: float, peer_seconds: float) -> None:
    """All figures in one run: ours, the limit, the peer."""
    rows: list[Figure] = []
    for size, kind, head, only in (("4b", "bf16", "bf16", ["decode", "batch", "prefill", "tower", "ttft"]),
                                   ("4b", "int4", "int8", ["decode", "batch"]),
                                   ("27b", "bf16", "bf16", ["decode"]), ("27b", "int4", "int8", ["decode"])):  # fmt: skip
        print(f"-- {size} {kind}, head {head}", flush=True)
        engine = engine_of(size, kind, head)
        rows += [Figure(f"{size} {kind}, {f.name}", f.ours, f.unit, f.limit) for f in measure(engine, only, bandwidth)]
        del engine
        gc.collect()
        torch.cuda.empty_cache()
    theirs = peers(peer_seconds)
    print(f"\n{'':46}{'ours':>9} {'unit':9}{'limit':>7} {'share':>7}  transformers here; measured earlier")
    for row in rows:
        there = theirs.get(PEER.get(row.name, ""))
        peer = "" if there is None else f"{there:.1f}"
        if row.name == "4b bf16, one answer" and "static_1" in theirs:
            peer += f", compiled {theirs['static_1']:.1f}"
        limit = "" if row.limit is None else f"{row.limit:.0f}"
        print(
            f"{row.name:46}{row.ours:9.1f} {row.unit:9}{limit:>7} {row.share:>7}  {peer or '-'}; {EARLIER.get(row.name, '-')}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="4b", choices=["4b", "27b"])
    parser.add_argument("--format", default="bf16", choices=["bf16", "int8", "int4"])
    parser.add_argument("--head", default=None, choices=["bf16", "int8", "int4"])
    parser.add_argument("--only", default="", help="measurements, divided by commas; without it all of them as a table")
    parser.add_argument("--cap-gb", type=float, default=4.0)
    parser.add_argument("--peer-seconds", type=float, default=150, help="at most, for transformers")
    options = parser.parse_args()
    only = [name for name in options.only.split(",") if name]
    if only == ["cap"]:
        cap(options)
        return
    bandwidth = copy_bandwidth()
    head = options.head or ("int8" if options.format == "int4" else options.format)
    print(f"copy {bandwidth / 1e12:.2f} TB/s on {torch.cuda.get_device_name()}, torch {torch.__version__}")
    if not only:
        table(bandwidth, options.peer_seconds)
        return
    print(f"{options.size} {options.format}, head {head}")
    measure(engine_of(options.size, options.format, head, few="long" in only), only, bandwidth)


if __name__ == "__main__":
    main()
