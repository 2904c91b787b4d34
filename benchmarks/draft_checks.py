"""How often the checks of drafts flag reports that radiologists wrote and signed: each flag there is a false alarm,
unless the report lacks what the check asks for.

    python benchmarks/draft_checks.py DATA [--show CHECK]

DATA holds `chest_reports/indiana_reports.csv.gz` (evaluation only; nothing is fitted on it by a program).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import re
from collections import Counter
from pathlib import Path

from aris.tasks.checks import CHECKS, Facts, check_draft
from aris.tasks.results import Sections

_NO_PRIOR = re.compile(r"^\W*(?:none|no (?:prior|previous|comparison)|not available|n/?a|xxxx)?\W*$", re.IGNORECASE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--show", choices=CHECKS)
    parser.add_argument("--limit", type=int, default=40)
    arguments = parser.parse_args()
    data = gzip.decompress((arguments.data / "chest_reports" / "indiana_reports.csv.gz").read_bytes()).decode()
    rows = [row for row in csv.DictReader(io.StringIO(data)) if row["findings"] or row["impression"]]
    flagged: Counter[str] = Counter()
    legitimate: Counter[str] = Counter()
    shown = 0
    for row in rows:
        sections = Sections(findings=row["findings"], impression=row["impression"])
        has_prior = not _NO_PRIOR.match(row["comparison"])
        for failed in {each.check: each for each in check_draft(sections, Facts(has_prior=has_prior))}.values():
            flagged[failed.check] += 1
            # A length needs a scale, and a claim of change a prior: these reports come without either.
            legitimate[failed.check] += failed.check in ("measurement", "prior")
            if failed.check == arguments.show and shown < arguments.limit:
                shown += 1
                print(f"- {failed.message}\n    {row['findings'][:700]}\n    => {row['impression'][:300]}")
    print(f"{len(rows)} reports, scored without pixels, scale or scores")
    for name in CHECKS:
        if name not in ("laterality", "scores"):
            note = "  (legitimate: no scale or no prior is on record)" if legitimate[name] else ""
            print(f"{name:12} {flagged[name]:5}  {100 * flagged[name] / len(rows):5.2f} %{note}")


if __name__ == "__main__":
    main()
