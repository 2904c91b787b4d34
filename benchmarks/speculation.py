"""Speculation by prompt lookup against plain decoding: text that is copied, and text without repeats.

    python benchmarks/speculation.py [--model FILE] [--dtype bfloat16] [--tokens 192] [--rounds 5] [--side-by-side 1]

`--clock cpu` counts the process's own processor time, for machines that do other work meanwhile (one thread). Both
ways are run in turns on one engine each, one warm-up and then `rounds` times; medians of the time for all tokens
of an answer after its first, and whether the tokens were the same. "Without repeats" is sampled at temperature 1 with
a seed from a prompt of words in random order: what a lookup finds there is chance.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable

import torch

import aris
from aris.backends import NativeBackend
from aris.engine import Engine, EngineLimits, Request, SamplingParams

REPORT = """FINDINGS: The heart is mildly enlarged. The mediastinal contours are unchanged. There is a small right pleural
effusion with adjacent atelectasis at the right base, similar to the prior examination. No pneumothorax is seen. The
left lung is clear. A right internal jugular catheter ends in the lower superior vena cava. Degenerative changes of
the thoracic spine are noted. There is no free air under the diaphragm. IMPRESSION: 1. Small right pleural effusion with
right basilar atelectasis, unchanged. 2. Mild cardiomegaly without pulmonary edema. 3. Catheter in satisfactory position.
"""


def prompts(model: NativeBackend, words: int = 120) -> dict[str, list[int]]:
    """What is to be continued, by kind."""
    encode = model.tokenizer.encode
    ids = [at for at in range(5000, 60000) if (model.tokenizer.id_to_token(at) or "").strip("▁").isascii()]
    scattered = random.Random(0).sample(ids, words)
    return {
        "copying": encode(f"Copy the report.\nReport: {REPORT}\nCopy: {REPORT}\nCopy: ", add_bos=True),
        "summary": encode(f"{REPORT}\nThe same report in full, corrected for spelling:\nFINDINGS:", add_bos=True),
        "no repeats": [model.tokenizer.bos_id, *scattered],
    }


def answer(engine: Engine, prompt: list[int], params: SamplingParams, width: int, clock: Callable[[], float]) -> tuple[float, list[list[int]]]:
    """(seconds from the first tokens to the last, tokens) of `width` answers side by side."""
    first = [Request([*prompt, 1000 + at] if at else prompt, params=params) for at in range(width)]
    sequences = [engine.submit(request) for request in first]
    while any(not each.generated for each in sequences):
        engine.step()
    began = clock()
    for each in sequences:
        each.wait()
    spent = clock() - began
    return spent, [each.tokens[each.prompt_tokens :] for each in sequences]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="gemma-3-270m")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tokens", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side-by-side", type=int, default=1)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--only", nargs="*", help="kinds of text to run, by their first letter")
    a = parser.parse_args()
    clock = time.process_time if a.clock == "cpu" else time.perf_counter
    model = aris.load(a.model, dtype=a.dtype, device=a.device, limits=EngineLimits(kept_prompts=0))
    engines = {way: Engine(model.model, EngineLimits(cache_bytes=1 << 29, kept_prompts=0, speculation=way == "lookup")) for way in ("plain", "lookup")}
    print(f"{model!r}, {type(engines['plain'].runner).__name__}, {torch.get_num_threads()} threads, {a.side_by_side} side by side")
    print(f"{'text':>12} {'plain tok/s':>12} {'lookup tok/s':>13} {'ratio':>7} {'worst':>7} {'guessed':>8} {'right':>6} {'steps':>6} same")
    for kind, prompt in prompts(model).items():
        if a.only and kind[0] not in a.only:
            continue
        greedy = kind != "no repeats"
        params = SamplingParams(max_tokens=a.tokens, temperature=0.0 if greedy else 1.0, seed=1, stop_token_ids=())
        times: dict[str, list[float]] = {way: [] for way in engines}
        same = True
        for turn in range(a.rounds + 1):
            written = {}
            before = engines["lookup"].stats()
            for way, engine in sorted(engines.items(), reverse=bool(turn % 2)):
                spent, written[way] = answer(engine, prompt, params, a.side_by_side, clock)
                if turn:
                    times[way].append(spent)
            after = engines["lookup"].stats()
            same &= written["plain"] == written["lookup"]
        made = sum(len(tokens) - 1 for tokens in written["plain"])
        plain, lookup = (statistics.median(times[way]) for way in ("plain", "lookup"))
        worst = min(one / other for one, other in zip(times["plain"], times["lookup"], strict=True))
        guessed, right, steps = (after[name] - before[name] for name in ("draft_tokens", "accepted_draft_tokens", "steps"))
        print(f"{kind:>12} {made / plain:12.1f} {made / lookup:13.1f} {plain / lookup:7.3f} {worst:7.3f} {guessed:8.0f} {right:6.0f} {steps:6.0f} {same}", flush=True)


if __name__ == "__main__":
    main()
