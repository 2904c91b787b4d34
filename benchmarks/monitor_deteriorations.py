"""Sensitivity of `aris monitor` on injected deteriorations: 200 simulated patients who get worse, and 50 who do not.

    python benchmarks/monitor_deteriorations.py [--seed 0]

The simulator (`deteriorations.py`) was written from physiology by someone who had not seen the rules. A case counts as
found where an alarm of "warning" or "critical", of a problem that fits its kind, was told after its onset and by the end
of its record, when replayed in the order in which results were issued.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from statistics import median

from aris.records import timeline_of
from aris.tasks.monitor import monitor, replay
from deteriorations import cases, to_bundle

FITTING = {
    "sepsis": {"deterioration", "perfusion"},
    "aki": {"kidney"},
    "bleeding": {"bleeding", "deterioration", "perfusion"},
    "hyperkalaemia": {"potassium"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    began = time.process_time()
    total, found, any_alarm, standing = Counter(), Counter(), Counter(), Counter()
    delays: dict[str, list[float]] = defaultdict(list)
    false, days = Counter(), 0.0
    missed = []
    for case in cases(wanted.seed):
        kind = case["kind"]
        timeline = timeline_of([to_bundle(case)])
        result = replay(timeline)
        total[kind] += 1
        loud = [each for each in result.alarms if each.flag.severity != "info"]
        if kind == "stable":
            false.update(each.flag.rule for each in loud)
            any_alarm[kind] += bool(loud)
            assert result.start is not None and result.end is not None
            days += (result.end - result.start) / timedelta(days=1)
            continue
        onset = datetime.fromisoformat(case["onset"])
        hits = [each for each in loud if each.raised >= onset and each.flag.problem in FITTING[kind]]
        any_alarm[kind] += any(each.raised >= onset for each in result.alarms)
        if hits:
            found[kind] += 1
            delays[kind].append((hits[0].raised - onset) / timedelta(hours=1))
        else:
            missed.append((case["id"], kind, case["conditions"]))
        if result.end is not None:
            flags = monitor(timeline, now=result.end).flags
            standing[kind] += any(each.severity != "info" and each.problem in FITTING[kind] for each in flags)
    for kind in FITTING:
        print(
            f"{kind}: {found[kind]} of {total[kind]} found (warning or critical, fitting, after onset), a fitting flag stands "
            f"at the end in {standing[kind]}, any alarm after onset in {any_alarm[kind]}; median {median(delays[kind] or [0]):.1f} h after onset"
        )
    sick = sum(total[kind] for kind in FITTING)
    print(f"sensitivity {sum(found.values()) / sick:.3f} ({sum(found.values())} of {sick}); flags standing at the end {sum(standing.values()) / sick:.3f}")
    print(f"stable: {any_alarm['stable']} of {total['stable']} had an alarm; {100 * sum(false.values()) / max(days, 1):.0f} in 100 patient-days: {dict(false)}")
    print("missed:", missed)
    print(f"seed {wanted.seed}, {time.process_time() - began:.0f} s of CPU")


if __name__ == "__main__":
    main()
