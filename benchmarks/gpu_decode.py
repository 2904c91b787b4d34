"""Decode steps of the CUDA runner on full-size shapes with random weights, against the same run's copy bandwidth.

python benchmarks/gpu_decode.py [--size 4b|27b] [--format bf16|int4|int8] [--head bf16|int4|int8] [--batch 1,32] [--context 1024]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

import torch

from aris.engine.cache.kv_pool import KVPool
from aris.engine.runners.cuda import CudaRunner
from aris.engine.runners.protocol import PrefillChunk, Rows
from aris.kernels.gpu.tiles import can_tile
from aris.kernels.gpu.weights import Weight
from aris.model import MedGemma, MedGemmaConfig, TextConfig, VisionConfig
from aris.model.quantized import DEFAULT_GROUP, Codes, QuantizedEmbedding, QuantizedLinear

TEXT = {
    "4b": dict(hidden_size=2560, intermediate_size=10240, num_hidden_layers=34, num_attention_heads=8,
               num_key_value_heads=4, head_dim=256, query_pre_attn_scalar=256),
    "27b": dict(hidden_size=5376, intermediate_size=21504, num_hidden_layers=62, num_attention_heads=32,
                num_key_value_heads=16, head_dim=128, query_pre_attn_scalar=168),
}  # fmt: skip


def config_of(size: str, *, tower: bool = False) -> MedGemmaConfig:
    """MedGemma's shapes."""
    layers = TEXT[size]["num_hidden_layers"]
    kinds = tuple("full_attention" if (i + 1) % 6 == 0 else "sliding_attention" for i in range(layers))
    text = TextConfig(vocab_size=262_208, sliding_window=1024, layer_types=kinds, rope_factor=8.0, **TEXT[size])
    vision = VisionConfig(1152, 4304, 27, 16, image_size=896, patch_size=14) if tower else None
    return MedGemmaConfig(text, vision)


def random_model(config: MedGemmaConfig) -> MedGemma:
    """Random bfloat16 weights, of a size that keeps activations of order one."""
    with torch.device("meta"):
        model = MedGemma(config)
    model = model.to(torch.bfloat16).to_empty(device="cuda").eval()
    generator = torch.Generator("cuda").manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=parameter.shape[-1] ** -0.5, generator=generator)
            elif "norm" in name and "bias" not in name and "vision_tower" not in name:
                parameter.normal_(std=0.1, generator=generator)
            elif "norm" in name and "bias" not in name:
                parameter.normal_(mean=1.0, std=0.1, generator=generator)
            else:
                parameter.normal_(std=0.02, generator=generator)
    return model


def random_packed_model(config: MedGemmaConfig, kind: str, head: str) -> MedGemma:
    """Random codes and a bfloat16 tower on the GPU, without a dense decoder at any time."""
    with torch.device("meta"):
        model = MedGemma(config)
    for name, module in list(model.language_model.named_modules()):
        table = name == "embed_tokens"
        if not table and type(module) is not torch.nn.Linear:
            continue
        rows, columns = module.weight.shape
        form = head if table else kind
        group = columns if form == "int8" else DEFAULT_GROUP
        scale = torch.rand(rows, columns // group, device="cuda") * columns**-0.5 / (127 if form == "int8" else 8)
        if form == "int8":
            codes = torch.randint(-127, 128, (rows, columns), dtype=torch.int8, device="cuda")
            parts = Codes(form, codes, scale, None, group)
        else:
            packed = torch.randint(0, 256, (rows, columns // 2), dtype=torch.uint8, device="cuda")
            parts = Codes(form, packed, scale.bfloat16(), (-7.5 * scale).bfloat16(), group)
        made = QuantizedEmbedding.from_codes(parts) if table else QuantizedLinear.from_codes(parts)
        parent, _, leaf = name.rpartition(".")
        setattr(model.language_model.get_submodule(parent), leaf, made)
    for name, parameter in list(model.named_parameters()):
        parent, _, leaf = name.rpartition(".")
        value = torch.empty(parameter.shape, dtype=torch.bfloat16, device="cuda")
        value.normal_(std=parameter.shape[-1] ** -0.5 if parameter.dim() > 1 else 0.02)
        setattr(model.get_submodule(parent), leaf, torch.nn.Parameter(value, requires_grad=False))
    return model.eval()


def copy_bandwidth() -> float:
    """Bytes a second, read and written, of the faster of two large device-to-device copies."""
    a = torch.randn(1 << 29, device="cuda")
    b = torch.empty_like(a)
    return 2 * a.nbytes / min(timed(lambda: b.copy_(a)), timed(lambda: torch.neg(a, out=b)))


def timed(work: Callable[[], object], repeats: int = 15) -> float:
    """Median seconds of `work`, by device events."""
    for _ in range(3):
        work()
    times = []
    for _ in range(repeats):
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        stop.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(stop) / 1e3)
    return sorted(times)[repeats // 2]


def bytes_read(runner: CudaRunner, batch: int, context: int) -> int:
    """Weights with their scales, head included, and the keys and values that `batch` rows at `context` see."""
    text = runner.model.config.text
    total = runner.head.nbytes + sum(
        weight.nbytes for layer in runner.weights for weight in (layer.qkv, layer.o, layer.gate_up, layer.down)
    )
    for kind in text.layer_types:
        seen = context if kind == "full_attention" else min(context, text.sliding_window)
        total += batch * seen * 2 * text.num_key_value_heads * text.head_dim * 2
    return total


def fill(runner: CudaRunner, batch: int, context: int) -> Rows:
    """Rows at position context - 1 of `batch` sequences with random keys and values before them."""
    for tensor in (*runner.pool.keys, *runner.pool.values):
        tensor.normal_()
    pages = -(-context // 64)
    tables = [list(range(1 + row * pages, 1 + (row + 1) * pages)) for row in range(batch)]
    return Rows([7 + row for row in range(batch)], [context - 1] * batch, list(range(1, batch + 1)), tables)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="4b", choices=TEXT)
    parser.add_argument("--batch", default="1,32")
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--format", default="bf16", choices=["bf16", "int8", "int4"])
    parser.add_argument("--head", default=None, choices=["bf16", "int8", "int4"])
    parser.add_argument("--check", action="store_true", help="compare with the plain runner")
    parser.add_argument("--prefill", type=int, default=0)
    options = parser.parse_args()
    bandwidth = copy_bandwidth()
    print(f"copy {bandwidth / 1e12:.2f} TB/s on {torch.cuda.get_device_name()}")
    model = random_model(config_of(options.size))
    batches = [int(b) for b in options.batch.split(",")]
    pages = -(-max(options.context, options.prefill) // 64)
    pool = KVPool(model.config.text, max(batches) + 2, max(batches) * pages + 2, "cuda", torch.bfloat16)
    with torch.inference_mode():
        if options.check:
            check(model, pool)
        runner = CudaRunner.wrap(model, pool)
        assert runner is not None
        quantise(runner, options.format, options.head or options.format)
        print(options.size, options.format, "head", options.head or options.format)
        for batch in batches:
            rows = fill(runner, batch, options.context)
            runner.decode(rows)
            _, graph = runner.step_for(batch, distinct=True)
            assert graph is not None
            seconds = timed(graph.replay)
            nbytes = bytes_read(runner, batch, options.context)
            print(f"batch {batch} context {options.context}: {seconds * 1e3:.3f} ms, {batch / seconds:.0f} tok/s, "
                  f"{nbytes / 1e9:.2f} GB, {nbytes / seconds / bandwidth:.1%} of copy")  # fmt: skip
        if options.prefill:
            chunk = PrefillChunk(list(range(5, 5 + options.prefill)), 0, 1, list(range(1, pages + 1)))
            print(f"prefill {options.prefill}: {timed(lambda: runner.prefill(chunk), 5) * 1e3:.1f} ms")


def quantise(runner: CudaRunner, kind: str, head: str) -> None:
    """Put random codes of a format in the place of the weights; for timing, where values do not matter."""

    def coded(weight: Weight, kind: str) -> Weight:
        rows, columns = weight.out_features, weight.in_features
        if kind == "bf16":
            return weight
        if kind == "int8":
            data = torch.randint(-127, 128, (rows, columns), device="cuda", dtype=torch.int8)
            return Weight("int8", data, torch.rand(rows, 1, device="cuda") * 0.02 * columns**-0.5, None, columns)
        data = torch.randint(-(1 << 31), 1 << 31, (rows, columns // 8), device="cuda").to(torch.int32)
        scale = (torch.rand(rows, columns // 64, device="cuda") * 0.2 * columns**-0.5).bfloat16()
        if rows < 200_000 and can_tile(rows, columns, 64):  # the head stays in words
            return Weight("int4", data, torch.stack((scale, -8 * scale), 2), None, 64, tiled=True)
        return Weight("int4", data, scale, -8 * scale, 64)

    names = ("qkv", "o", "gate_up", "down")
    runner.weights = [replace(w, **{name: coded(getattr(w, name), kind) for name in names}) for w in runner.weights]
    runner.head = coded(runner.head, head)


def check(model: MedGemma, pool: KVPool) -> None:
    """Prefill and a few decode steps beside the plain runner: cosine of hidden states."""
    from aris.engine.runners.plain import TorchRunner

    prompt = [2, *range(1000, 1300)]
    results = []
    for make in (lambda: TorchRunner(model, pool), lambda: CudaRunner.wrap(model, pool)):
        runner = make()
        hidden = [runner.prefill(PrefillChunk(prompt, 0, 1, list(range(1, 9))))]
        for i in range(3):
            hidden.append(runner.decode(Rows([50 + i], [301 + i], [1], [list(range(1, 9))])).clone())
        hidden.append(runner.decode(Rows([60, 61, 62], [304, 305, 306], [1] * 3, [list(range(1, 9))] * 3)).clone())
        hidden.append(runner.prefill(PrefillChunk([70, 71, 72, 73], 307, 1, list(range(1, 9)))))
        results.append(hidden)
    for a, b in zip(*results, strict=True):
        cosine = torch.nn.functional.cosine_similarity(a.float(), b.float(), dim=-1)
        print(f"check {tuple(a.shape)}: least cosine {float(cosine.min()):.6f}")


if __name__ == "__main__":
    main()
