"""What fewer bits cost: python benchmarks/quantization.py --data FOLDER [--out FILE] [--reports N] [--questions N]

Gemma 3 270M as `aris-nano` has it, in bfloat16, int8, int4 rounded to nearest, and int4 rounded by calibration texts
(`medquad` train). A row gives the bytes of the decoder and of the whole, the perplexity of `chest_reports` (evaluation
only) and of `medquad` test answers, and the AUC of pneumonia on `chest_pediatric` validation films. The quantised
models are written by `aris models quantize`'s own code into a temporary folder and opened from it.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from aris.backends.loading import tokenizer_of
from aris.backends.quantizing import quantize
from aris.checkpoints import load_model, open_checkpoint
from aris.engine import Engine
from aris.model import MedGemma
from aris.prompting import ImageProcessor, PromptProcessor
from aris.tuning.metrics import auc
from aris.tuning.nano.calibrate import Scorer
from aris.tuning.nano.corpus import FINDING_QUESTION
from aris.tuning.nano.films import load_films
from nano_heldout import medquad

VARIANTS = ("bf16", "int8", "int4", "int4 calibrated")


def calibration_file(data: Path, folder: Path) -> Path:
    """`medquad`'s training questions and answers as JSON lines."""
    path = folder / "medquad_train.jsonl"
    with gzip.open(data / "medquad" / "medquad.jsonl.gz", "rt", encoding="utf-8") as file:
        items = [item for line in file if (item := json.loads(line))["split"] == "train"]
    rows = [json.dumps({"question": item["question"], "answer": item["answer"][:2000]}) for item in items[::8]]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def reports(data: Path, count: int) -> list[str]:
    """Findings and impressions of `chest_reports`, evenly spaced."""
    with gzip.open(data / "chest_reports" / "indiana_reports.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    texts = [" ".join(filter(None, (r.get("findings", ""), r.get("impression", "")))).strip() for r in rows]
    texts = [text for text in texts if text]
    return texts[:: max(1, len(texts) // count)][:count]


def perplexity(engine: Engine, rows: list[list[int]]) -> float:
    """Of token ids, each from its second token on."""
    total = -sum(float(engine.logprobs(ids).sum()) for ids in rows)
    return math.exp(total / sum(len(ids) - 1 for ids in rows))


def nbytes(model: torch.nn.Module) -> int:
    """Of parameters and buffers."""
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--reports", type=int, default=200)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--films", type=int, default=0, help="validation films, evenly spaced; 0: all")
    parser.add_argument("--sequences", type=int, default=128, help="of 512 tokens, to calibrate with")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--device", default="cpu")
    a = parser.parse_args()
    films = load_films(a.data / "chest_pediatric", "validation")
    if a.films:
        films = films.subset(list(range(0, len(films.images), max(1, len(films.images) // a.films)))[: a.films])
    positive = films.classes > 0
    texts = reports(a.data, a.reports)
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as made:
        texts_file = calibration_file(a.data, Path(made))
        for variant in a.variants:
            started = time.perf_counter()
            name = "aris-nano"
            if variant != "bf16":
                kind, _, calibrated = variant.partition(" ")
                name = f"{made}/{variant.replace(' ', '-')}"
                texts_given = texts_file if calibrated else None
                quantize("aris-nano", name, kind, calibrate=texts_given, sequences=a.sequences)
            quantised_s = time.perf_counter() - started
            checkpoint = open_checkpoint(name)
            tokenizer = tokenizer_of(checkpoint.tokenizer)
            model: MedGemma = load_model(checkpoint, dtype=torch.bfloat16, device=a.device, packed=True)
            decoder = nbytes(model.language_model)
            whole = nbytes(model)
            if variant != "bf16":
                # The values that the codes stand for, as bfloat16, which a CPU multiplies with; made once here instead
                # of at each product.
                model = load_model(checkpoint, dtype=torch.bfloat16, device=a.device)
            engine = Engine(model)
            prompts = PromptProcessor(
                tokenizer, ImageProcessor.from_dict(checkpoint.processor), model.config.mm_tokens_per_image
            )
            rows = [tokenizer.encode(text, add_bos=True) for text in texts]
            scores = Scorer(model, tokenizer)(films.images, FINDING_QUESTION.format(finding="pneumonia"))
            result[variant] = {
                "decoder_MB": round(decoder / 1e6, 1),
                "whole_MB": round(whole / 1e6, 1),
                "chest_reports_perplexity": round(perplexity(engine, rows), 2),
                "medquad_perplexity": round(medquad(engine, prompts, a.data, a.questions), 3),
                "validation_auc": round(auc(scores, positive), 4),
                "quantise_s": round(quantised_s, 1),
            }
            print(variant, json.dumps(result[variant]), flush=True)
            if a.out is not None:
                a.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
