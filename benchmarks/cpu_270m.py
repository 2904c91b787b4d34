"""Gemma 3 270M on a CPU from one Q4_K_M file: ours and llama.cpp in turn, with what the memory allows, from one run.

    python benchmarks/cpu_270m.py [MODEL.gguf] --peer-python VENV/bin/python [--data DATA] [--rounds 5] [--threads 2]

Without a file it is the one that comes with aris-nano, put together from its parts in a temporary folder. The peer's
Python has llama-cpp-python; it runs as a process of its own and waits while ours is timed, as ours does while it is. A
round is a prompt of 512 tokens and 128 greedy tokens after a prompt of 16. With --data the perplexity of MedQuAD answers
is measured too, ours and by the float32 numbers that the file stands for.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

PEER = """
import json, sys, time
from llama_cpp import Llama
path, threads = sys.argv[1], int(sys.argv[2])
model = Llama(path, n_ctx=2048, n_batch=512, n_threads=threads, n_threads_batch=threads, verbose=False)
for line in sys.stdin:
    prompt, new = json.loads(line)
    model.reset()
    start = time.perf_counter()
    model.eval(prompt)
    read = time.perf_counter() - start
    model.reset()
    model.eval(prompt[:16])
    token = model.sample(temp=0.0)
    start = time.perf_counter()
    for _ in range(new):
        model.eval([token])
        token = model.sample(temp=0.0)
    print(json.dumps([read, time.perf_counter() - start]), flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--peer-python")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--new", type=int, default=128)
    args = parser.parse_args()
    if args.model is not None and not args.model.is_file():
        parser.error(f"{args.model}: no such file")
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as complaints:
        args.model = str(args.model or embedded(Path(folder)))
        measure(args, complaints)


def embedded(folder: Path) -> Path:
    """The file that comes with aris-nano, whole."""
    from aris.checkpoints.embedded import language_weights

    space = language_weights().space
    path = folder / "gemma-3-270m-q4_k_m.gguf"
    path.write_bytes(space.read(0, space.size))
    return path


def measure(args: argparse.Namespace, complaints: IO[bytes]) -> None:
    import torch

    torch.set_num_threads(args.threads)
    import aris
    from aris.engine.runners.cpu import CpuRunner
    from aris.engine.runners.protocol import PrefillChunk, Rows

    model = aris.load(args.model)
    runner = model.engine.runner
    assert isinstance(runner, CpuRunner), "the C++ kernels are not in use here; `aris bench` says why"
    text = "Pneumonia is an infection that inflames the air sacs in one or both lungs. " * 60
    ids = [2, *model.tokenizer.encode(text)][:512]
    none = torch.tensor([], dtype=torch.int64)

    def ours() -> tuple[float, float]:
        start = time.perf_counter()
        runner.prefill(PrefillChunk(ids, 0, 1, list(range(1, 9)), outputs=1))
        read = time.perf_counter() - start
        hidden = runner.prefill(PrefillChunk(ids[:16], 0, 1, list(range(1, 9)), outputs=1))
        token = int(runner.greedy(hidden, none))
        start = time.perf_counter()
        for step in range(args.new):
            token = int(runner.greedy(runner.decode(Rows([token], [16 + step], [1], [list(range(1, 9))])), none))
        return read, time.perf_counter() - start

    peer = None
    if args.peer_python:
        command = [args.peer_python, "-c", PEER, args.model, str(args.threads)]
        peer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True)

    def theirs() -> tuple[float, float]:
        assert peer is not None and peer.stdin is not None and peer.stdout is not None
        try:
            peer.stdin.write(json.dumps([ids, args.new]) + "\n")
            peer.stdin.flush()
            read, decode = json.loads(peer.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            complaints.seek(0)
            raise SystemExit(f"llama.cpp ended: {complaints.read().decode(errors='replace').strip()[-500:]}") from None
        return read, decode

    found: dict[str, list[tuple[float, float]]] = {"ours": [], "llama.cpp": []}
    for count in range(args.rounds + 1):  # the first is a warm-up
        for name, work in (("ours", ours), ("llama.cpp", theirs)):
            if name == "ours" or peer is not None:
                times = work()
                if count:
                    found[name].append(times)
    if peer is not None and peer.stdin is not None:
        peer.stdin.close()
    big = torch.zeros(1 << 27)
    reads = []
    for _ in range(5):
        start = time.perf_counter()
        big.sum()
        reads.append(time.perf_counter() - start)
    bandwidth = big.nbytes / min(reads)
    del big
    speeds = {}
    for name, times in found.items():
        if times:
            read, decode = (statistics.median(column) for column in zip(*times, strict=True))
            speeds[name] = len(ids) / read, args.new / decode
            print(f"{name:10} prompt {speeds[name][0]:7.0f} tokens/s   decode {speeds[name][1]:6.1f} tokens/s")
    if "llama.cpp" in speeds:
        (ours_read, ours_decode), (read, decode) = speeds["ours"], speeds["llama.cpp"]
        print(f"ratio      prompt {ours_read / read:7.2f}            decode {ours_decode / decode:6.2f}")
    body = runner.nbytes - runner.head.nbytes
    least = body + runner.head.sketch_nbytes
    print(f"resident weight bytes: {runner.nbytes / 1e6:.1f} MB (head {runner.head.nbytes / 1e6:.1f}), file "
          f"{Path(args.model).stat().st_size / 1e6:.1f} MB; a step reads {least / 1e6:.1f} MB at least, "
          f"{least * speeds['ours'][1] / bandwidth:.0%} of {bandwidth / 1e9:.1f} GB/s that two threads read")  # fmt: skip
    for rows in (8, 64):
        many = Rows([5] * rows, [20] * rows, list(range(1, rows + 1)), [[row + 1] for row in range(rows)])
        if rows < runner.pool.slots and rows < runner.pool.blocks:
            times = []
            for _ in range(4):
                start = time.perf_counter()
                runner.greedy(runner.decode(many), none)
                times.append(time.perf_counter() - start)
            print(f"{rows} rows a step: {rows / statistics.median(times):.0f} tokens/s (rows are independent by construction)")
    if args.data:
        perplexity(args, model)


def perplexity(args: argparse.Namespace, model) -> None:  # type: ignore[no-untyped-def]
    import torch

    import aris
    from aris.engine.runners.protocol import PrefillChunk

    with gzip.open(args.data / "medquad" / "medquad.jsonl.gz", "rt", encoding="utf-8") as file:
        tests = (row for row in map(json.loads, file) if row["split"] == "test")
        rows = [f"{row['question']}\n{row['answer']}" for row in itertools.islice(tests, 40)]
    plain = aris.load(args.model, dtype="float32").engine.runner.model
    sums, count = [0.0, 0.0], 0
    runner = model.engine.runner
    for text in rows:
        ids = [2, *model.tokenizer.encode(text)][:400]
        targets = torch.tensor(ids[1:])
        states = (
            runner.logits(runner.prefill(PrefillChunk(ids, 0, 1, list(range(1, 9))))[:-1]),
            plain.logits(plain.hidden_states(torch.tensor([ids]))[0, :-1]),
        )
        for which, logits in enumerate(states):
            sums[which] += float(torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum"))
        count += len(targets)
    ours, theirs = (float(torch.tensor(total / count).exp()) for total in sums)
    print(f"perplexity of {len(rows)} MedQuAD test answers, {count} tokens: ours {ours:.3f}, float32 {theirs:.3f} ({ours / theirs - 1:+.2%})")


if __name__ == "__main__":
    main()
