"""How often our rules name the findings of chest reports that the Open-i labels have.

    python benchmarks/report_labels.py DATA [--save FILE]

DATA holds `openi_report_labels` (14 findings of 3,851 reports, made from the reports' MeSH annotation) and
`chest_reports`. Evaluation only: the words are from general knowledge; this prints totals and never a report. Two
readings: a finding counts where it is present or uncertain, or only where it is present without a doubt (as NegBio
counts it).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

from aris.records.extraction import FINDINGS, label_report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--save", type=Path)
    arguments = parser.parse_args()
    data = gzip.decompress((arguments.data / "chest_reports" / "indiana_reports.csv.gz").read_bytes()).decode()
    reports = {row["uid"]: f"{row['findings']}\n\n{row['impression']}" for row in csv.DictReader(io.StringIO(data))}
    with (arguments.data / "openi_report_labels" / "openi_gld_std14.csv").open(encoding="utf-8", newline="") as file:
        truth = {row["filename"].removeprefix("CXR"): row for row in csv.DictReader(file)}
    counts: dict[str, dict[str, Counter[str]]] = {reading: {name: Counter() for name in FINDINGS} for reading in ("present or uncertain", "present")}
    read = 0
    for uid, row in truth.items():
        if uid not in reports:
            continue
        read += 1
        said = label_report(reports[uid])
        for reading, stated in (("present or uncertain", ("present", "uncertain")), ("present", ("present",))):
            for name in FINDINGS:
                answer, true = said.get(name) in stated, row[name].strip() == "1"
                counts[reading][name]["tp" if answer and true else "fp" if answer else "fn" if true else "tn"] += 1
    figures: dict[str, Any] = {"reports": read}
    for reading, by_name in counts.items():
        print(f"{reading}: {read} reports")
        total: Counter[str] = Counter()
        for name, each in by_name.items():
            total += Counter({key: each[key] for key in ("tp", "fp", "fn")})
            figures.setdefault(reading, {})[name] = _scores(each)
            print(f"  {name:19} n {each['tp'] + each['fn']:4}  {_told(_scores(each))}")
        figures[reading]["micro"] = _scores(total)
        macro = sum(_scores(each)["f1"] for each in by_name.values()) / len(by_name)
        print(f"  {'micro':19} n {total['tp'] + total['fn']:4}  {_told(_scores(total))}  macro F1 {macro:.3f}")
    if arguments.save:
        arguments.save.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _scores(counts: Counter[str]) -> dict[str, float]:
    told, true = counts["tp"] + counts["fp"], counts["tp"] + counts["fn"]
    return {
        "precision": counts["tp"] / told if told else 0.0,
        "recall": counts["tp"] / true if true else 0.0,
        "f1": 2 * counts["tp"] / (told + true) if told + true else 0.0,
    }


def _told(scores: dict[str, float]) -> str:
    return f"precision {scores['precision']:.3f}  recall {scores['recall']:.3f}  F1 {scores['f1']:.3f}"


if __name__ == "__main__":
    main()
