"""How many planted falsehoods the check of statements catches, and how many true statements it flags.

    python benchmarks/support_planted.py DATA [--count 500] [--seed 1] [--show KIND] [--save FILE]

Sentences are written from timelines of `fhir_population` (synthetic patients) in several wordings, each with the resources
that it cites; a mutation then changes one thing: a number, a date, a drug, the negation, the state, or whose it is
(another patient's facts, a relative's, another sex). "Caught" is contradicted or unsupported; "not checkable" counts as
missed, though no such sentence is shown as supported. The true sentences are the same ones before their mutation.

With `medec` in DATA (evaluation only): the corrected text is the source, the sentence with the error that its authors
planted is the statement; the corrected sentence is the true one.

The sentences and the check have the same author: a second opinion is in `medec`, whose errors others planted.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from aris.records import Condition, Immunization, Measurement, Medication, Procedure, Record, Timeline, read_timeline
from aris.tasks.support import Evidence, check
from aris.tasks.support.names import drug_names, problem_names, test_names
from aris.tasks.support.passages import evidence_of_text
from aris.tasks.support.records import evidence_of

KINDS = ("number", "date", "drug", "negation", "status", "other patient", "direction")


@dataclass(frozen=True)
class Sentence:
    """A sentence with the ids that it cites, the facts that it was written from, and the name in it."""

    text: str
    cited: tuple[str, ...]
    facts: tuple[Record, ...]
    name: str


def _day(record: Record, chance: random.Random) -> str:
    day = record.time.start
    return chance.choice(
        (day.strftime("%Y-%m-%d"), f"{day.day} {day:%B} {day.year}", f"{day:%B} {day.day}, {day.year}", f"{day:%B} {day.year}", str(day.year))
    )


def _short(names: Sequence[str], full: str, chance: random.Random) -> str:
    return chance.choice([full, *names[:2]]) if names else full


def _subject(timeline: Timeline, chance: random.Random) -> str:
    he = {"male": "He", "female": "She"}.get(timeline.patient.gender, "The patient")
    return chance.choice(("The patient", "Patient", he))


def sentences(timeline: Timeline, chance: random.Random) -> Iterator[Sentence]:
    """True sentences of a timeline, in several wordings."""
    dated = [record for record in timeline.records if record.time is not None]
    for record in chance.sample(dated, min(len(dated), 120)):
        who = _subject(timeline, chance)
        if isinstance(record, Medication):
            name = _short(drug_names(record.concept.text), record.concept.text, chance)
            current = record.current_at(None)
            if current is None:
                continue
            forms = (
                (f"{who} takes {name}.", f"{name} is active since {_day(record, chance)}.", f"Current medication: {name}, started {_day(record, chance)}.",
                 f"{who} continues {name} ({record.concept.text}).", f"{name} was started on {_day(record, chance)} and is ongoing.")
                if current
                else (f"{name} was stopped.", f"{who} previously took {name}, prescribed {_day(record, chance)}.", f"Stopped: {record.concept.text}.",
                      f"{name} (started {_day(record, chance)}) has been discontinued.", f"{who} is no longer taking {name}.")
            )  # fmt: skip
        elif isinstance(record, Condition) and not record.negated:
            name = _short(problem_names(record.concept.text), record.concept.text, chance)
            active = record.active_at(None)
            if active is None:
                continue
            forms = (
                (f"{who} has {name}.", f"Active problem: {name}, since {_day(record, chance)}.", f"{name} was diagnosed in {record.time.start.year} and remains active.",
                 f"{who} has had {name} since {_day(record, chance)}.")
                if active
                else (f"{name} has resolved.", f"{who} had {name} in {record.time.start.year}, now resolved.", f"Past problem: {name} ({_day(record, chance)}).",
                      f"Resolved: {name}, onset {_day(record, chance)}.")
            )  # fmt: skip
        elif isinstance(record, Measurement) and record.value is not None and record.component is None:
            name = _short(test_names(record.concept.text), record.concept.text, chance)
            decimals = chance.choice((1, 2)) if abs(record.value) < 20 else chance.choice((0, 1))
            value = f"{record.value:.{decimals}f}"
            if abs(float(value) - record.value) > 0.05 * abs(record.value):
                value = f"{record.value:.4g}"
            unit = "" if record.unit.startswith("{") else f" {record.unit}"
            unit = unit.replace("mm[Hg]", "mmHg")
            forms = (
                f"{name} was {value}{unit} on {_day(record, chance)}.", f"On {_day(record, chance)}, {name} measured {value}{unit}.",
                f"{name}: {value}{unit} ({_day(record, chance)}).", f"{who} had a {name} of {value}{unit} in {record.time.start.year}.",
            )  # fmt: skip
            series = [m for m in timeline.series(record.loinc or "") if m.value is not None and m.time and m.time.start > record.time.start]
            if series and chance.random() < 0.4:
                later = chance.choice(series)
                change = later.value - record.value
                if abs(change) > 0.12 * abs(record.value):
                    word = chance.choice(("rose", "increased", "went up") if change > 0 else ("fell", "decreased", "dropped"))
                    text = f"{name} {word} from {record.value:.4g} to {later.value:.4g}{unit} between {record.time.start.year} and {later.time.start.year}."
                    yield Sentence(text, (record.id, later.id), (record, later), name)
                    continue
        elif isinstance(record, (Procedure, Immunization)) and record.status == "completed":
            name = _short(problem_names(record.concept.text), record.concept.text, chance)
            verb = "received" if isinstance(record, Immunization) else "underwent"
            forms = (f"{who} {verb} {name} on {_day(record, chance)}.", f"{name} was done in {record.time.start.year}.", f"{name} ({_day(record, chance)}).")
        else:
            continue
        yield Sentence(chance.choice(forms), (record.id,), (record,), name)


def mutated(kind: str, sentence: Sentence, timeline: Timeline, other: Timeline, chance: random.Random) -> Sentence | None:
    """The sentence with one thing made false; None where it has no such thing."""
    text, record = sentence.text, sentence.facts[0]
    change: Callable[..., Sentence] = lambda text, cited=sentence.cited: Sentence(text, cited, sentence.facts, sentence.name)  # noqa: E731
    if kind == "number":
        found = [m for m in re.finditer(r"(?<![\w.-])\d+(?:\.\d+)?(?![\w-]|\.\d)", text) if not re.fullmatch(r"(?:19|20)\d\d", m[0])]
        found = [m for m in found if not re.search(r"(?:January|February|March|April|May|June|July|August|September|October|November|December) ?$|^$", text[: m.start()])
                 and not re.match(r" ?(?:January|February|March|April|May|June|July|August|September|October|November|December)", text[m.end() :])]  # fmt: skip
        found = [m for m in found if float(m[0]) >= 1]
        if not found:
            return None
        match = chance.choice(found)
        decimals = len(match[0].partition(".")[2])
        factor = chance.choice((0.5, 0.7, 0.85, 1.15, 1.3, 2.0, 10.0))
        new = f"{float(match[0]) * factor:.{decimals}f}"
        if new == match[0] or float(new) == 0:
            return None
        return change(text[: match.start()] + new + text[match.end() :])
    if kind == "date":
        day = record.time.start
        for old, new in (
            (f"{day:%Y-%m-%d}", f"{day + timedelta(days=chance.choice((-400, -45, -9, 11, 60, 800))):%Y-%m-%d}"),
            (f"{day.day} {day:%B} {day.year}", f"{day.day % 28 + 1} {day:%B} {day.year}"),
            (f"{day:%B} {day.day}, {day.year}", f"{day:%B} {day.day}, {day.year - chance.choice((1, 2, 7))}"),
            (f"{day:%B} {day.year}", f"{day + timedelta(days=chance.choice((-70, 70, 365))):%B %Y}"),
            (str(day.year), str(day.year + chance.choice((-11, -3, -1, 1, 2)))),
        ):
            if old in text:
                return change(text.replace(old, new, 1))
        return None
    if kind == "drug":
        if not isinstance(record, Medication):
            return None
        own = {name.lower() for each in timeline.medications for name in (each.concept.text, *drug_names(each.concept.text))}
        names = [name for each in other.medications for name in (drug_names(each.concept.text) or (each.concept.text,))[:1] if name.lower() not in own]
        names += [name for name in ("warfarin", "metoprolol", "sertraline", "apixaban", "gabapentin") if name not in own]
        return change(text.replace(sentence.name, chance.choice(names)))
    if kind == "negation":
        if isinstance(record, Measurement):
            return None
        name = sentence.name
        if isinstance(record, Condition):
            forms = [f"The patient does not have {name}.", f"No {name}.", f"The patient denies {name}.", f"{name} was ruled out.", f"There is no evidence of {name}."]
        elif isinstance(record, Medication):
            if record.current_at(None) is not True:
                return None
            forms = [f"The patient does not take {name}.", f"The patient is not taking {name}.", f"No {name}."]
        else:
            forms = [f"{name} was not done.", f"The patient did not receive {name}.", f"No {name} was performed."]
        return change(chance.choice(forms))
    if kind == "status":
        name = sentence.name
        if isinstance(record, Medication):
            now = (f"The patient takes {name}.", f"Current medication: {name}.", f"{name} is ongoing.", f"The patient is on {name} daily.")
            over = (f"{name} was stopped.", f"The patient is no longer taking {name}.", f"{name} has been discontinued.", f"The patient previously took {name}.")
            return change(chance.choice(over if record.current_at(None) else now))
        if isinstance(record, Condition):
            now = (f"The patient has {name}.", f"Active problem: {name}.", f"{name} remains active.", f"The patient currently suffers from {name}.")
            over = (f"{name} has resolved.", f"The patient had {name}, now resolved.", f"{name} is in remission.", f"Past problem: {name}, no longer active.")
            return change(chance.choice(over if record.active_at(None) else now))
        return None
    if kind == "other patient":
        how = chance.randrange(4)
        if how == 0 and isinstance(record, (Condition, Medication)):
            return change(f"{chance.choice(('His mother', 'Her father', 'A brother'))} has {sentence.name}." if isinstance(record, Condition) else f"The patient's wife takes {sentence.name}.")
        theirs = [each for each in sentences(other, chance) if type(each.facts[0]) is type(record) and each.name.lower() not in text.lower()]
        known = {each.concept.text for each in timeline.records}
        theirs = [each for each in theirs if each.facts[0].concept.text not in known]
        if how in (0, 1) and theirs:
            return change(chance.choice(theirs).text)  # their sentence, our citation
        if how == 2 and theirs:
            return chance.choice(theirs)  # their sentence, their citation
        wrong = {"male": "woman", "female": "man"}.get(timeline.patient.gender)
        return change(f"This {wrong}: {text[0].lower()}{text[1:]}") if wrong else None
    if kind == "direction":
        for old, new in (("rose", "fell"), ("increased", "decreased"), ("went up", "went down"), ("fell", "rose"), ("decreased", "increased"), ("dropped", "rose")):
            if f" {old} " in text:
                return change(text.replace(f" {old} ", f" {new} ", 1))
    return None


def planted(timelines: Sequence[Timeline], count: int, seed: int) -> Iterator[tuple[str, Sentence, Sentence, Timeline]]:
    """Kind, true sentence, falsehood and timeline, `count` in all, the kinds in turn."""
    chance = random.Random(seed)
    made = 0
    pools: dict[int, list[Sentence]] = {}
    while made < count:
        kind = KINDS[made % len(KINDS)]
        for _ in range(400):
            number = chance.randrange(len(timelines))
            timeline, other = timelines[number], timelines[(number + 1 + chance.randrange(len(timelines) - 1)) % len(timelines)]
            if not pools.get(number):
                pools[number] = list(sentences(timeline, chance))
                chance.shuffle(pools[number])
            if not pools[number]:
                continue
            sentence = pools[number].pop()
            false = mutated(kind, sentence, timeline, other, chance)
            if false is not None and false != sentence:
                yield kind, sentence, false, timeline
                made += 1
                break
        else:
            raise SystemExit(f"no sentence to mutate for {kind}")


def run(timelines: Sequence[Timeline], count: int, seed: int, show: str = "") -> dict[str, Any]:
    """Counts by kind: made, caught, only not checkable; and of the true sentences: supported, flagged, not checkable."""
    evidence: dict[int, Evidence] = {}
    outcomes: dict[str, Counter[str]] = {kind: Counter() for kind in (*KINDS, "true")}
    for kind, true, false, timeline in planted(timelines, count, seed):
        held = evidence.setdefault(id(timeline), evidence_of(timeline))
        for label, sentence in ((kind, false), ("true", true)):
            verdict = check(sentence.text, sentence.cited, held)
            outcomes[label][verdict.outcome] += 1
            if show == label and verdict.ok == (label != "true"):
                print(f"- {verdict.outcome}: {sentence.text} {sentence.cited} | {verdict.message}")
    return {kind: dict(counts) for kind, counts in outcomes.items()}


def medec(path: Path) -> dict[str, Any]:
    """MEDEC's planted errors against the corrected texts, by type of error; and the corrected sentences."""
    found: dict[str, Counter[str]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["Error Flag"].strip() != "1":
                continue
            held = evidence_of_text({"text": row["Corrected Text"]})
            for label, sentence in ((row["Error Type"].strip().lower(), row["Error Sentence"]), ("true", row["Corrected Sentence"])):
                found.setdefault(label, Counter())[check(" ".join(sentence.split()), ["text"], held).outcome] += 1
    return {kind: dict(counts) for kind, counts in found.items()}


def _print(title: str, outcomes: dict[str, dict[str, int]]) -> None:
    print(title)
    total, caught, held = 0, 0, 0
    for kind, counts in outcomes.items():
        n = sum(counts.values())
        bad = counts.get("contradicted", 0) + counts.get("unsupported", 0)
        if kind != "true":
            total, caught, held = total + n, caught + bad, held + n - counts.get("supported", 0)
        if n:
            print(f"  {kind:16} n {n:4}  contradicted or unsupported {bad:4} ({100 * bad / n:5.1f} %)  not checkable {counts.get('not checkable', 0):3}  supported {counts.get('supported', 0):4}")
    if total:
        print(f"  all falsehoods   n {total:4}  caught {caught} ({100 * caught / total:.1f} %), not passed as supported {held} ({100 * held / total:.1f} %)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patients", type=int, default=30)
    parser.add_argument("--show", default="", help="print what is missed of this kind, or the flagged ones of 'true'")
    parser.add_argument("--save", type=Path)
    arguments = parser.parse_args()
    files = sorted((arguments.data / "fhir_population").glob("*.json.gz"))[: arguments.patients]
    timelines = [read_timeline(file) for file in files]
    figures = {"planted": run(timelines, arguments.count, arguments.seed, arguments.show)}
    _print(f"planted in sentences of {len(timelines)} synthetic patients, seed {arguments.seed}", figures["planted"])
    path = arguments.data / "medec" / "MEDEC-MS-ValidationSet-with-GroundTruth-and-ErrorType.csv"
    if path.exists() and not arguments.show:
        figures["medec"] = medec(path)
        _print("MEDEC: errors that others planted, against the corrected text", figures["medec"])
    if arguments.save:
        arguments.save.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
