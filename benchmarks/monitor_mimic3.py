"""Alarms of `aris monitor` on real intensive care: mimic3_demo replayed in the order in which results were charted.

    python benchmarks/monitor_mimic3.py [--data DIR] [--patients N]

Prints, for each rule, alarms in 100 patient-days without grouping (each new piece of evidence for which the condition
holds), with each rule's repeats grouped, and with one alarm a problem; and the lead time of the first alarm before the
worst hour of kidney injury (KDIGO by creatinine, by the second implementation in tests/records/score_oracles.py) and of
shock (the lowest mean pressure of an admission with a mean pressure below 65 mmHg and a lactate above 2 mmol/L within 6
hours). Patient-days are those of the admissions; vital signs are of intensive care alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests" / "records")]

import score_oracles as oracle  # noqa: E402

from aris.records import Measurement, Timeline, timeline_of  # noqa: E402
from aris.tasks.monitor import Replayed, replay  # noqa: E402
from mimic3_records import Stay, Subject, subjects  # noqa: E402

HOUR = timedelta(hours=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ARIS_DATA", "../shared/data")))
    parser.add_argument("--patients", type=int)
    wanted = parser.parse_args()
    raised, episodes, told = Counter(), Counter(), Counter()
    days, moments, late = 0.0, 0, 0
    kidney: list[tuple[float | None, int]] = []
    shock: list[float | None] = []
    began = time.process_time()
    for subject in subjects(wanted.data / "mimic3_demo", wanted.patients):
        timeline = timeline_of(subject.resources)
        late += sum(late_by(each) for each in timeline.measurements)
        for stay in merged(subject):
            result = replay(timeline, start=stay.start, end=stay.end)
            days += (stay.end - stay.start) / timedelta(days=1)
            moments += result.moments
            raised.update(result.raised)
            episodes.update(result.episodes)
            told.update(each.flag.rule for each in result.alarms)
            worst = worst_kidney_hour(timeline, stay)
            if worst is not None:
                kidney.append((lead(result, worst[0], ("kidney",)), worst[1]))
            bottom = worst_pressure_hour(timeline, stay)
            if bottom is not None:
                shock.append(lead(result, bottom, ("deterioration", "perfusion")))
    print(f"{'rule':24}{'no grouping':>14}{'by rule':>10}{'by problem':>12}   alarms in 100 patient-days")
    for rule in sorted(raised, key=lambda each: -told[each]):
        print(f"{rule:24}" + "".join(f"{100 * each[rule] / days:>{width}.1f}" for each, width in ((raised, 14), (episodes, 10), (told, 12))))
    print(f"{'all':24}" + "".join(f"{100 * sum(each.values()) / days:>{width}.1f}" for each, width in ((raised, 14), (episodes, 10), (told, 12))))
    print(f"{days:.0f} patient-days, {moments:,} moments, {late:,} results entered more than an hour late, {time.process_time() - began:.0f} s of CPU")
    tell("kidney injury (KDIGO 1 or more)", [each for each, _ in kidney])
    tell("kidney injury (KDIGO 2 or more)", [each for each, stage in kidney if stage >= 2])
    tell("shock", shock)
    print(json.dumps({"days": round(days, 1), "raised": raised, "episodes": episodes, "told": told}))


def tell(what: str, leads: list[float | None]) -> None:
    known = sorted(each for each in leads if each is not None)
    if known:
        ahead = sum(each > 0 for each in known)
        print(f"{what}: alarm at or before the worst hour in {len(known)} of {len(leads)} admissions, ahead of it in {ahead}; lead time median {median(known):.1f} h, "
              f"quartiles {known[len(known) // 4]:.1f} to {known[3 * len(known) // 4]:.1f} h")


def merged(subject: Subject) -> list[Stay]:
    found: list[Stay] = []
    for stay in sorted(subject.stays, key=lambda each: each.start):
        if found and stay.start <= found[-1].end:
            found[-1] = Stay(found[-1].start, max(found[-1].end, stay.end))
        elif stay.end > stay.start:
            found.append(stay)
    return found


def late_by(each: Measurement) -> bool:
    return each.time is not None and each.known is not None and each.known.start - each.time.start > HOUR


def lead(result: Replayed, worst: datetime, problems: tuple[str, ...]) -> float | None:
    """Hours from the first alarm of a problem to the worst hour; None where there is none by its end."""
    before = [each.raised for each in result.alarms if each.flag.problem in problems and each.raised <= worst + HOUR]
    return max(0.0, (worst - min(before)) / HOUR) if before else None


def worst_kidney_hour(timeline: Timeline, stay: Stay) -> tuple[datetime, int] | None:
    """The first moment of the highest stage, with the highest creatinine in it; and the stage."""
    samples = [(m.time.start, m.normal_value) for m in timeline.series("2160-0") if m.time and m.normal_value]
    staged = [(oracle.kdigo_stage(samples, at), value, at) for at, value in samples if stay.start <= at <= stay.end]
    staged = [each for each in staged if each[0]]
    if not staged:
        return None
    stage, _, at = max(staged, key=lambda each: (each[0], each[1], -each[2].timestamp()))
    return at, stage


def worst_pressure_hour(timeline: Timeline, stay: Stay) -> datetime | None:
    def inside(*codes: str) -> list[tuple[float, datetime]]:
        return [(m.normal_value, m.time.start) for m in timeline.series(*codes) if m.time and m.normal_value and stay.start <= m.time.start <= stay.end]

    lactates = [at for value, at in inside("32693-4", "2524-7") if value > 2]
    low = [(value, at) for value, at in inside("8478-0") if 20 <= value < 65 and any(abs(at - other) <= 6 * HOUR for other in lactates)]
    return min(low)[1] if low else None


if __name__ == "__main__":
    main()
