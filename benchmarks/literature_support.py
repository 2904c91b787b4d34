"""The support check on HealthVer: macro F1 over supports, refutes and neutral, thresholds from its validation claims.

    python benchmarks/literature_support.py [--model aris-nano --claims 200]

With a model its own entailment score is measured too, on the first claims of the validation file: the area under the
ROC curve for "supports" against the others, by which it is decided whether the score is asked at all.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np

from aris.tasks.literature.support import (
    LEAST_COVERAGE,
    check,
    entities,
    numbers,
    stems,
)
from literature_data import healthver, interval

LABELS = ("Supports", "Refutes", "Neutral")


def features(rows: list[dict]) -> list[tuple[float, bool, bool, str]]:
    """(coverage, all numbers and names there, clash, label) of each claim."""
    found = []
    for row in rows:
        claim, evidence = row["claim"], row["evidence"]
        told = stems(claim)
        coverage = len(told & stems(evidence)) / max(1, len(told))
        least = check(claim, evidence, least=0.0)
        found.append((coverage, least.verdict != "unsupported", least.verdict == "contradicted", row["label"]))
    return found


def predict(rows: list[tuple[float, bool, bool, str]], least: float, strict: bool, clash_least: float) -> list[str]:
    """Labels: refuted where direction clashes, supported where enough words stand there, else neutral."""
    made = []
    for coverage, held, clash, _ in rows:
        if strict and not held:
            made.append("Neutral")
        elif clash and coverage >= clash_least:
            made.append("Refutes")
        else:
            made.append("Supports" if coverage >= least else "Neutral")
    return made


def baseline(rows: list[dict]) -> list[str]:
    """Supported where every number and name of the claim stands in the evidence."""
    made = []
    for row in rows:
        have = {value for value, _ in numbers(row["evidence"])}
        held = all(value in have for value, _ in numbers(row["claim"]))
        held = held and entities(row["claim"]) <= entities(row["evidence"])
        made.append("Supports" if held else "Neutral")
    return made


def macro_f1(truth: np.ndarray, made: np.ndarray) -> float:
    scores = []
    for label in LABELS:
        both = ((truth == label) & (made == label)).sum()
        scores.append(2 * both / max(1, (truth == label).sum() + (made == label).sum()))
    return float(np.mean(scores))


def told(name: str, truth: list[str], made: list[str]) -> None:
    pairs = np.array(list(zip(truth, made, strict=True)))
    print(f"{name}: macro F1 {interval(pairs, lambda each: macro_f1(each[:, 0], each[:, 1]))}")
    for label in LABELS:
        both = sum(t == m == label for t, m in zip(truth, made, strict=True))
        print(
            f"  {label:9} precision {both / max(1, made.count(label)):.3f} ({made.count(label)} times), "
            f"recall {both / max(1, truth.count(label)):.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--claims", type=int, default=200)
    given = parser.parse_args()
    dev = features(healthver("dev"))
    truth = [each[3] for each in dev]
    grid = [
        (macro_f1(np.array(truth), np.array(predict(dev, least, strict, clash))), least, strict, clash)
        for least in np.round(np.arange(0.1, 0.95, 0.05), 2)
        for clash in np.round(np.arange(0.0, 0.6, 0.05), 2)
        for strict in (True, False)
    ]
    best, least, strict, clash = max(grid)
    print(f"validation: best macro F1 {best:.3f} at coverage {least}, clash from {clash}, numbers and names {strict}")
    for high in (0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 1.0):
        chosen = [each for each in dev if each[0] >= high and each[1] and not each[2]]
        right = Counter(each[3] for each in chosen)
        print(
            f"  validation, accepted from coverage {high}: {len(chosen)}, of them {dict(right)}"
            + (" (what a model writes)" if high == LEAST_COVERAGE else "")
        )
    rows = healthver("test")
    test = features(rows)
    truth = [each[3] for each in test]
    print(f"test: {len(test)} claims, {dict(Counter(truth))}")
    told("numbers and entities", truth, baseline(rows))
    told("support check", truth, predict(test, least, strict, clash))
    told("always neutral", truth, ["Neutral"] * len(truth))
    if given.model:
        import aris
        from aris.prompting import user
        from aris.tasks.literature.answering import _yes
        from aris.tasks.literature.prompts import support_prompt

        model = aris.load(given.model)
        some = healthver("dev")[: given.claims]
        scores = np.array(
            [_yes(model.score([user(support_prompt(each["claim"], each["evidence"]))], ("Yes", "No"))) for each in some]
        )
        supports = np.array([each["label"] == "Supports" for each in some])
        area = np.mean([(scores[supports][:, None] > scores[~supports]).mean()])
        print(
            f"{model.name}: area under the ROC curve of its entailment score on {len(some)} validation claims: {area:.3f}"
        )


if __name__ == "__main__":
    main()
