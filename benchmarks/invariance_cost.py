"""What batch-invariant products cost on a CPU: tokens/s of aris-nano in groups of rows, beside plain ones.

    python benchmarks/invariance_cost.py [--dtype bfloat16] [--groups 0 8 16 32 64]
"""

from __future__ import annotations

import argparse
import time

import torch

import aris
from aris.engine import Engine, EngineLimits, Request, SamplingParams
from aris.engine.kv_pool import KVPool
from aris.engine.runner import TorchRunner

PROMPT, READ = 100, 1024


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--groups", type=int, nargs="+", default=[0, 8, 16, 32, 64])
    parser.add_argument("--tokens", type=int, default=8, help="to generate in each sequence")
    a = parser.parse_args()
    model = aris.load("aris-nano", dtype=a.dtype, device="cpu").model
    print(f"aris-nano, {a.dtype}, {torch.get_num_threads()} threads; tokens/s")
    print(f"{'group':>8} {'1 row':>8} {'8 rows':>8} {'64 rows':>8} {'prefill':>8}")
    for group in a.groups:
        pool = KVPool(model.config.text, 72, 600, "cpu", model.dtype)
        engine = Engine(model, EngineLimits(), pool=pool, runner=TorchRunner(model, pool, group=group))
        rates = [decode(engine, rows, a.tokens) for rows in (1, 8, 64)]
        prompt = random_prompt(READ, seed=999)
        began = time.perf_counter()
        engine.prefill(prompt)
        rates.append(READ / (time.perf_counter() - began))
        print(f"{group or 'plain':>8} " + " ".join(f"{rate:8.1f}" for rate in rates), flush=True)


def decode(engine: Engine, rows: int, tokens: int) -> float:
    """Tokens a second of so many sequences side by side, their prompts not counted."""
    params = SamplingParams(max_tokens=tokens + 1, stop_token_ids=())
    requests = [Request(random_prompt(PROMPT, seed=rows * 1000 + at), params=params) for at in range(rows)]
    sequences = [engine.submit(request) for request in requests]
    while any(not each.generated for each in sequences):
        engine.step()
    made, began = sum(each.generated for each in sequences), time.perf_counter()
    while engine.step():
        pass
    return (sum(each.generated for each in sequences) - made) / (time.perf_counter() - began)


def random_prompt(length: int, seed: int) -> list[int]:
    """Tokens of no meaning, which take as long as others."""
    random = torch.Generator().manual_seed(seed)
    return [2, *torch.randint(1000, 200_000, (length - 1,), generator=random).tolist()]


if __name__ == "__main__":
    main()
