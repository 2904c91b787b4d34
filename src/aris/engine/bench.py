"""Measurement of a model's speed on this machine, beside the limit that the memory's bandwidth sets.

At batch 1 a decoder reads all its weights for one token, so bandwidth over bytes read is the most tokens a second that
any program could make. What is measured here goes through the engine, as a caller's request does.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch

from aris.engine.cache.images import ImageInput
from aris.engine.cache.kv_pool import BLOCK
from aris.engine.engine import Engine
from aris.engine.sampling import SamplingParams
from aris.engine.sequence import Request
from aris.model import MedGemma
from aris.model.config import LOCAL


@dataclass(frozen=True)
class BenchFigures:
    """Figures of a measurement. Times in seconds, sizes in bytes, rates a second.

    Attributes:
        device, threads, dtype, runner: where and how it ran; `threads` is None on a GPU.
        bandwidth: bytes a second that a large copy reads and writes.
        weight_bytes: of the decoder, read once for each token; the embedding counts once, as the head.
        context: tokens before the middle of the answer.
        step_bytes: weights, and keys and values at `context`: what one token reads.
        decode_rate: tokens a second of one answer; `decode_share` of bandwidth / step_bytes.
        streams, streams_rate: that many answers side by side, and their tokens a second together.
        prompt_tokens, prefill_rate, first_token_s: a prompt without images.
        image_s: encoding one image alone; None without a tower.
        image_first_token_s: one image and a short question to the first token; None without a tower.
        memory_bytes: on a GPU the most that was allocated; on a CPU weights, tower and the cache's capacity in use.
    """

    device: str
    threads: int | None
    dtype: str
    runner: str
    bandwidth: float
    weight_bytes: int
    context: int
    step_bytes: int
    decode_rate: float
    decode_share: float
    streams: int
    streams_rate: float
    prompt_tokens: int
    prefill_rate: float
    first_token_s: float
    image_s: float | None
    image_first_token_s: float | None
    memory_bytes: int


def measure(engine: Engine, *, prompt_tokens: int = 512, new_tokens: int = 64, streams: int = 8) -> BenchFigures:
    """Measure an engine that does nothing else. Takes some seconds to minutes, most of it on slow machines.

    Args:
        prompt_tokens: of the prompt that is read, at least 2; shortened to what the engine takes.
        new_tokens: of each answer, at least 4.
        streams: answers side by side.
    """
    model = engine.model
    prompt_tokens = max(2, min(prompt_tokens, engine.max_tokens - new_tokens - 1))
    params = SamplingParams(max_tokens=new_tokens, stop_token_ids=())
    _one(engine, _prompt(engine, prompt_tokens), params)  # compiles, captures, warms up
    first_tokens, gaps = [], []
    for _ in range(3):
        first, between = _one(engine, _prompt(engine, prompt_tokens), params)
        first_tokens.append(first)
        gaps += between
    decode_rate = 1.0 / statistics.median(gaps)
    context = prompt_tokens + new_tokens // 2
    step_bytes = weight_bytes(model) + cache_bytes(model, context)
    bandwidth = copy_bandwidth(model.device)
    image_s, image_first = _images(engine, params)
    return BenchFigures(
        device=_device_name(model.device),
        threads=torch.get_num_threads() if model.device.type == "cpu" else None,
        dtype=str(model.dtype).removeprefix("torch."),
        runner=type(engine.runner).__name__,
        bandwidth=bandwidth,
        weight_bytes=weight_bytes(model),
        context=context,
        step_bytes=step_bytes,
        decode_rate=decode_rate,
        decode_share=decode_rate * step_bytes / bandwidth,
        streams=streams,
        streams_rate=_together(engine, streams, new_tokens),
        prompt_tokens=prompt_tokens,
        prefill_rate=prompt_tokens / statistics.median(first_tokens),
        first_token_s=statistics.median(first_tokens),
        image_s=image_s,
        image_first_token_s=image_first,
        memory_bytes=memory_of(engine),
    )


def copy_bandwidth(device: torch.device) -> float:
    """Bytes a second, read and written, of a copy too large for any cache; the best of several."""
    size = 1 << 28 if device.type == "cuda" else 1 << 26
    source = torch.ones(size, device=device)
    target = torch.empty_like(source)
    best = min(_seconds(lambda: torch.neg(source, out=target), device) for _ in range(7))
    return 2 * source.nbytes / best


def weight_bytes(model: MedGemma) -> int:
    """Bytes of the decoder's weights, packed ones as packed; the tied embedding counts once."""
    seen: dict[int, int] = {}
    for tensor in (*model.language_model.parameters(), *model.language_model.buffers(), *_packed(model)):
        seen[tensor.data_ptr()] = tensor.nbytes
    return sum(seen.values())


def cache_bytes(model: MedGemma, context: int) -> int:
    """Bytes of keys and values that a token at position `context` reads."""
    text = model.config.text
    per_token = 2 * text.num_key_value_heads * text.head_dim * model.dtype.itemsize
    seen = (min(context, text.sliding_window) if kind == LOCAL else context for kind in text.layer_types)
    return sum(seen) * per_token


def _packed(model: MedGemma) -> Iterator[torch.Tensor]:
    """Tensors of layers that a runner has packed."""
    for module in model.language_model.modules():
        weight = getattr(module, "packed", None)
        for name in ("data", "scale", "minimum", "codes", "scales", "upper", "lower"):
            tensor = getattr(weight, name, None)
            if isinstance(tensor, torch.Tensor):
                yield tensor


def _prompt(engine: Engine, tokens: int) -> tuple[int, ...]:
    """Ordinary tokens, other ones each time, so that nothing is found in a cache."""
    config = engine.model.config
    limit = min(config.text.vocab_size, config.boi_token_index)
    return (2, *(random.randrange(limit // 2, limit) for _ in range(tokens - 1)))


def _one(engine: Engine, ids: tuple[int, ...], params: SamplingParams) -> tuple[float, list[float]]:
    """Seconds to the first token, and between those after it."""
    times = [time.perf_counter()]
    times += [time.perf_counter() for _ in engine.submit(Request(ids, (), params))]
    gaps = [after - before for before, after in pairwise(times[1:])]
    return times[1] - times[0], gaps


def _together(engine: Engine, streams: int, new_tokens: int) -> float:
    """Tokens a second of several answers after short prompts, from the first token of the last to begin."""
    params = SamplingParams(max_tokens=new_tokens, stop_token_ids=())
    requests = [Request(_prompt(engine, BLOCK), (), params) for _ in range(streams)]
    for _ in range(2):  # the first warms up
        sequences = engine.submit_all(requests)
        while any(sequence.generated == 0 for sequence in sequences):
            next(iter(sequences[-1]))
        before = sum(sequence.generated for sequence in sequences)
        started = time.perf_counter()
        for sequence in sequences:
            for _ in sequence:
                pass
        spent = time.perf_counter() - started
        rate = (sum(sequence.generated for sequence in sequences) - before) / spent
        engine.forget()
    return rate


def _images(engine: Engine, params: SamplingParams) -> tuple[float | None, float | None]:
    config, device = engine.model.config, engine.model.device
    if config.vision is None:
        return None, None
    side = config.vision.image_size
    soft = (config.boi_token_index, *[config.image_token_index] * config.mm_tokens_per_image, config.eoi_token_index)
    encoding, first = [], []
    for _ in range(4):
        pixels = torch.rand(1, config.vision.num_channels, side, side) * 2 - 1
        encoding.append(_seconds(partial(engine.encode_images, pixels), device))
        ids = (2, *_prompt(engine, 8), *soft, *_prompt(engine, 16))
        started = time.perf_counter()
        sequence = engine.submit(Request(ids, ImageInput.from_pixels(pixels), params))
        next(iter(sequence))
        first.append(time.perf_counter() - started)
        sequence.cancel()
    return statistics.median(encoding[1:]), statistics.median(first[1:])


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "CPU"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "CPU")


def memory_of(engine: Engine) -> int:
    """Bytes of an engine's weights and cache; on a GPU the most that was allocated."""
    device = engine.model.device
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    tensors = (*engine.model.parameters(), *engine.model.buffers(), *_packed(engine.model))
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in tensors}.values())
