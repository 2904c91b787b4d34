"""Tile sizes of the products, chosen in place: each candidate in the whole captured step, one role after the other.

    python benchmarks/tune_gpu_step.py [--size 4b|27b] [--format bf16|int4] [--head bf16|int8] [--seconds 60]

With ARIS_NO_NVRTC=1 for int4, whose tiles are otherwise those of the CUDA C++ kernels (`kernels/gpu/tiles.py`).
Slower than `tune_gpu_kernels.py` and truer: a kernel's neighbours decide how its start and its end overlap.
"""

from __future__ import annotations

import argparse
import itertools
import time

import torch

import aris.engine.runners.cuda_step as cuda_step
from aris.engine.cache.kv_pool import KVPool
from aris.engine.runners.cuda import CudaRunner
from gpu_decode import bytes_read, config_of, copy_bandwidth, fill, quantise, random_model, timed

NIBBLE = {
    "gate_up": [(8, 512, 1, 1), (4, 1024, 1, 1), (8, 512, 2, 1), (16, 512, 1, 1), (16, 512, 2, 1), (8, 1024, 1, 1), (8, 1024, 2, 1)],
    "down": [(b, k, w, p) for b in (4, 8, 16) for k in (512, 1024) for w in (1,) for p in (2, 4)],
    "qkv": [(4, 1024, 1, 1), (4, 512, 1, 1), (8, 512, 1, 1), (4, 512, 2, 1)],
    "o": [(4, 1024, 1, 1), (4, 1024, 1, 2), (4, 512, 1, 2), (8, 512, 1, 4), (4, 512, 1, 4), (8, 1024, 1, 2)],
    "head": [(16, 512, 1, 1), (8, 512, 1, 1)],
}  # fmt: skip
DENSE = {
    "gate_up": [(4, 512, 4, 1), (8, 512, 8, 1), (4, 1024, 8, 1), (8, 256, 2, 1), (8, 512, 4, 1)],
    "down": [(4, 1024, 8, 1), (8, 1024, 4, 1), (8, 512, 4, 2), (4, 1024, 8, 2), (8, 512, 8, 2), (8, 1024, 8, 2), (4, 512, 4, 4), (4, 512, 4, 2)],
    "qkv": [(16, 512, 8, 1), (4, 1024, 8, 1), (8, 512, 4, 1), (4, 512, 4, 1), (4, 512, 8, 1)],
    "o": [(4, 512, 8, 1), (4, 1024, 8, 1), (4, 512, 4, 1), (4, 512, 4, 2), (4, 1024, 4, 1), (8, 512, 4, 2)],
    "head": [(16, 512, 4, 1), (8, 512, 4, 1), (4, 512, 4, 1), (8, 512, 8, 1)],
}  # fmt: skip
INT8_HEAD = [(8, 512, 2, 1), (4, 512, 2, 1), (8, 512, 4, 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="4b")
    parser.add_argument("--format", default="int4", choices=["bf16", "int4"])
    parser.add_argument("--head", default=None)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    began = time.time()
    bandwidth = copy_bandwidth()
    model = random_model(config_of(options.size))
    pool = KVPool(model.config.text, 3, 40, "cuda", torch.bfloat16)
    with torch.inference_mode():
        runner = CudaRunner.wrap(model, pool)
        assert runner is not None
        quantise(runner, options.format, options.head or options.format)
        rows = fill(runner, 1, 1024)

        def measure() -> float:
            runner._steps.clear()
            runner._graphs.clear()
            runner._replay(rows)
            graph = runner.step_for(1, distinct=True)[1]
            assert graph is not None
            return timed(graph.replay, 11)

        nbytes = bytes_read(runner, 1, 1024)
        best = measure()
        print(f"start {best * 1e3:.3f} ms {nbytes / best / bandwidth:.1%}")
        kind = "dense" if options.format == "bf16" else "int4"
        for role, candidates in (NIBBLE if kind == "int4" else DENSE).items():
            key = (kind, role)
            if role == "head" and options.head == "int8":
                key, candidates = ("int8", "head"), INT8_HEAD
            found = []
            for block_n, block_k, warps, parts in candidates:
                if time.time() - began > options.seconds:
                    break
                before = cuda_step._ONE_ROW.get(key)
                cuda_step._ONE_ROW[key] = {"block_n": block_n, "block_k": block_k, "num_warps": warps} | (
                    {"parts": parts} if parts > 1 else {}
                )
                seconds = measure()
                found.append((seconds, (block_n, block_k, warps, parts)))
                if seconds < best:
                    best = seconds
                elif before is not None:
                    cuda_step._ONE_ROW[key] = before
            print(role, " ".join(f"{t * 1e3:.3f}:{c}" for t, c in sorted(found)[:5]))
        for name, options_ in (("attention", [{"splits": s, "block_s": b, "num_warps": w} for s, b, w in
                                              ((32, 16, 4), (32, 32, 4), (32, 16, 8), (64, 16, 8), (64, 8, 4), (16, 32, 8))]),
                               ("norm", [8, 16, 2])):  # fmt: skip
            for option in options_:
                attribute = "_ATTENTION_ONE" if name == "attention" else "_NORM_WARPS"
                before = getattr(cuda_step, attribute)
                setattr(cuda_step, attribute, option)
                seconds = measure()
                print(name, option, f"{seconds * 1e3:.3f}")
                if seconds < best:
                    best = seconds
                else:
                    setattr(cuda_step, attribute, before)
        print(f"best {best * 1e3:.3f} ms {nbytes / best / bandwidth:.1%}")
        for key in itertools.product((kind, "int8"), ("qkv", "o", "gate_up", "down", "head")):
            if key in cuda_step._ONE_ROW:
                print(key, cuda_step._ONE_ROW[key])


if __name__ == "__main__":
    main()
