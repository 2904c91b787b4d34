"""Two GPUs against one: the same recipe, the same examples; loss curves, tokens a second, memory.

    python benchmarks/tuning_two_gpus.py [--shape 4b] [--steps 12] [--processes 2] [--out FOLDER]

MedGemma's shapes, random weights, 8 rows a step of 1,000 tokens with an image. Each case runs twice, alone and under
torchrun: LoRA in bf16 and QLoRA, over shards (FSDP2) and with the whole model on each GPU (`shard: false`). One process alone
and whole models record their steps as CUDA graphs; shards cannot. Prints one JSON line a run and one a comparison.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import torch

from aris.tuning.checkpointing import Curve
from aris.tuning.data.examples import TokenizedExample
from aris.tuning.distributed import join, leave, shard
from aris.tuning.loop import Loop
from aris.tuning.recipe import Recipe
from aris.tuning.steps.forward import TrainingImages
from aris.tuning.trainable import prepare
from tuning_gpu import BEGIN, END, GIB, IMAGE, random_model, shape

CASES: dict[str, dict[str, Any]] = {
    "lora-shards": {"method": "lora"},
    "qlora-shards": {"method": "qlora"},
    "lora-whole": {"method": "lora", "shard": False},
    "qlora-whole": {"method": "qlora", "shard": False},
}
IMAGES = 8


def examples(count: int, soft: int, seed: int) -> list[TokenizedExample]:
    """Draw random words after an image; of one length, so that graphs are recorded in the first steps and not later."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for number in range(count):
        ids = torch.randint(1000, 200_000, (1000,), generator=generator).tolist()
        ids[4 : 6 + soft] = [BEGIN, *[IMAGE] * soft, END]
        made.append(TokenizedExample("t", ids, 744, number % IMAGES))
    return made


def child(case: str, name: str, steps: int, out: Path) -> None:
    # At ten times this rate QLoRA on random weights does not even repeat itself: cuDNN's backward adds in changing order.
    recipe = Recipe(
        seed=0, steps=steps, batch_size=8, max_tokens_per_microbatch=4096, max_tokens=1024, learning_rate=1e-4,
        tower_learning_rate=0, warmup_steps=2, weight_decay=0.0, clip_norm=1.0, lora_r=16, lora_alpha=16,
        augment_strength=0, evaluate_every=steps, save_every=10 * steps, mixture={"t": 1.0}, projector=False,
        checkpointing=True, **CASES[case],
    )  # fmt: skip
    process_group, device = join(torch.device("cuda" if torch.cuda.is_available() else "cpu"), shards=recipe.shard)
    torch.manual_seed(0)
    model = random_model(shape(name), recipe.method == "qlora", device)
    trained = shard(model, prepare(model, recipe, device), process_group)
    bank = torch.randint(0, 256, (IMAGES, 896, 896, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))

    def view(images: torch.Tensor) -> torch.Tensor:
        return (images.to(device).float() / 127.5 - 1).permute(0, 3, 1, 2)

    soft = model.config.mm_tokens_per_image
    images = TrainingImages(bank, lambda images, _: view(images), view)
    train, validation = examples(32, soft, 2), examples(8, soft, 3)
    loop = Loop(model, trained, recipe, train, validation, images, out, lambda line: None, process_group)
    times: list[tuple[float, float]] = []
    losses: list[float] = []
    take = loop._train_step

    def timed() -> float:
        began, before = time.perf_counter(), loop.tokens
        losses.append(take())
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append((time.perf_counter() - began, loop.tokens - before))
        return losses[-1]

    loop._train_step = timed  # type: ignore[method-assign]
    loop.run()
    later = times[len(times) // 2 :]  # kernels are compiled and graphs recorded in the first half
    if process_group.is_main:
        found: dict[str, Any] = {
            "case": case, "processes": process_group.world_size, "tokens_per_s": round(sum(t for _, t in later) / sum(s for s, _ in later)),
            "losses": [round(value, 4) for value in losses],
            "validation": [line["validation_loss"] for line in Curve.read(out / "curve.jsonl") if "validation_loss" in line],
        }  # fmt: skip
        if device.type == "cuda":
            found["peak_gib"] = round(torch.cuda.max_memory_allocated() / GIB, 2)
        print(json.dumps(found), flush=True)
    leave(process_group)


def run(case: str, processes: int, args: argparse.Namespace, folder: Path) -> dict[str, Any] | None:
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    out = folder / f"{case}-{processes}"
    command += [__file__, "--child", case, "--shape", args.shape, "--steps", str(args.steps), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "4"})
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"case"')]
    if not lines:
        print(json.dumps({"case": case, "processes": processes, "failed": done.stderr.strip()[-600:]}), flush=True)
        return None
    print(lines[-1], flush=True)
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="4b", choices=["4b", "tiny"])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", choices=CASES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child, args.shape, args.steps, args.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        alone: dict[str, dict[str, Any] | None] = {}
        for case in args.only:
            method = CASES[case]["method"]
            if method not in alone:
                alone[method] = run(case, 1, args, Path(folder))
            one, several = alone[method], run(case, args.processes, args, Path(folder))
            if one is None or several is None:
                continue
            pairs = list(zip(one["losses"], several["losses"], strict=True))
            print(json.dumps({
                "compared": case, "largest_loss_difference": round(max(abs(a - b) for a, b in pairs), 4),
                "loss_fell": [pairs[0][0], pairs[-1][0]], "speedup": round(several["tokens_per_s"] / one["tokens_per_s"], 2),
                "peak_gib": [one.get("peak_gib"), several.get("peak_gib")],
            }), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
