"""Times the Triton kernels, and the tower's attention in CUDA C++, at MedGemma's shapes over their tile sizes.

    python benchmarks/tune_gpu_kernels.py [--only matvec,matmul,decode,prefill,tower,gemm] [--workers 12]

Prints, for every shape, the tiles in order of speed. The fastest are what `engine/runners/cuda.py` uses. Work is captured
in CUDA graphs; weights rotate among copies larger than the L2 cache. Workers compile the variants beforehand.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

DEVICE = "cuda"
# Rows and columns of the products of a layer, and of the head.
SHAPES = {
    "4b": {
        "qkv": (4096, 2560),
        "o": (2560, 2048),
        "gate_up": (20480, 2560),
        "down": (2560, 10240),
        "head": (262208, 2560),
    },
    "27b": {"qkv": (8192, 5376), "o": (5376, 4096), "gate_up": (43008, 5376), "down": (5376, 21504)},
}


def graph_time(work: Callable[[], None], repeats: int = 5) -> float:
    """Seconds for one run of `work`, captured; the median of several replays."""
    work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    times = []
    for _ in range(repeats + 2):
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        graph.replay()
        stop.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(stop) / 1e3)
    return sorted(times[2:])[repeats // 2]


def copy_bandwidth() -> float:
    """Bytes a second, read and written, of a large device-to-device copy."""
    a = torch.randn(1 << 30, device=DEVICE)
    b = torch.empty_like(a)
    ways = {"copy_": lambda: b.copy_(a), "clone by arithmetic": lambda: torch.neg(a, out=b)}
    speeds = {name: 2 * a.nbytes / graph_time(work, 9) for name, work in ways.items()}
    print({name: f"{speed / 1e12:.2f} TB/s" for name, speed in speeds.items()}, "read only:",
          f"{a.nbytes / graph_time(lambda: torch.sum(a)) / 1e12:.2f} TB/s")  # fmt: skip
    return max(speeds.values())


def make_weight(kind: str, rows: int, columns: int, group: int):
    from aris.kernels.gpu.weights import Weight

    if kind == "dense":
        return Weight("dense", torch.randn(rows, columns, device=DEVICE, dtype=torch.bfloat16) * 0.02)
    if kind == "int8":
        data = torch.randint(-127, 128, (rows, columns), device=DEVICE, dtype=torch.int8)
        return Weight("int8", data, torch.rand(rows, 1, device=DEVICE) * 1e-3, None, columns)
    data = torch.randint(-(1 << 31), 1 << 31, (rows, columns // 8), device=DEVICE).to(torch.int32)
    scale = (torch.rand(rows, columns // group, device=DEVICE) * 1e-2).bfloat16()
    return Weight("int4", data, scale, -8 * scale, group)


def matvec_variants(kind: str, name: str):
    if kind == "int4":
        for block_n, block_k, warps, tiles in itertools.product((4, 8, 16), (512, 1024), (1, 2), (1, 2, 4)):
            yield {"block_n": block_n, "block_k": block_k, "num_warps": warps, "tiles": tiles}
        return
    for block_n, block_k, warps, tiles in itertools.product((4, 8, 16), (256, 512, 1024), (2, 4, 8), (1, 2)):
        if 2048 <= block_n * block_k <= 8192:
            yield {"block_n": block_n, "block_k": block_k, "num_warps": warps, "tiles": tiles}


def time_matvec(kind: str, name: str, rows: int, columns: int, tile: dict, once: bool = False) -> float:
    from aris.kernels.gpu.matvec import matvec

    nbytes = rows * columns * {"dense": 2.0, "int8": 1.0, "int4": 0.5625}[kind]
    copies = 1 if once else max(2, min(16, int(3e8 // nbytes) + 1))
    weights = [make_weight(kind, rows, columns, 64) for _ in range(copies)]
    gated = name == "gate_up"
    out = torch.empty(rows // 2 if gated else rows, device=DEVICE, dtype=torch.bfloat16)
    vector = torch.randn(columns, device=DEVICE, dtype=torch.bfloat16)
    norm = torch.zeros(columns, device=DEVICE, dtype=torch.bfloat16)
    onward = torch.empty_like(vector)
    scratch = torch.empty(70000, 1 << (columns - 1).bit_length(), device=DEVICE, dtype=torch.bfloat16)
    joined = False  # norms inside the product were tried and are slower than a kernel of their own

    def work() -> None:
        for weight in weights:
            if joined:
                matvec(weight, out, x=vector, residual=vector, residual_out=onward, post_weight=norm, pre_weight=norm,
                       scratch=scratch, gated=gated, pdl=True, **tile)  # fmt: skip
            else:
                matvec(weight, out, x=vector, gated=gated, pdl=True, **tile)

    if once:
        work()
        return 0.0
    return graph_time(work) / copies


def matmul_variants(kind: str, name: str):
    for block_n, block_k, warps, stages in itertools.product((16, 32, 64, 128), (64, 128), (2, 4, 8), (2, 3, 4, 6)):
        if kind == "int4" and (block_k == 64 or block_n not in (32, 64) or stages > 3):
            continue
        if kind == "dense" and (stages == 2 or block_n * block_k * stages > 64 * 128 * 4 or warps == 2):
            continue
        yield {"block_n": block_n, "block_k": block_k, "num_warps": warps, "stages": stages}


def time_matmul(
    kind: str, name: str, rows: int, columns: int, tile: dict, once: bool = False, batch: int = 32
) -> float:
    from aris.kernels.gpu.matmul import matmul

    nbytes = rows * columns * {"dense": 2.0, "int8": 1.0, "int4": 0.5625}[kind]
    copies = 1 if once else max(2, min(16, int(3e8 // nbytes) + 1))
    weights = [make_weight(kind, rows, columns, 64) for _ in range(copies)]
    x = torch.randn(batch, columns, device=DEVICE, dtype=torch.bfloat16)

    def work() -> None:
        for weight in weights:
            if tile:
                matmul(x, weight, gate=name == "gate_up", pdl=True, **tile)
            else:
                F.linear(x, weight.data)

    if once:
        work()
        return 0.0
    return graph_time(work) / copies


def time_decode(
    context: int,
    batch: int,
    local: bool,
    splits: int,
    block_s: int,
    warps: int,
    dot: bool,
    stages: int,
    once: bool = False,
) -> float:
    from aris.kernels.gpu.decode_attention import decode_attention

    heads, kv_heads, dim, ring = 8, 4, 256, 1088
    layers = 2 if once else 12
    pools = []
    pages = -(-context // 64)
    for _ in range(layers):
        shape = (batch + 1, ring, kv_heads, dim) if local else (batch * pages + 1, 64, kv_heads, dim)
        pools.append(tuple(torch.randn(shape, device=DEVICE, dtype=torch.bfloat16) for _ in range(2)))
    tables = torch.arange(batch * pages, device=DEVICE, dtype=torch.int32).view(batch, pages) + 1
    positions = torch.full((batch,), context - 1, device=DEVICE)
    slots = torch.arange(batch, device=DEVICE) + 1
    qkv = torch.randn(batch, 16 * dim, device=DEVICE, dtype=torch.bfloat16)
    norm = torch.zeros(dim, device=DEVICE, dtype=torch.bfloat16)
    rope = (torch.rand(batch, dim // 2, device=DEVICE), torch.rand(batch, dim // 2, device=DEVICE))
    out = torch.empty(batch, heads, dim, device=DEVICE, dtype=torch.bfloat16)
    work_space = (
        torch.empty(batch * heads * splits * dim, device=DEVICE),
        torch.empty(2 * batch * heads * splits, device=DEVICE),
        torch.zeros(batch * kv_heads, dtype=torch.int32, device=DEVICE),
    )

    def work() -> None:
        for pool in pools:
            decode_attention(out, pool, positions, slots, scale=0.0625, splits=splits, workspace=work_space,
                             window=1024 if local else None, tables=None if local else tables, qkv=qkv,
                             norms=(norm, norm), rope=rope, block_s=block_s, num_warps=warps, dot=dot,
                             stages=stages, pdl=True)  # fmt: skip

    if once:
        work()
        return 0.0
    return graph_time(work) / layers


def time_prefill(
    dim: int, heads: int, kv_heads: int, tokens: int, window: int | None, tile: dict, once: bool = False
) -> float:
    from aris.kernels.gpu.prefill_attention import prefill_attention

    if once:
        tokens = 512
    query = torch.randn(1, tokens, heads, dim, device=DEVICE, dtype=torch.bfloat16)
    key, value = (torch.randn(1, tokens, kv_heads, dim, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    last = torch.arange(tokens, device=DEVICE, dtype=torch.int32)
    first = torch.zeros_like(last) if window is None else (last - window + 1).clamp(min=0)
    work = lambda: prefill_attention(query, key, value, scale=0.06, first=first, last=last, **tile)  # noqa: E731
    if once:
        work()
        return 0.0
    return graph_time(work)


def time_tower(tile: dict | None, backend: SDPBackend | None = None, once: bool = False) -> float:
    from aris.kernels.gpu.prefill_attention import prefill_attention
    from aris.kernels.gpu.tower_attention import tower_attention, tower_attention_reference

    images = 1 if once else 8
    qkv = torch.randn(images, 4096, 3 * 1152, device=DEVICE, dtype=torch.bfloat16)
    query, key, value = (part.unflatten(2, (16, 72)) for part in qkv.chunk(3, 2))

    own = (query.contiguous(), torch.randn(2, 16, 72, images, 4096, device=DEVICE, dtype=torch.bfloat16))
    if tile is None and backend is None and once:
        wanted = tower_attention_reference(own[0].float(), own[1].float())
        print(f"tower attention: apart by {float((tower_attention(*own) - wanted).norm() / wanted.norm()):.2e}")

    def work() -> None:
        if tile is not None:
            prefill_attention(query, key, value, scale=72**-0.5, **tile)
        elif backend is None:
            tower_attention(*own)
        else:
            with sdpa_kernel(backend):
                F.scaled_dot_product_attention(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2))

    if once:
        work()
        return 0.0
    return graph_time(work) / images


PREFILL_TILES = [
    {"block_m": m, "block_n": n, "num_warps": w, "stages": s}
    for m, n, w, s in [(128, 64, 8, 2), (128, 32, 8, 3), (64, 64, 4, 2), (64, 32, 4, 3), (128, 64, 8, 3), (128, 128, 8, 2), (64, 64, 8, 2)]
]  # fmt: skip
TOWER_TILES = [
    {"block_m": m, "block_n": n, "num_warps": w, "stages": s}
    for m, n, w, s in [(128, 64, 4, 3), (128, 64, 8, 3), (128, 128, 8, 2), (64, 64, 4, 3), (128, 128, 8, 3), (64, 128, 4, 2)]
]  # fmt: skip
DECODE = (
    [(1, s, b, w, False, 1) for s in (32, 64) for b in (4, 8, 16) for w in (2, 4, 8) if s * b <= 1024]
    + [(1, s, 16, w, True, 3) for s in (32, 64) for w in (2, 4)]
    + [
        (32, s, b, w, True, g)
        for s in (1, 2, 4)
        for b in (16, 32, 64)
        for w in (2, 4, 8)
        for g in (2, 3, 4)
        if b * g <= 128
    ]
)


def jobs(only: set[str]) -> list[tuple]:
    """(group, label, bound in seconds or None, function, arguments)."""
    out: list[tuple] = []
    for kind in ("dense", "int4", "int8"):
        for name, (rows, columns) in SHAPES["4b"].items():
            if kind == "int8" and name != "head":
                continue
            nbytes = rows * columns * {"dense": 2.0, "int8": 1.0, "int4": 0.5625}[kind]
            if "matvec" in only and not (kind == "dense" and name == "head"):
                for tile in matvec_variants(kind, name):
                    out.append((f"matvec {kind} {name}", tile, nbytes, time_matvec, (kind, name, rows, columns, tile)))
            if "matmul" in only and name != "head":
                for tile in [*matmul_variants(kind, name), *([{}] if kind == "dense" else [])]:
                    out.append(
                        (f"matmul32 {kind} {name}", tile, nbytes, time_matmul, (kind, name, rows, columns, tile))
                    )
    if "decode" in only:
        for local in (True,):
            for batch, splits, block_s, warps, dot, stages in DECODE:
                label = {"splits": splits, "block_s": block_s, "warps": warps, "dot": dot, "stages": stages}
                context = 1024 if batch == 1 else 576
                out.append((f"decode {'local' if local else 'global'} x{batch}", label, batch * context * 4096, time_decode,
                            (context, batch, local, splits, block_s, warps, dot, stages)))  # fmt: skip
    if "prefill" in only:
        for tile in PREFILL_TILES:
            for window in (1024, None):
                out.append((f"prefill 4b window {window}", tile, None, time_prefill, (256, 8, 4, 8192, window, tile)))
    if "tower" in only:
        for tile in TOWER_TILES:
            out.append(("tower attention", tile, None, time_tower, (tile,)))
        out.append(("tower attention", {"own": "tower_attention.cu"}, None, time_tower, (None,)))
        for backend in (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION):
            out.append(("tower attention", {"sdpa": backend.name}, None, time_tower, (None, backend)))
    return out


def compile_part(part: int, workers: int, only: set[str]) -> None:
    for _, _, _, function, arguments in jobs(only)[part::workers]:
        try:
            function(*arguments, once=True)
        except Exception as error:  # a tile that does not fit is reported when it is timed
            print("compile", function.__name__, arguments, str(error).splitlines()[0][:120])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="matvec,matmul,decode,prefill,tower,gemm")
    parser.add_argument("--workers", type=int, default=12)
    options = parser.parse_args()
    only = set(options.only.split(","))
    started = time.time()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=compile_part, args=(i, options.workers, only)) for i in range(options.workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print(f"compiled in {time.time() - started:.0f} s")
    bandwidth = copy_bandwidth()
    print(f"copy {bandwidth / 1e12:.2f} TB/s on {torch.cuda.get_device_name()}")
    found: dict[str, list[tuple[float, str]]] = {}
    for group, label, nbytes, function, arguments in jobs(only):
        try:
            seconds = function(*arguments)
        except Exception as error:
            found.setdefault(group, []).append((1e9, f"{label}: {str(error).splitlines()[0][:80]}"))
            continue
        share = "" if nbytes is None else f"{nbytes / seconds / bandwidth:6.1%} of copy"
        found.setdefault(group, []).append((seconds, f"{seconds * 1e6:9.1f} us {share}  {label}"))
        torch.cuda.empty_cache()
    if "gemm" in only:
        for name, (rows, columns) in SHAPES["4b"].items():
            if name == "head":
                continue
            x = torch.randn(8192, columns, device=DEVICE, dtype=torch.bfloat16)
            w = torch.randn(rows, columns, device=DEVICE, dtype=torch.bfloat16)
            seconds = graph_time(lambda x=x, w=w: F.linear(x, w))
            print(f"gemm 8192 {name}: {seconds * 1e6:.0f} us {2 * 8192 * rows * columns / seconds / 1e12:.0f} TFLOP/s")
    for group, rows_ in found.items():
        print(group)
        for _, text in sorted(rows_)[:4]:
            print("   ", text)
        errors = [text for seconds, text in rows_ if seconds > 1e8]
        if errors:
            print("    failed:", len(errors), errors[0])
    print(f"{time.time() - started:.0f} s")


if __name__ == "__main__":
    main()
