"""Two versions of `aris-nano` on the same rows: python benchmarks/nano_versions.py --data FOLDER --old DIR --new DIR

A version is a folder of config.json, preprocessor_config.json, vision.safetensors and adapter/; "embedded" is the one
that the package carries. Every figure is paired: both versions answer the same rows, and 95 % intervals are bootstraps
over patients (chest), images (VQA) or questions (PubMedQA, MedQuAD) with the same draws for both.

The rule: the new version replaces the old one if no figure is worse beyond its interval and at least two are better
beyond it. `--split validation` gives the same figures on the rows that choices are made on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import roc_auc_score

from nano_scores import Floats, Nano, best, measure

DRAWS = 4000
Statistic = Callable[[npt.NDArray[np.int64]], tuple[float, float]]


def paired(groups: list[str], statistic: Statistic, seed: int = 0) -> dict[str, Any]:
    """Compute a statistic of both versions, new less old, and that difference's interval over resampled groups."""
    names = sorted(set(groups))
    of: dict[str, list[int]] = {name: [] for name in names}
    for index, name in enumerate(groups):
        of[name].append(index)
    rows = [np.array(of[name]) for name in names]
    random, draws = np.random.default_rng(seed), []
    while len(draws) < DRAWS:
        index = np.concatenate([rows[i] for i in random.integers(0, len(rows), len(rows))])
        old, new = statistic(index)
        if np.isfinite(old) and np.isfinite(new):
            draws.append((old, new))
    old, new = statistic(np.arange(len(groups)))
    each = np.array(draws)
    low, high = np.percentile(each[:, 1] - each[:, 0], [2.5, 97.5])
    ranges = [[round(float(x), 4) for x in np.percentile(each[:, i], [2.5, 97.5])] for i in (0, 1)]
    return {
        "old": round(old, 4),
        "new": round(new, 4),
        "old interval": ranges[0],
        "new interval": ranges[1],
        "difference": round(new - old, 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
        "rows": len(groups),
    }


def auc(positive: npt.NDArray[np.bool_], old: Floats, new: Floats) -> Statistic:
    def statistic(index: npt.NDArray[np.int64]) -> tuple[float, float]:
        truth = positive[index]
        if truth.all() or not truth.any():
            return float("nan"), float("nan")
        return float(roc_auc_score(truth, old[index])), float(roc_auc_score(truth, new[index]))

    return statistic


def mean(old: Floats, new: Floats) -> Statistic:
    return lambda index: (float(old[index].mean()), float(new[index].mean()))


def hits(truth: list[str], scores: Any, choices: tuple[str, ...]) -> Floats:
    return np.array([said == wanted for said, wanted in zip(best(scores, choices), truth, strict=True)], dtype=float)


def probability(chest: dict[str, Any]) -> Floats:
    fit = chest["calibration"] or {"slope": 1.0, "intercept": 0.0}
    return 1 / (1 + np.exp(-(fit["slope"] * np.array(chest["logits"]) + fit["intercept"])))


def compare(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Compare the four figures of the rule, the others, the figures without the image, and give the verdict."""
    figures: dict[str, Any] = {}
    positive, patients = np.array(new["chest"]["positive"]), new["chest"]["patients"]
    logits = [np.array(each["chest"]["logits"]) for each in (old, new)]
    figures["chest AUC"] = paired(patients, auc(positive, *logits))
    truth, images = new["vqa"]["truth"], new["vqa"]["images"]
    right = [hits(truth, each["vqa"]["image"], ("Yes", "No")) for each in (old, new)]
    figures["VQA accuracy"] = paired(images, mean(*right))
    studies = new["pubmedqa"]["truth"]
    sure = [hits(studies, each["pubmedqa"]["scores"], ("Yes", "No", "Maybe")) for each in (old, new)]
    figures["PubMedQA accuracy"] = paired([str(i) for i in range(len(studies))], mean(*sure))
    nll = [np.array(each["medquad"]["nll"]) for each in (old, new)]
    tokens = np.array(new["medquad"]["tokens"])

    def perplexity(index: npt.NDArray[np.int64]) -> tuple[float, float]:
        return tuple(float(np.exp(each[index].sum() / tokens[index].sum())) for each in nll)  # type: ignore[return-value]

    figures["MedQuAD perplexity"] = paired([str(i) for i in range(len(tokens))], perplexity)
    better, worse = [], []
    for name, figure in figures.items():
        low, high = figure["interval"]
        if name == "MedQuAD perplexity":
            low, high = -high, -low
        if low > 0:
            better.append(name)
        if high < 0:
            worse.append(name)

    said = [probability(each["chest"]) for each in (old, new)]
    called = [(each >= 0.5) == positive for each in said]
    beside = {
        "Brier score": paired(patients, mean(*((each - positive) ** 2 for each in said))),
        "accuracy at 0.5": paired(patients, mean(*(each.astype(float) for each in called))),
        "sensitivity": [round(float((each[positive] >= 0.5).mean()), 4) for each in said],
        "specificity": [round(float((each[~positive] < 0.5).mean()), 4) for each in said],
        "gate log-odds, least": [round(min(each["chest"]["gate"]), 2) for each in (old, new)],
    }
    looks: dict[str, Any] = {}
    for how in ("noise", "blank"):
        blind = [np.array(each["chest"][how]) for each in (old, new)]
        looks[f"chest AUC, {how}"] = [round(float(roc_auc_score(positive, each)), 4) for each in blind]
    for how in ("noise", "blank", "other"):
        blind = [hits(truth, each["vqa"][how], ("Yes", "No")) for each in (old, new)]
        # Image less ablation, of the new version: above 0 if what it says rests on the image.
        looks[f"VQA accuracy, {how} image, old and new"] = [round(float(each.mean()), 4) for each in blind]
        looks[f"VQA accuracy of the new version, {how} image (old) and image (new)"] = paired(
            images, mean(blind[1], right[1])
        )
    return {
        "figures": figures,
        "better": better,
        "worse": worse,
        "verdict": "replace" if not worse and len(better) >= 2 else "keep the old version",
        "beside": beside,
        "without the image": looks,
    }


def run(folder: str, data: Path, split: str, device: str, forms: tuple[str, ...]) -> dict[str, Any]:
    """Score a version. With several forms of the PubMedQA prompt the one with the most hits on the split counts."""
    nano = Nano(None if folder == "embedded" else Path(folder), device)
    rows = measure(nano, data, split, forms[0])
    for form in forms[1:]:
        from nano_scores import pubmedqa_questions

        studies = pubmedqa_questions(data, split, form)
        other = nano.choose(studies, ("Yes", "No", "Maybe"))
        choices = ("Yes", "No", "Maybe")
        known = rows["pubmedqa"]
        if hits(known["truth"], other, choices).sum() > hits(known["truth"], known["scores"], choices).sum():
            rows["pubmedqa"] = known | {"scores": other.tolist(), "form": form}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--old", default="embedded", help='a folder, or "embedded"')
    parser.add_argument("--new", required=True, help='a folder, or "embedded"')
    parser.add_argument("--old-prompt", default="short,long", help="forms of the PubMedQA prompt; the better one counts")
    parser.add_argument("--new-prompt", default="long")
    parser.add_argument("--split", choices=("test", "validation"), default="test")
    parser.add_argument("--out", type=Path, default=Path("nano_versions.json"))
    parser.add_argument("--rows", type=Path, help="keep every row's scores here")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    a = parser.parse_args()
    old = run(a.old, a.data, a.split, a.device, tuple(a.old_prompt.split(",")))
    new = run(a.new, a.data, a.split, a.device, tuple(a.new_prompt.split(",")))
    result = {"split": a.split, "old": a.old, "new": a.new, "device": a.device, **compare(old, new)}
    result["PubMedQA prompt"] = [each["pubmedqa"]["form"] for each in (old, new)]
    if a.rows:
        a.rows.write_text(json.dumps({"old": old, "new": new}))
    a.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    for name, figure in result["figures"].items():
        print(f"{name:20} {figure['old']:8.4f} {figure['new']:8.4f}  {figure['difference']:+.4f} {figure['interval']}")
    print(f"better: {result['better']}; worse: {result['worse']}; verdict: {result['verdict']}")


if __name__ == "__main__":
    main()
