"""64 streams at once on a CPU, each with the tokens that it gets alone, whether any of them starves, and what that costs.

    python benchmarks/invariance_cost.py [--tokens 24] [--alone 64] [--groups 0 16]

First the default configuration: 64 conversations of many lengths, some with an image and two of them long, come in four
waves, and every greedy answer is compared with that of the same conversation alone. Waiting is counted in steps of the
engine: steps between two tokens of an answer that runs (1 is the least there can be), while prompts are read beside it.
Then the cost: tokens/s of the default runner, whose products give a row the same bits in any company, beside the model's
own modules in bfloat16 on the same weights, as they are ("plain": not the same in company) and in groups of rows (the
same, padded).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field

import numpy as np
import torch

import aris
from aris.backends import GenerationOptions, NativeBackend
from aris.engine import Engine, EngineLimits, Request, SamplingParams, Sequence
from aris.engine.cache.kv_pool import KVPool
from aris.engine.runners.plain import TorchRunner

PROMPT, READ = 100, 1024
WORDS = ["the", "lungs", "are", "clear", "without", "effusion", "and", "the", "heart", "is", "of", "normal", "size", "while", "no", "fracture", "of", "a", "rib", "can", "be", "seen", "today"]


@dataclass
class Watched:
    """A sequence, and the steps at which it came and its tokens did."""

    sequence: Sequence
    came: int
    at: list[int] = field(default_factory=list)


def conversations(count: int) -> list[list[aris.Message]]:
    """Of many lengths; each sixth has an image, and two are long."""
    random = np.random.default_rng(0)
    out = []
    for number in range(count):
        length = 1200 if number in (20, 41) else int(random.integers(5, 260))
        text = f"Question {number}: " + " ".join(random.choice(WORDS, length)) + ". What does that mean?"
        image = [random.integers(0, 255, (224, 224), dtype=np.uint8)] if number % 6 == 5 else []
        out.append([aris.user(*image, text)])
    return out


def together(model: NativeBackend, asked: list[list[aris.Message]], tokens: int, waves: int = 4) -> tuple[list[list[int]], list[Watched], float]:
    """Answers of all, with the steps at which their tokens came, and seconds."""
    engine, options = model.engine, GenerationOptions(max_tokens=tokens)
    watched: list[Watched] = []
    streams = []
    step = 0
    each = -(-len(asked) // waves)
    began = time.perf_counter()
    while len(watched) < len(asked) or any(not one.sequence.finished for one in watched):
        if step % 6 == 0 and len(watched) < len(asked):
            for messages in asked[len(watched) : len(watched) + each]:
                streams.append(model.stream(messages, options))
                watched.append(Watched(streams[-1]._record.sequence, step))
        engine.step()
        step += 1
        for one in watched:
            one.at += [step] * (one.sequence.generated - len(one.at))
    return [one.sequence.tokens[one.sequence.prompt_tokens :] for one in watched], watched, time.perf_counter() - began


def check(model: NativeBackend, tokens: int, alone: int, streams: int = 64) -> bool:
    """Print the first part; whether all is as it should be."""
    asked = conversations(streams)
    model.engine.forget()
    answers, watched, seconds = together(model, asked, tokens)
    model.engine.forget()
    began = time.perf_counter()
    same = 0
    chosen = range(streams) if alone >= streams else np.linspace(0, streams - 1, alone).astype(int).tolist()
    for number in chosen:
        (answer,), _, _ = together(model, asked[number : number + 1], tokens, waves=1)
        same += answer == answers[number]
    one_by_one = time.perf_counter() - began
    made = sum(len(answer) for answer in answers)
    gaps = [after - before for one in watched for before, after in zip(one.at, one.at[1:], strict=False)]
    firsts = [one.at[0] - one.came for one in watched]
    prompts = sorted(one.sequence.prompt_tokens for one in watched)
    print(f"{streams} streams, prompts of {prompts[0]} to {prompts[-1]} tokens, {made} tokens: {seconds:.1f} s at once ({made / seconds:.1f} tokens/s); "
          f"{len(chosen)} of them alone, one after the other: {one_by_one:.1f} s")  # fmt: skip
    print(f"same greedy tokens as alone: {same} of {len(chosen)}")
    print(f"steps between two tokens of an answer: {max(gaps)} at most; steps to the first one: median {int(np.median(firsts))}, at most {max(firsts)}")
    return same == len(chosen) and max(gaps) == 1


def rates(engine: Engine, tokens: int) -> list[float]:
    """Tokens/s of 1, 8 and 64 rows a step, and of reading a prompt."""
    found = [decode(engine, rows, tokens) for rows in (1, 8, 64)]
    prompt = random_prompt(READ, seed=999)
    began = time.perf_counter()
    engine.prefill(prompt)
    return [*found, READ / (time.perf_counter() - began)]


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


def main() -> None:
    """Print both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=24, help="of each answer in the first part")
    parser.add_argument("--alone", type=int, default=64, help="how many of the 64 are run alone too")
    parser.add_argument("--cost-tokens", type=int, default=8, help="of each answer in the second part")
    parser.add_argument("--groups", type=int, nargs="*", default=[0, 16], help="rows of a group; 0 is plain; none: no second part")
    a = parser.parse_args()
    model = aris.load("aris-nano", device="cpu")
    print(f"aris-nano as it is by default: {type(model.engine.runner).__name__}, {torch.get_num_threads()} threads")
    held = check(model, a.tokens, a.alone)
    if a.groups:
        print(f"\ntokens/s\n{'':>28} {'1 row':>8} {'8 rows':>8} {'64 rows':>8} {'prefill':>8}")
        rows = rates(model.engine, a.cost_tokens)
        print(f"{'default, the same in company':>28} " + " ".join(f"{rate:8.1f}" for rate in rows), flush=True)
        plain = aris.load("aris-nano", device="cpu", dtype="bfloat16").model
        for group in a.groups:
            pool = KVPool(plain.config.text, 72, 600, "cpu", plain.dtype)
            engine = Engine(plain, EngineLimits(), pool=pool, runner=TorchRunner(plain, pool, group=group))
            name = f"modules in groups of {group}" if group else "modules, plain"
            print(f"{name:>28} " + " ".join(f"{rate:8.1f}" for rate in rates(engine, a.cost_tokens)), flush=True)
    raise SystemExit(0 if held else 1)


if __name__ == "__main__":
    main()
