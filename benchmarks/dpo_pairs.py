"""DPO on 200 made-up corrections of `aris-nano`'s drafts: python benchmarks/dpo_pairs.py --data FOLDER [--out DIR]

A made-up clinic signs every draft after the same corrections: no guess at a bacterial or viral cause, the view named
once and first, the impression in one sentence, and its own closing line. The script has nano draft 240 training films
of different patients (sampled, so that the drafts differ), writes draft and signed version as pairs, checks them as
`aris tune check` does, trains an adapter on 200 by the packaged recipe `corrections` (the loop of every other recipe, its
objective "preference"), and prints for the 40 pairs of other patients what the training moved. The chest AUC is that
of validation films, before and after.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PILImage
from sklearn.metrics import roc_auc_score

from aris.checkpoints import load_model
from aris.prompting import Image, user
from aris.tuning.checkpointing import Curve
from aris.tuning.data.examples import Example, tokenize
from aris.tuning.nano.calibrate import Scorer
from aris.tuning.nano.corpus import DRAFT_PROMPT, FINDING_QUESTION
from aris.tuning.nano.films import FilmBank, load_films
from aris.tuning.recipe import Recipe
from aris.tuning.run import ADAPTER, find_recipe, tune
from nano_drafts import write_drafts
from nano_scores import Nano

TRAINING, HELD_OUT = 200, 40
_CAUSE = re.compile(r"\b(?:bacterial|viral|virus|cause|organism|interstitial|consolidation rather|streaky)\b", re.IGNORECASE)
_VIEW = re.compile(r"\b(?:view|projection|radiograph)\b", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_FIRST, _CLOSING = "Frontal chest radiograph.", "Read and signed by the clinic's radiologist."
_IMPRESSION = {
    "present": "Opacity in keeping with pneumonia.",
    "not seen": "No radiographic sign of pneumonia.",
    "uncertain": "Equivocal for pneumonia.",
}


def signed(draft: str, word: str) -> str:
    """Sign a draft as the made-up clinic does; the draft's statement of the finding stays."""
    findings = draft.split("IMPRESSION:")[0].removeprefix("FINDINGS:").strip()
    kept = [s for s in _SENTENCE.split(findings) if s and not _CAUSE.search(s) and not _VIEW.search(s)]
    return f"FINDINGS: {' '.join([_FIRST, *kept])}\nIMPRESSION: {_IMPRESSION[word]} {_CLOSING}"


def one_a_patient(films: FilmBank, count: int, seed: int = 0) -> FilmBank:
    """Draw films of `count` patients, by seed."""
    first = {patient: index for index, patient in reversed(list(enumerate(films.patients)))}
    chosen = np.random.default_rng(seed).permutation(sorted(first.values()))[:count]
    return films.subset([int(i) for i in chosen])


def pairs(nano: Nano, films: FilmBank) -> list[dict[str, Any]]:
    """Write rows as `aris tune` reads them, the image in the row."""
    rows = []
    drafts = write_drafts(nano, films, sampled=True)
    for each, film, patient in zip(drafts, films.images.numpy(), films.patients, strict=True):
        better = signed(each["text"], each["word"])
        if better == each["text"] or not each["ended"]:
            continue  # nothing to correct, or cut at the limit
        buffer = io.BytesIO()
        PILImage.fromarray(film).save(buffer, "PNG")
        image = {"type": "image", "data": base64.b64encode(buffer.getvalue()).decode()}
        text = {"type": "text", "text": DRAFT_PROMPT.format(scored=each["word"])}
        rows.append(
            {
                "prompt": [{"role": "user", "content": [image, text]}],
                "chosen": better,
                "rejected": each["text"],
                "group": patient,
                "task": "corrections",
            }
        )
    return rows


@torch.inference_mode()
def preference(nano: Nano, rows: list[dict[str, Any]]) -> np.ndarray:
    """Compute log p(chosen) - log p(rejected) of each pair, in nats."""
    out = []
    model = nano.model
    for row in rows:
        image, text = row["prompt"][0]["content"]
        film = PILImage.open(io.BytesIO(base64.b64decode(image["data"])))
        pixels = nano.prompts([user(Image.from_pil(film), text["text"])]).pixel_values
        assert pixels is not None
        soft = model.encode_images(pixels.to(model.device))
        sums = []
        for answer in (row["chosen"], row["rejected"]):
            made = tokenize(Example("pair", text["text"], answer, 0), nano.prompts, 10**9)
            assert made is not None
            ids = torch.tensor([made.token_ids], device=model.device)
            logits = model.logits(model.hidden_states(ids, soft)[0, made.answer_start - 1 : -1]).float()
            sums.append(-torch.nn.functional.cross_entropy(logits, ids[0, made.answer_start :], reduction="sum").item())
        out.append(sums[0] - sums[1])
    return np.array(out)


def chest_auc(nano: Nano, data: Path, split: str) -> float:
    films = load_films(data / "chest_pediatric", split)
    logits = nano.films(films.images, FINDING_QUESTION.format(finding="pneumonia")).numpy()
    return float(roc_auc_score((films.classes > 0).numpy(), logits))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/corrections"))
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    parser.add_argument("--pairs", type=int, default=TRAINING, help="for training")
    parser.add_argument("--held-out", type=int, default=HELD_OUT)
    parser.add_argument("--split", nargs="+", default=["validation"], help="of chest films for the AUC")
    parser.add_argument("--no-auc", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)

    nano = Nano(None, a.device)
    wanted = a.pairs + a.held_out
    # A few more: a draft that needs no correction makes no pair.
    films = one_a_patient(load_films(a.data / "chest_pediatric", "train"), wanted + max(4, wanted // 8))
    rows = pairs(nano, films)[:wanted]
    assert len(rows) == wanted, f"only {len(rows)} drafts needed a correction"
    held_out = rows[a.pairs :]
    folder = a.out / "data"
    folder.mkdir(exist_ok=True)
    for name, part in (("train", rows[: a.pairs]), ("validation", held_out)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    before = preference(nano, held_out)
    aucs = {} if a.no_auc else {split: [chest_auc(nano, a.data, split)] for split in a.split}

    # bf16 is for GPUs: a CPU is several times faster in fp32.
    instead: dict[str, Any] = {} if a.device.startswith("cuda") else {"precision": "fp32"}
    if a.steps:
        instead |= {"steps": a.steps, "evaluate_every": a.steps, "save_every": a.steps}
    recipe = Recipe.from_file(find_recipe("corrections"), **instead)
    result = tune(recipe, "aris-nano", folder, a.out / "run", device=a.device)
    entries = [entry for entry in Curve.read(a.out / "run" / "curve.jsonl") if "validation" in entry]
    margins = {entry["step"]: entry["validation"]["corrections"] for entry in entries}

    adapted = replace(nano.checkpoint, adapters=(*nano.checkpoint.adapters, a.out / "run" / ADAPTER))
    nano.model = load_model(adapted, device=a.device)
    nano.films = Scorer(nano.model, nano.tokenizer)
    after = preference(nano, held_out)
    for split in aucs:
        aucs[split].append(chest_auc(nano, a.data, split))
    random = np.random.default_rng(0)
    draws = random.choice(after - before, (4000, len(after))).mean(1)
    summary = {
        "pairs": a.pairs,
        "held-out pairs": len(held_out),
        "best step": result.best_step,
        "preference before, nats": round(float(before.mean()), 3),
        "preference after, nats": round(float(after.mean()), 3),
        "margin gained, nats": round(float((after - before).mean()), 3),
        "its 95 % interval": [round(float(x), 3) for x in np.percentile(draws, [2.5, 97.5])],
        "held-out pairs with a gain": round(float((after > before).mean()), 3),
        "signed preferred, before and after": [round(float((x > 0).mean()), 3) for x in (before, after)],
        "loop's own margin by step": {step: round(each["margin"], 3) for step, each in margins.items()},
        "chest AUC, before and after": {split: [round(x, 4) for x in both] for split, both in aucs.items()},
    }
    (a.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
