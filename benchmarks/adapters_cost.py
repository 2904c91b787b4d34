"""What adapters that take turns cost: a step's rows on the base, on one adapter, and on four at once, against the model
that has the adapter merged, which is the limit.

    python benchmarks/adapters_cost.py [--model aris-nano] [--rank 16] [--rows 8] [--tokens 48] [--rounds 5]

The adapters are random, on all seven products of every layer. Kinds take turns, and medians of ratios to the base of the
same round are printed, so a busy machine disturbs little.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from safetensors.torch import save_file

import aris
from aris.backends import NativeBackend
from aris.engine import EngineLimits, Request, SamplingParams

PLACES = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")


def write_adapter(folder: Path, config, rank: int, seed: int) -> Path:
    """A random PEFT adapter for a decoder of these sizes."""
    text = config.text
    heads, kv, inner = text.num_attention_heads * text.head_dim, text.num_key_value_heads * text.head_dim, text.intermediate_size
    width = text.hidden_size
    sizes = dict(zip(PLACES, ((width, heads), (width, kv), (width, kv), (heads, width), (width, inner), (width, inner), (inner, width)), strict=True))
    random = torch.Generator().manual_seed(seed)
    prefix = "base_model.model.model." + ("language_model." if config.vision is not None else "")
    state = {}
    for layer in range(text.num_hidden_layers):
        for place, (columns, outputs) in sizes.items():
            key = f"{prefix}layers.{layer}.{place}.lora_"
            state[f"{key}A.weight"] = torch.randn(rank, columns, generator=random) * columns**-0.5
            state[f"{key}B.weight"] = torch.randn(outputs, rank, generator=random) * 0.01
    folder.mkdir(parents=True)
    save_file(state, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(f'{{"peft_type": "LORA", "r": {rank}, "lora_alpha": {2 * rank}}}')
    return folder


def seconds(model: NativeBackend, names: list[str | None], rows: int, tokens: int, prompt: int) -> tuple[float, float]:
    """Seconds of the prompts and seconds of a step after them, `rows` answers side by side, adapters in turn."""
    model.engine.forget()
    params = SamplingParams(max_tokens=tokens, stop_token_ids=())
    ids = [[2, *range(1000 + row * 7, 1000 + row * 7 + prompt)] for row in range(rows)]
    began = time.perf_counter()
    sequences = [model.engine.submit(Request(each, params=params, adapter=names[row % len(names)])) for row, each in enumerate(ids)]
    for sequence in sequences:
        next(sequence)
    read = time.perf_counter()
    for sequence in sequences:
        sequence.wait()
    return read - began, (time.perf_counter() - read) / (tokens - 1)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", default="aris-nano")
    options.add_argument("--rank", type=int, default=16)
    options.add_argument("--rows", type=int, nargs="+", default=[1, 8])
    options.add_argument("--tokens", type=int, default=48)
    options.add_argument("--prompt", type=int, default=200)
    options.add_argument("--rounds", type=int, default=5)
    a = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = aris.load(a.model, limits=EngineLimits(cache_bytes=1 << 28)).model.config
        folders = {f"adapter{i}": write_adapter(Path(folder) / str(i), config, a.rank, i) for i in range(4)}
        limits = EngineLimits(cache_bytes=1 << 30)
        model = aris.load(a.model, adapters=folders, limits=limits)
        merged = aris.load(a.model, adapter=folders["adapter0"], limits=limits)
    bank = model.engine.adapters
    assert bank is not None
    print(f"{model!r}, {type(model.engine.runner).__name__}, rank {a.rank}: {bank.nbytes / 4e6:.1f} MB an adapter")
    print(f"merged: {type(merged.engine.runner).__name__}")
    names = model.adapters
    kinds: dict[str, tuple[NativeBackend, list[str | None]]] = {
        "base": (model, [None]),
        "merged": (merged, [None]),
        "one adapter": (model, [names[0]]),
        "four in turn": (model, list(names)),
        "base and four": (model, [None, *names]),
    }
    print(f"{'rows':>4} {'kind':<14} {'prompt tok/s':>12} {'answers tok/s':>13} {'prompt':>7} {'step':>6}  (times the base's)")
    for rows in a.rows:
        seen: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
        for _ in range(a.rounds + 1):
            for kind, (which, chosen) in kinds.items():
                seen[kind].append(seconds(which, chosen, rows, a.tokens, a.prompt))
        for kind, times in seen.items():
            ratios = [(mine[0] / base[0], mine[1] / base[1]) for mine, base in zip(times[1:], seen["base"][1:], strict=True)]
            read, step = (median(each[at] for each in times[1:]) for at in (0, 1))
            prompt, own = (median(each[at] for each in ratios) for at in (0, 1))
            print(f"{rows:>4} {kind:<14} {rows * (a.prompt + 1) / read:>12,.0f} {rows / step:>13,.1f} {prompt:>7.2f} {own:>6.2f}")


if __name__ == "__main__":
    main()
