"""Intake, measured: must-ask coverage on our simulated patients, findings asked for on Avey's vignettes, triage of texts.

    python benchmarks/intake.py simulated [--model aris-nano] [--limit N]
    python benchmarks/intake.py texts
    python benchmarks/intake.py frozen tests/tasks/intake_frozen_cases.yaml
    python benchmarks/intake.py avey DATA [--limit N]
    python benchmarks/intake.py clinicaflow DATA
    python benchmarks/intake.py dialogues DATA

DATA is the shared data folder. What lies in it is for evaluation only: nothing was fitted to a case of it. Triage measures
are those of symptomcheckR (Kopka et al., doi 10.1177/20552076231194929): accuracy, safety of advice (correct or graver,
of those assessed), comprehensiveness (assessed, of all), inclination to overtriage (graver, of the wrong ones). Under-triage
is the share of cases with a level below the wanted one. Intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import re
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import aris
from aris.tasks.intake import LEVELS, Question, triage
from aris.tasks.intake.choosing import missing
from aris.tasks.intake.reading import read
from simulated_patients import Patient, cases, talk


def wilson(hits: int, of: int) -> str:
    """A share with its interval."""
    if not of:
        return "none"
    z, p = 1.96, hits / of
    centre = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return f"{hits}/{of} = {p:.3f} [{max(0.0, centre - half):.3f}, {min(1.0, centre + half):.3f}]"


def triage_measures(rows: Sequence[tuple[str, str | None]]) -> None:
    """Print symptomcheckR's measures of (wanted, given) levels."""
    rank = {level: number for number, level in enumerate(LEVELS)}
    given = [(rank[wanted], rank[level]) for wanted, level in rows if level is not None]
    wrong = [(w, g) for w, g in given if w != g]
    print(f"  accuracy                  {wilson(sum(w == g for w, g in given), len(given))}")
    for level in reversed(LEVELS):
        here = [(w, g) for w, g in given if w == rank[level]]
        if here:
            print(f"    of {level:<10}           {wilson(sum(w == g for w, g in here), len(here))}")
    print(f"  safety of advice          {wilson(sum(g >= w for w, g in given), len(given))}")
    print(f"  comprehensiveness         {wilson(len(given), len(rows))}")
    print(f"  inclination to overtriage {wilson(sum(g > w for w, g in wrong), len(wrong))}")
    print(f"  over-triage               {wilson(sum(g > w for w, g in given), len(given))}")
    print(f"  under-triage              {wilson(sum(g < w for w, g in given), len(given))}")
    emergencies = [(w, g) for w, g in given if w == rank["emergency"]]
    others = [(w, g) for w, g in given if w != rank["emergency"]]
    print(f"  sensitivity, emergency    {wilson(sum(g == w for w, g in emergencies), len(emergencies))}")
    print(f"  specificity, emergency    {wilson(sum(g != rank['emergency'] for _, g in others), len(others))}")


def simulated(arguments: argparse.Namespace) -> None:
    """Our 60 patients: must-ask items asked within 20 questions, and triage."""
    model = None if arguments.model == "none" else aris.load(arguments.model)
    asked = wanted = questions = by_model = 0
    rows: list[tuple[str, str | None]] = []
    began = time.monotonic()
    every = cases()[: arguments.limit]
    for case in every:
        state = talk(Patient(case), model)
        rows.append((case["level"], state.risk.level))
        if state.status == "finished":
            left = {each.id.partition(".")[0] for each in missing(state)}
            from aris.tasks.intake import base

            must = base().must_ask(base().complaints[state.complaint or "other"])
            wanted += len(must)
            asked += len(must) - len(left)
        questions += state.asked
        by_model += sum(each.chosen_by == "model" for each in state.answers)
    took = time.monotonic() - began
    print(f"model {arguments.model}: {len(every)} patients, {questions / len(every):.1f} questions each, {by_model} chosen by "
          f"the model, {took:.0f} s")
    print(f"  must-ask items asked or already told within 20 questions, of patients whose questions ran to the end: "
          f"{wilson(asked, wanted)}")
    triage_measures(rows)


def texts(_: argparse.Namespace) -> None:
    """The development texts."""
    here = Path(__file__).resolve().parents[1] / "tests" / "tasks" / "intake" / "red_flag_texts.yaml"
    lines = yaml.safe_load(here.read_text(encoding="utf-8"))
    found = [triage(case["text"], age=case.get("age", 30)).level == "emergency" for case in lines["emergency"]]
    fired = [triage(case["text"], age=case.get("age", 30)).level == "emergency" for case in lines["not_emergency"]]
    print(f"development texts: sensitivity {wilson(sum(found), len(found))}; false alarms {wilson(sum(fired), len(fired))}")


def frozen(arguments: argparse.Namespace) -> None:
    """The frozen set, written by someone who saw neither rules nor base: the opening alone, and with all its facts."""
    every = yaml.safe_load(arguments.file.read_text(encoding="utf-8"))
    for name in ("opening alone", "opening and facts"):
        found: dict[str, list[tuple[str, str]]] = {"emergency": [], "not_emergency": []}
        for case in every:
            told = [case["opening"], *(case["facts"] if name == "opening and facts" else ())]
            given = triage(". ".join(map(str, told)), age=float(case["age"]), pregnancy=_pregnancy(case)).level
            found[case["expected"]].append((case["id"], given))
        missed = [(case, level) for case, level in found["emergency"] if level != "emergency"]
        fired = [case for case, level in found["not_emergency"] if level == "emergency"]
        emergencies, others = len(found["emergency"]), len(found["not_emergency"])
        print(f"{arguments.file.name}, {name}: {len(every)} cases")
        print(f"  sensitivity, emergency    {wilson(emergencies - len(missed), emergencies)}")
        print(f"  under-triage              {wilson(len(missed), len(every))}  {missed}")
        print(f"  false alarms              {wilson(len(fired), others)}  {fired}")


def _pregnancy(case: dict[str, Any]) -> str | None:
    said = case.get("pregnancy", case.get("pregnant"))
    return {True: "pregnant", False: "neither"}.get(said, said) if isinstance(said, bool) else said


class Vignette:
    """A patient made of a vignette's text: present and absent findings as our reader finds them; others are absent."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.row = row
        age, sex = re.search(r"(\d+)\s*(year|month|week|day)", row["demographics"]), row["demographics"].lower()
        self.age = " ".join(age.groups()) + "s" if age else "40"
        self.sex = "female" if "female" in sex else "male"
        story = f"{row['chief_complaints']}. {row['presentation']}"
        self.present = {each.finding for each in read(story) if each.status == "present"}
        self.history = {each.finding for each in read(row.get("physical_history", "") or "", background=True)}
        self.absent_said = [each.strip() for each in re.split(r",|\.|;", row["absent_findings"] or "") if each.strip(" -")]
        self.asked: set[str] = set()

    def __call__(self, asked: Question) -> str:
        codes = [option.code for option in asked.options]
        if asked.type == "list":
            self.asked |= set(codes)
            there = self.present | self.history
            return ", ".join(str(n) for n, code in enumerate(codes, 1) if code in there) or "0"
        return {"consent": "1", "who": "1", "age": self.age, "sex": self.sex, "pregnancy": "neither", "complaint":
                self.row["chief_complaints"], "area": "8", "onset": "days", "duration": "3 days", "place": "as I said",
                "quality": "1", "severity": "5", "course": "2", "more": "no"}.get(asked.id.partition(".")[0], "none")  # fmt: skip


def avey(arguments: argparse.Namespace) -> None:
    """Avey's 400: present and absent findings that were asked for."""
    path = arguments.data / "triage_vignettes" / "avey_400.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()][: arguments.limit]
    for ends in (True, False):
        present = present_of = absent = absent_of = known = finished = 0
        for row in rows:
            patient = Vignette(row)
            state = talk(patient) if ends else _without_end(patient)
            finished += state.status == "finished"
            told = {name for name, fact in state.facts.items() if fact.presence == "present"}
            present_of += len(patient.present)
            present += len(patient.present & (patient.asked | told))
            for phrase in patient.absent_said:
                names = {each.finding for each in read(re.sub(r"^no(?:t)?\s+", "", phrase, flags=re.IGNORECASE))}
                absent_of += 1
                known += bool(names)
                absent += bool(names & patient.asked)
        print(f"Avey, {len(rows)} vignettes, absent findings answered no; "
              f"{'as patients meet it (emergencies end the questions)' if ends else 'emergencies do not end the questions'}: "
              f"{finished} ran to the end")
        print(f"  present findings (as our reader names them) told or asked for: {wilson(present, present_of)}")
        print(f"  absent findings asked for, of all that the vignettes list:     {wilson(absent, absent_of)}")
        print(f"  absent findings that the symptom base has words for:           {wilson(known, absent_of)}")


def _without_end(patient: Vignette) -> Any:
    """The conversation with the rules' end left out: to count what is asked of everybody."""
    from aris.tasks.intake import conversation

    kept = conversation._apply_rules
    conversation._apply_rules = lambda state: None
    try:
        return talk(patient)
    finally:
        conversation._apply_rules = kept


TIERS = {"critical": "emergency", "urgent": "urgent", "routine": "routine"}


def clinicaflow(arguments: argparse.Namespace) -> None:
    """ClinicaFlow's vignettes: their tiers are by that project's own rules; critical is read as emergency."""
    everything: list[tuple[str, str | None]] = []
    for path in sorted((arguments.data / "triage_vignettes").glob("clinicaflow_vignettes*.jsonl")):
        rows: list[tuple[str, str | None]] = []
        for line in path.read_text(encoding="utf-8").splitlines():
            case = json.loads(line)
            rows.append((TIERS[case["labels"]["gold_risk_tier"]], _clinical(case["input"])))
        print(f"{path.name}: {len(rows)} cases")
        triage_measures(rows)
        everything += rows
    print(f"all: {len(everything)} cases")
    triage_measures(everything)


def _clinical(given: dict[str, Any]) -> str:
    vitals = given.get("vitals") or {}
    said = [given.get("chief_complaint", ""), given.get("history", "")]
    if vitals.get("temperature_c") is not None:
        said.append(f"temperature {vitals['temperature_c']} C")
    if vitals.get("systolic_bp") is not None:
        said.append(f"bp {vitals['systolic_bp']}/{vitals.get('diastolic_bp') or round(vitals['systolic_bp'] * 0.6)}")
    if vitals.get("spo2") is not None:
        said.append(f"spo2 {vitals['spo2']}%")
    if vitals.get("heart_rate") is not None:
        said.append(f"pulse {vitals['heart_rate']}")
    age = (given.get("demographics") or {}).get("age")
    return triage(". ".join(map(str, said)), age=None if age is None else float(age)).level


def dialogues(arguments: argparse.Namespace) -> None:
    """MTS-Dialog's held-out test dialogues: findings of the clinician's note that our reader finds in the patient's words."""
    for name in ("MTS-Dialog-TestSet-1-MEDIQA-Chat-2023.csv", "MTS-Dialog-TestSet-2-MEDIQA-Sum-2023.csv"):
        with (arguments.data / "dialogue_notes" / name).open(encoding="utf-8", errors="replace") as file:
            rows = list(csv.DictReader(file))
        found = of = 0
        for row in rows:
            wanted = {(m.finding, m.status) for m in read(row["section_text"]) if m.status in ("present", "absent")}
            said = {(m.finding, m.status) for m in read(row["dialogue"])}
            of += len(wanted)
            found += len(wanted & said)
        print(f"{name}: findings of the note found in the dialogue with the same status: {wilson(found, of)}")


def main(words: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(required=True)
    for run in (simulated, texts, frozen, avey, clinicaflow, dialogues):
        one = kinds.add_parser(run.__name__, help=run.__doc__)
        one.set_defaults(run=run)
        if run is simulated:
            one.add_argument("--model", default="none")
        elif run is frozen:
            one.add_argument("file", type=Path)
        elif run is not texts:
            one.add_argument("data", type=Path)
        one.add_argument("--limit", type=int)
    arguments = parser.parse_args(None if words is None else list(words))
    arguments.run(arguments)


if __name__ == "__main__":
    main()
