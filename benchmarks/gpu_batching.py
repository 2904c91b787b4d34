"""Continuous batching on a GPU: answers in company against answers alone, and memory over a thousand requests.

    python benchmarks/gpu_batching.py [--streams 64] [--alone 64] [--only bf16,int4,fp32]

float32: 64 streams give the same tokens as each alone. bfloat16, and int4 with an int8 head: each chosen token is the
argmax of a full plain pass over prompt and answer wherever the margin between the two best tokens exceeds the noise, taken
as the largest difference of any logit between the two paths. 4B shapes, random weights.
"""

from __future__ import annotations

import argparse
import gc
import time

import torch

from aris.engine import Engine, EngineLimits, Request
from aris.engine.runners.protocol import PrefillChunk
from aris.model import MedGemma
from gpu_decode import config_of, random_model, random_packed_model
from gpu_engine import greedy, prompt


def together(engine: Engine, prompts: list[list[int]], new: int) -> list[list[int]]:
    sequences = engine.submit_all([Request(tuple(ids), (), greedy(new)) for ids in prompts])
    return [list(sequence.wait().tokens[len(ids) :]) for sequence, ids in zip(sequences, prompts, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--alone", type=int, default=64)
    parser.add_argument("--only", default="bf16,int4,fp32")
    options = parser.parse_args()
    prompts = [prompt(20 + 7 * i, i) for i in range(options.streams)]
    if "bf16" in options.only:
        model = random_model(config_of("4b"))
        against_plain("bf16", model, model, prompts, options.streams)
        del model
    if "int4" in options.only:
        made = []
        for _ in range(2):  # the engine packs what it is given
            torch.manual_seed(0)
            made.append(random_packed_model(config_of("4b"), "int4", "int8"))
        against_plain("int4", made[0], made[1], prompts, options.streams)
        del made
    if "fp32" in options.only:
        float32(random_model(config_of("4b")), prompts, options)


def against_plain(kind: str, model: MedGemma, same: MedGemma, prompts: list[list[int]], streams: int) -> None:
    """The engine on a model against the plain path of the same one, and memory."""
    engine = Engine(model, EngineLimits(max_running=streams, kept_prompts=0, cache_bytes=12 << 30))
    began = time.perf_counter()
    answers = together(engine, prompts, 24)
    print(
        f"{kind}: {streams} streams of 24 tokens in {time.perf_counter() - began:.1f} s (first graphs included)"
    )
    clear = equal = positions = 0
    with torch.inference_mode():
        for ids, answer in list(zip(prompts, answers, strict=True))[:: max(1, streams // 16)]:
            whole = [*ids, *answer[:-1]]
            plain = same.logits(same.hidden_states(torch.tensor([whole], device="cuda"))[0, len(ids) - 1 :]).float()
            chunk = PrefillChunk(whole, 0, 1, list(range(1, -(-len(whole) // 64) + 1)), outputs=len(answer))
            ours = engine.runner.logits(engine.runner.prefill(chunk)).float()
            noise = (plain - ours).abs().max()
            best = plain.topk(2, dim=1)
            sure = best.values[:, 0] - best.values[:, 1] > noise
            chosen = torch.tensor(answer, device="cuda")
            clear += int(sure.sum())
            equal += int((chosen == best.indices[:, 0])[sure].sum())
            positions += len(answer)
    print(f"{kind}: {equal} of {clear} clear positions have the plain path's argmax ({positions} positions in all)")

    def used() -> int:
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated()

    short = [prompt(17, 1000 + i) for i in range(64)]
    together(engine, short, 2)
    before = used()
    for round_ in range(16):
        together(engine, [[*ids[:-1], 300 + round_] for ids in short], 2)
    print(
        f"memory after {16 * 64} requests: {used() / before - 1:+.3%} of {before / 1e9:.2f} GB; {engine.stats()['running']:.0f} running"
    )


def float32(model: MedGemma, prompts: list[list[int]], options: argparse.Namespace) -> None:
    """Against each alone."""
    gc.collect()
    torch.cuda.empty_cache()
    model = model.float()
    engine = Engine(model, EngineLimits(max_running=options.streams, kept_prompts=0, cache_bytes=16 << 30))
    began = time.perf_counter()
    answers = together(engine, prompts, 12)
    print(
        f"fp32: {options.streams} streams of 12 tokens in {time.perf_counter() - began:.1f} s ({type(engine.runner).__name__})"
    )
    chosen_ones = range(0, options.streams, max(1, options.streams // options.alone))
    same = sum(together(engine, [prompts[i]], 12)[0] == answers[i] for i in chosen_ones)
    print(f"fp32: {same} of {len(chosen_ones)} streams have the same tokens alone")


if __name__ == "__main__":
    main()
