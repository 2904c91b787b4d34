"""Different drafts that `aris-nano` writes for a label, and those that contradict their score or themselves.

    python benchmarks/nano_drafts.py --data FOLDER [--model embedded DIR ...] [--films 100] [--split validation]

Every film's prompt carries what the calibrated probability says. Drafts are greedy, as `aris draft` writes them, and
sampled (temperature 0.8, top-p 0.95, each film with a seed of its own). All checks of `aris.tasks` are applied to every
draft; where they are not installed (no pydantic), `--texts FILE` keeps the drafts and `--check FILE` checks them later.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aris.engine import Engine, EngineLimits, ImageInput, Request, SamplingParams
from aris.prompting import Image, user
from aris.tuning.nano.corpus import DRAFT_PROMPT, FINDING_QUESTION
from aris.tuning.nano.films import CLASSES, FilmBank, load_films
from nano_scores import Nano

SAMPLED = {"temperature": 0.8, "top_p": 0.95}
MOST_TOKENS = 160


def word(probability: float, calibration: dict[str, Any]) -> str:
    """Return a draft's prompt word for a probability."""
    low, high = calibration["uncertain"]
    if low <= probability <= high:
        return "uncertain"
    return "present" if probability >= calibration["threshold"] else "not seen"


def write_drafts(nano: Nano, films: FilmBank, *, sampled: bool) -> list[dict[str, Any]]:
    """Draft each film: its label, its scored word and probability, its text, and whether it ended by itself."""
    calibration = nano.checkpoint.calibration["findings"]["pneumonia"]
    logits = nano.films(films.images, FINDING_QUESTION.format(finding="pneumonia")).double()
    chances = torch.sigmoid(calibration["slope"] * logits + calibration["intercept"]).tolist()
    engine = Engine(nano.model, EngineLimits(max_running=32, max_waiting=len(films.names) + 1))
    made, requests = [], []
    for number, (film, chance) in enumerate(zip(films.images.numpy(), chances, strict=True)):
        said = word(chance, calibration)
        prompt = nano.prompts([user(Image(film), DRAFT_PROMPT.format(scored=said))])
        assert prompt.pixel_values is not None
        images = ImageInput.from_pixels(prompt.pixel_values)
        params = SamplingParams(max_tokens=MOST_TOKENS, seed=number, **(SAMPLED if sampled else {}))
        requests.append(Request(prompt.token_ids, images, params))
        label = CLASSES[int(films.classes[number])]
        made.append({"film": films.names[number], "label": label, "word": said, "probability": round(chance, 4)})
    sequences = engine.submit_all(requests)
    for each, sequence in zip(made, sequences, strict=True):
        steps = list(sequence)
        each["ended"] = steps[-1].finish_reason == "stop"
        ids = [step.token_id for step in steps]
        each["text"] = nano.tokenizer.decode(ids[:-1] if each["ended"] else ids).strip()
    return made


def count(drafts: list[dict[str, Any]]) -> dict[str, Any]:
    """Count the distinct drafts of each label, and the share of the commonest."""
    out = {}
    for label in sorted({each["label"] for each in drafts}):
        texts = [each["text"] for each in drafts if each["label"] == label]
        most = max(texts.count(text) for text in set(texts))
        findings = {text.split("IMPRESSION")[0] for text in texts}
        out[label] = {
            "drafts": len(texts),
            "distinct": len(set(texts)),
            "distinct findings": len(findings),
            "commonest": round(most / len(texts), 3),
        }
    return out


def check(drafts: list[dict[str, Any]]) -> dict[str, Any]:
    """List the drafts that a check of `aris.tasks` flags, by check."""
    from aris.tasks.checks import Facts, check_draft
    from aris.tasks.text.report import parse_report

    found: dict[str, int] = {}
    examples = []
    for each in drafts:
        sections, wrong = parse_report(each["text"])
        facts = Facts(kind="chest film", words=(("pneumonia", each["word"]),))
        names = [failed.check for failed in check_draft(sections, facts)] + ["form"] * bool(wrong)
        if not each["ended"]:
            names.append("not ended")
        for name in names:
            found[name] = found.get(name, 0) + 1
        if names and len(examples) < 5:
            examples.append({"checks": names, **each})
    return {"drafts": len(drafts), "flagged": found, "examples": examples}


def few(films: FilmBank, each: int) -> FilmBank:
    """Select at most so many films of a label, evenly spaced."""
    keep: list[int] = []
    for index in range(len(CLASSES)):
        of = [i for i, value in enumerate(films.classes.tolist()) if value == index]
        keep += [of[int(i)] for i in np.linspace(0, len(of) - 1, min(each, len(of)))]
    return films.subset(sorted(keep))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", nargs="+", default=["embedded"], help='folders, or "embedded"')
    parser.add_argument("--films", type=int, default=100, help="of each label at most")
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--texts", type=Path, help="keep the drafts here")
    parser.add_argument("--check", type=Path, help="check drafts that were kept, and write none")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    a = parser.parse_args()
    drafts: dict[str, list[dict[str, Any]]] = {}
    if a.check:
        drafts = json.loads(a.check.read_text())
    elif a.data is None:
        parser.error("give --data, or --check")
    else:
        films = few(load_films(a.data / "chest_pediatric", a.split), a.films)
        for name in a.model:
            nano = Nano(None if name == "embedded" else Path(name), a.device)
            for sampled in (False, True):
                drafts[f"{name}, {'sampled' if sampled else 'greedy'}"] = write_drafts(nano, films, sampled=sampled)
        if a.texts:
            a.texts.write_text(json.dumps(drafts, indent=1))
    result: dict[str, Any] = {}
    for name, each in drafts.items():
        result[name] = {"labels": count(each)}
        try:
            result[name]["checks"] = check(each)
        except ImportError as error:
            result[name]["checks"] = f"not checked here: {error}"
    print(json.dumps(result, indent=2))
    if a.out:
        a.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
