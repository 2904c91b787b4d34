"""Mutated DICOM files, archives, folders, NIfTI volumes and pictures through every reader: what goes wrong, by kind.

    nice -n 10 python benchmarks/fuzz_imaging.py --inputs 20000 --seed 1 --log fuzz.jsonl [--keep FOLDER]

Every input must be read or refused with one line: no exception, no crash, no more than 10 s of processor time or 2 GB of
memory, nothing written, nothing printed, no patient's name in an error. The n-th input of a seed is always the same.
`--log` gets one JSON line an input; started again with it, a run goes on where it stopped. `--keep` gets the inputs on
which something went wrong. `--only N` runs one input again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "fuzzing"))

import mutations
from driver import fuzz


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--start", type=int, default=0, help="the first number, for several processes at once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--only", type=int, nargs="*")
    asked = parser.parse_args()
    done: dict[int, dict[str, Any]] = {}
    if asked.log is not None and asked.log.exists():
        for line in asked.log.read_text().splitlines():
            answer = json.loads(line)
            if answer["seed"] == asked.seed:
                done[answer["number"]] = answer
    wanted = asked.only if asked.only is not None else [n for n in range(asked.start, asked.inputs) if n not in done]
    for answer in fuzz(wanted, asked.seed):
        done[answer["number"]] = answer
        if asked.log is not None:
            with asked.log.open("a") as log:
                log.write(json.dumps({"seed": asked.seed, **answer}) + "\n")
        for wrong in answer["wrong"]:
            print(f"{answer['number']}: {wrong}", flush=True)
        if answer["wrong"] and asked.keep is not None:
            given = mutations.mutated(answer["number"], asked.seed)
            asked.keep.mkdir(parents=True, exist_ok=True)
            (asked.keep / f"{answer['number']}-{given.name.replace('/', '-')}").write_bytes(given.data)
    return _summary(list(done.values()), asked.seed)


def _summary(answers: list[dict[str, Any]], seed: int) -> int:
    outcomes = Counter(answer["outcome"] for answer in answers)
    wrong = Counter(one.split(":")[0] for answer in answers for one in answer["wrong"])
    print(f"{len(answers)} inputs of seed {seed}: " + ", ".join(f"{n} {kind}" for kind, n in outcomes.most_common()))
    ended = [answer for answer in answers if "cpu" in answer]
    if ended:
        print(f"longest {max(a['cpu'] for a in ended):.1f} s of processor time, most memory {max(a['peak'] for a in ended) / 1e9:.2f} GB")
    print("wrong: " + (", ".join(f"{n} {kind}" for kind, n in wrong.most_common()) or "none"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
