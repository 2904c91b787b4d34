"""Speculation by prompt lookup against plain decoding: text that is copied, and text without repeats.

    python benchmarks/speculation.py [--model aris-nano] [--dtype bfloat16] [--tokens 192] [--rounds 5] [--side-by-side 1]

Both ways answer at the same time on an engine each, on the same weights: a step of one, a step of the other, in
changing order, so that whatever else the machine does falls on both alike. Printed are

* `ratio` and `worst`: plain time over lookup's for the answer, the median of the rounds and their least; a step that
  took more than three times the median of its kind (a machine that was elsewhere) counts as that;
* `counted`: the same by counting steps and guessed rows. Only what such a row costs is measured, once for the whole run: the
  median over all steps with guesses, each against the plain step made beside it. The floor of 0.97 is judged by it;
* `steps` and `rows` a token, which no clock enters (plain: 1 and 1), and `plan`: microseconds a step that looking up and
  deciding take, whether anything is guessed or not.

"No repeats" is sampled at temperature 2 with a seed from a prompt of words in random order: what a lookup finds there is
chance. "Always wrong" is the same text, but whatever a lookup finds, 16 words by chance are guessed at every token: the
worst that could ever be proposed. "Sampled" is temperature 1. `--clock cpu` counts the process's own processor time (one thread).
"""

from __future__ import annotations

import argparse
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median

import torch

import aris
from aris.backends import NativeBackend
from aris.engine import Engine, EngineLimits, Request, SamplingParams, Sequence

# A step beyond so many times the median of its kind is the machine's doing.
_OUTLIER = 3.0
_FLOOR = 0.97

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
        "sampled": [model.tokenizer.bos_id, *scattered],
        "no repeats": [model.tokenizer.bos_id, *scattered],
        "always wrong": [model.tokenizer.bos_id, *scattered],
    }


TEMPERATURES = {"sampled": 1.0, "no repeats": 2.0, "always wrong": 2.0}


class AlwaysWrong:
    """Guesses by chance, at every token."""

    def __init__(self, vocab_size: int) -> None:
        self._random, self._vocab_size = random.Random(1), vocab_size

    def propose(self, sequence: Sequence, room: int) -> list[int]:
        """See `scheduler.Proposer`."""
        return [self._random.randrange(5000, self._vocab_size - 1000) for _ in range(min(room, 16))]

    def observe(self, sequence: Sequence, proposed: int, accepted: int) -> None:
        """See `scheduler.Proposer`."""


@dataclass
class Run:
    """One way's steps in one round: (rows, seconds) each, and what it wrote."""

    steps: list[tuple[int, float]] = field(default_factory=list)
    tokens: list[list[int]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Of all steps, outliers cut."""
        kinds = by_rows(self.steps)
        most = {rows: _OUTLIER * median(times) for rows, times in kinds.items()}
        return sum(min(seconds, most[rows]) for rows, seconds in self.steps)


def by_rows(steps: list[tuple[int, float]]) -> dict[int, list[float]]:
    """Times of steps by their rows."""
    kinds: dict[int, list[float]] = defaultdict(list)
    for rows, seconds in steps:
        kinds[rows].append(seconds)
    return kinds


def race(engines: Mapping[str, Engine], prompt: list[int], params: SamplingParams, width: int, clock: Callable[[], float]) -> dict[str, Run]:
    """`width` answers side by side from each engine, whose steps take turns; the first token of each is not counted."""
    going: dict[str, list[Sequence]] = {}
    for way, engine in engines.items():
        going[way] = [engine.submit(Request([*prompt, 1000 + at] if at else prompt, params=params)) for at in range(width)]
        while any(not each.generated for each in going[way]):
            engine.step()
    runs = {way: Run() for way in engines}
    turn = 0
    while any(not each.finished for sequences in going.values() for each in sequences):
        for way in sorted(engines, reverse=bool(turn % 2)):
            left = sum(not each.finished for each in going[way])
            if not left:
                continue
            before = engines[way].stats()["draft_tokens"]
            began = clock()
            engines[way].step()
            spent = clock() - began
            runs[way].steps.append((left + int(engines[way].stats()["draft_tokens"] - before), spent))
        turn += 1
    for way, sequences in going.items():
        runs[way].tokens = [each.tokens[each.prompt_tokens :] for each in sequences]
    return runs


def counted(plain: list[Run], lookup: list[Run]) -> list[float]:
    """For each round plain steps over lookup's, where a guessed row costs what it does at the median of all, in steps.

    Steps with guesses are compared with the plain one that was made beside them.
    """
    costs = []
    for one, other in zip(plain, lookup, strict=True):
        for (few, beside), (rows, seconds) in zip(one.steps, other.steps, strict=False):
            if rows > few:
                costs.append((seconds / beside - 1) / (rows - few))
    row = max(median(costs), 0.0) if costs else 0.0
    width = plain[0].steps[0][0]
    return [
        len(one.steps) / sum(1 + row * max(rows - width, 0) for rows, _ in other.steps)
        for one, other in zip(plain, lookup, strict=True)
    ]


def timed_planning(engine: Engine) -> list[float]:
    """Times that planning guesses takes, as they come from now on."""
    scheduler, seen = engine._scheduler, []
    inner = scheduler._plan_drafts

    def plan(*arguments: object) -> None:
        began = time.perf_counter()
        inner(*arguments)
        seen.append(time.perf_counter() - began)

    scheduler._plan_drafts = plan  # type: ignore[method-assign]
    return seen


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="aris-nano")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tokens", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side-by-side", type=int, default=1)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--only", nargs="*", help="kinds of text to run")
    a = parser.parse_args()
    clock = time.process_time if a.clock == "cpu" else time.perf_counter
    small = EngineLimits(cache_bytes=1 << 29, kept_prompts=0)
    model = aris.load(a.model, dtype=a.dtype, device=a.device, limits=small)
    guessing = EngineLimits(cache_bytes=1 << 29, kept_prompts=0, speculation=True)
    engines = {"plain": model.engine, "lookup": Engine(model.model, guessing)}
    planning = timed_planning(engines["lookup"])
    lookup_words, vocabulary = engines["lookup"]._scheduler.proposer, model.model.config.text.vocab_size
    names = {type(engine.runner).__name__ for engine in engines.values()}
    print(f"{model!r}, {', '.join(names)}, {torch.get_num_threads()} threads, {a.side_by_side} side by side")
    print(f"{'text':>12} {'plain tok/s':>12} {'lookup tok/s':>13} {'ratio':>7} {'worst':>7} {'counted':>8} {'worst':>7} {'steps':>6} {'rows':>6} {'right':>6} {'plan us':>8} same")
    held = True
    for kind, prompt in prompts(model).items():
        if a.only and kind not in a.only:
            continue
        engines["lookup"]._scheduler.proposer = AlwaysWrong(vocabulary) if kind == "always wrong" else lookup_words
        rounds: dict[str, list[Run]] = {way: [] for way in engines}
        same = True
        guessed = right = 0.0
        planning.clear()
        for turn in range(a.rounds + 1):
            params = SamplingParams(max_tokens=a.tokens, temperature=TEMPERATURES.get(kind, 0.0), seed=turn, stop_token_ids=())
            before = engines["lookup"].stats()
            runs = race(engines, prompt, params, a.side_by_side, clock)
            after = engines["lookup"].stats()
            same &= runs["plain"].tokens == runs["lookup"].tokens
            if turn:  # the first one warms up
                guessed += after["draft_tokens"] - before["draft_tokens"]
                right += after["accepted_draft_tokens"] - before["accepted_draft_tokens"]
                for way, run in runs.items():
                    rounds[way].append(run)
        plain, lookup = rounds["plain"], rounds["lookup"]
        made = sum(len(tokens) - 1 for tokens in plain[0].tokens)
        ratios = [one.seconds / other.seconds for one, other in zip(plain, lookup, strict=True)]
        exact = counted(plain, lookup)
        steps = sum(len(run.steps) for run in lookup) / sum(len(run.steps) for run in plain)
        rows = sum(count for run in lookup for count, _ in run.steps) / (made * len(lookup))
        rates = [made / median(run.seconds for run in each) for each in (plain, lookup)]
        held &= min(exact) >= _FLOOR
        print(
            f"{kind:>12} {rates[0]:12.1f} {rates[1]:13.1f} {median(ratios):7.3f} {min(ratios):7.3f} {median(exact):8.3f} {min(exact):7.3f} "
            f"{steps:6.3f} {rows:6.3f} {right / guessed if guessed else 0.0:6.2f} {median(planning) * 1e6:8.1f} {same}",
            flush=True,
        )
    print(f"the floor of {_FLOOR} by counted work is {'held' if held else 'MISSED'}")


if __name__ == "__main__":
    main()
