"""Measure how long a large FHIR bundle takes to become a timeline, and how much memory at most.

    python benchmarks/records_timeline.py [--data DIR] [--mb 50]

The bundle is made of the synthetic patients of DIR/fhir_population (or fhir), told as one patient. Each figure is of a
process of its own; the memory is the peak of its resident set less what it had before the file was read, as a multiple
of the file. The first reading is with a cold disk cache of Python's own files, as a user's first call is.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHILD = """
import resource, sys, time
start = time.perf_counter()
from aris.records import read_timeline
imported = time.perf_counter()
used = time.process_time()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
timeline = read_timeline(sys.argv[1])
done = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
used = time.process_time() - used
print(imported - start, done - imported, used, before, peak, len(timeline), len(timeline.problems), "pint" in sys.modules)
"""


def make(folder: Path, target: Path, size: int) -> int:
    """Write one patient's bundle of at least `size` bytes; return its size."""
    written, first, rounds = 0, "", 0
    with target.open("w", encoding="utf-8") as out:
        out.write('{"resourceType":"Bundle","type":"collection","entry":[')
        while written < size:
            for file in sorted(folder.glob("*.json.gz")):
                text = gzip.decompress(file.read_bytes()).decode()
                entries = json.loads(text)["entry"]
                own = next(e["resource"]["id"] for e in entries if e["resource"]["resourceType"] == "Patient")
                first = first or own
                for entry in entries:
                    if entry["resource"]["resourceType"] == "Patient" and written:
                        continue
                    line = json.dumps(entry, ensure_ascii=False).replace(own, first)
                    if rounds:
                        line = line.replace(entry["resource"]["id"], f"{rounds}-{entry['resource']['id']}"[:64])
                    out.write(("," if written else "") + line)
                    written += len(line.encode())
                if written >= size:
                    break
            rounds += 1
        out.write("]}")
    return target.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ARIS_DATA", "../shared/data")))
    parser.add_argument("--mb", type=float, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    for name in ("fhir_population", "fhir"):
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder, "bundle.json")
            size = make(asked.data / name, target, int(asked.mb * 1e6))
            for _ in range(asked.repeats):
                start = time.perf_counter()
                told = subprocess.run([sys.executable, "-c", CHILD, target], capture_output=True, text=True, check=True)
                imported, read, used, before, peak, facts, problems, pint = told.stdout.split()
                ratio = (float(peak) - float(before)) * 1024 / size
                print(
                    f"{name}: {size / 1e6:.1f} MB, {facts} facts, {problems} problems: read in {float(read):.2f} s, {float(used):.2f} s of a processor "
                    f"(import {float(imported):.2f} s, process {time.perf_counter() - start:.2f} s), "
                    f"memory {ratio:.2f} x the file (whole process {float(peak) * 1024 / size:.2f} x), pint loaded: {pint}"
                )


if __name__ == "__main__":
    main()
