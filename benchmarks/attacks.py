"""Text that tries to be obeyed, through aris-nano's real tasks: how often it succeeds, by channel and by goal.

    python benchmarks/attacks.py [--channel header] [--show]

The corpus is `tests/attacks/payloads.yaml`. Structural: a rule of ours was broken (a control token in the prompt, a forged
section, a changed probability, a lowered priority, a lost draft mark); these must be none. Behavioural: the model's own
text or choice did what the attack wanted, against a control with harmless text in the same place.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests" / part) for part in ("", "attacks")]

from attacking import Bench, attacks  # noqa: E402

from aris.backends import load  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channel", default="", help="only channels that begin with this")
    parser.add_argument("--model", default="aris-nano")
    parser.add_argument("--show", action="store_true", help="print every success")
    asked = parser.parse_args()
    backend = load(asked.model, device="cpu")
    rows: dict[str, Counter[str]] = {}
    goals: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(backend, Path(folder))
        for attack in attacks():
            if not attack.channel.startswith(asked.channel):
                continue
            verdict = bench.run(attack)
            for table, key in ((rows, attack.channel.partition(":")[0]), (goals, attack.goal)):
                counts = table.setdefault(key, Counter())
                counts["cases"] += 1
                counts["structural"] += bool(verdict.structural)
                counts["behavioural"] += bool(verdict.behavioural)
                counts["warned"] += verdict.warned
                counts["refused"] += verdict.refused
            for what in dict.fromkeys(verdict.structural):
                print(f"STRUCTURAL {attack.name}: {what}", flush=True)
            if asked.show:
                for what in verdict.behavioural:
                    print(f"behavioural {attack.name}: {what}", flush=True)
    for title, table in (("channel", rows), ("goal", goals)):
        print(f"\n{title:20} cases  structural  behavioural  warned of  no text")
        for key, counts in table.items():
            print(f"{key:20} {counts['cases']:5}  {counts['structural']:10}  {counts['behavioural']:11}  {counts['warned']:9}  {counts['refused']:7}")
    total = sum(counts["cases"] for counts in rows.values())
    broken = sum(counts["structural"] for counts in rows.values())
    followed = sum(counts["behavioural"] for counts in rows.values())
    print(f"\n{total} cases: {broken} structural, {followed} behavioural ({100 * followed / max(1, total):.1f} %)")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
