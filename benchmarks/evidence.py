"""Evidence maps of `aris-nano`, judged by deletion and insertion: python benchmarks/evidence.py --data FOLDER [--out FILE]

A map orders the film's 14 x 14 cells. Deletion replaces the hottest cells first, insertion puts them first into an empty
film; the area under the answer's probability (RISE, arXiv 1806.07421) is low for deletion and high for insertion where
the map is right about what the model uses. The score that is explained is the answer that the model gives ("Yes" or
"No"). Beside it in the same run: random maps, a centre-weighted map, and the mean of the lung fields of validation films.

`--choose` compares fills and methods on validation films; nothing was chosen on the test split. `--randomise` does the
model randomisation test (Adebayo et al., arXiv 1810.03292). `--keep FILE` keeps each film's figures and goes on from them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PILImage
from PIL import ImageFilter
from scipy import ndimage
from sklearn.metrics import roc_auc_score
from torch import Tensor

import aris
from aris.model.relevance import METHOD, Target, combine, patch_gradients
from aris.prompting import user
from aris.prompting.messages import Image
from aris.tasks.text.prompts import ANSWERS, FINDING_QUESTION, GATE_QUESTION
from aris.tuning.nano.augment import equalize, to_pixels
from aris.tuning.nano.films import FilmBank, load_films
from evidence_candidates import candidates
from nano_baselines import interval

Floats = npt.NDArray[np.float64]
# Share of the cells that is replaced or put in; the answer changes most at the beginning.
POINTS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.6, 1.0)
QUESTION = FINDING_QUESTION.format(finding="pneumonia")


class Nano:
    """The shipped model, its answers to one question for many films at once, and its maps."""

    def __init__(self) -> None:
        backend = aris.load("aris-nano", dtype="bfloat16")
        self.model = backend.model
        entry = backend.calibration["findings"]["pneumonia"]
        self.slope, self.intercept = float(entry["slope"]), float(entry["intercept"])
        assert self.model.config.vision is not None
        self.size, self.side = self.model.config.vision.image_size, self.model.config.vision.patches_per_side
        self.words = [backend.tokenizer.encode(answer)[0] for answer in ANSWERS]
        blank = Image(np.zeros((self.size, self.size), dtype=np.uint8))
        self.ids = {each: backend.prompts([user(blank, each)]).token_ids for each in (QUESTION, GATE_QUESTION)}

    def pixels(self, film: Tensor) -> Tensor:
        """A film (S, S) uint8 as the tower reads it, (1, 3, S, S)."""
        return to_pixels(equalize(film[None, None].float() / 255))

    @torch.inference_mode()
    def logits(self, pixels: Tensor, question: str = QUESTION, batch: int = 16) -> Floats:
        """Log-odds of "Yes" (N,) for pixels (N, 3, S, S)."""
        ids = torch.tensor(self.ids[question])
        rows = self.model.language_model.embed_tokens.weight[self.words].float()
        out = []
        for part in pixels.split(batch):
            soft = self.model.encode_images(part)
            hidden = self.model.hidden_states(ids.expand(len(part), -1), soft)[:, -1].float()
            out.append(hidden @ (rows[0] - rows[1]))
        return torch.cat(out).double().numpy()

    def calibrated(self, logits: Floats) -> Floats:
        return self.slope * logits + self.intercept

    def gradients(self, pixels: Tensor) -> tuple[list[Tensor], list[Tensor], float]:
        ids = self.ids[QUESTION]
        return patch_gradients(self.model, pixels, ids, [Target(len(ids) - 1, *self.words)])

    def map(self, pixels: Tensor) -> tuple[Floats, float]:
        """The shipped method's map for "Yes" (side, side), and the log-odds."""
        inputs, gradients, score = self.gradients(pixels)
        return combine(inputs[0], gradients[0], self.size // self.side)[0].double().numpy(), score


# Fills: what stands where a cell was taken away.


def mean_film(nano: Nano, data: Path) -> Tensor:
    """The mean of the healthy training films, as the tower reads them."""
    bank = load_films(data / "chest_pediatric", "train")
    healthy = bank.images[bank.classes == 0]
    total = sum(equalize(part[:, None].float() / 255).sum(0) for part in healthy.split(64))
    return to_pixels((total / len(healthy))[None])


def blurred(pixels: Tensor, radius: float) -> Tensor:
    grey = ((pixels[0, 0].numpy() + 1) * 127.5).clip(0, 255).astype(np.uint8)
    soft = np.asarray(PILImage.fromarray(grey).filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32)
    return torch.from_numpy(soft / 127.5 - 1).expand(1, 3, -1, -1)


def fills(pixels: Tensor, healthy: Tensor, random: np.random.Generator) -> dict[str, Tensor]:
    noise = torch.from_numpy(random.uniform(-1, 1, pixels.shape[2:]).astype(np.float32)).expand(1, 3, -1, -1)
    return {
        "blur of 8 px": blurred(pixels, 8),
        "blur of 16 px": blurred(pixels, 16),
        "blur of 32 px": blurred(pixels, 32),
        "grey mean": torch.full_like(pixels, float(pixels.mean())),
        "noise": noise,
        "mean healthy film": healthy,
    }


# Maps to compare with.


def lung_fields(film: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """The two largest dark parts (under 0.42 of an equalised film in 0..1, smoothed) that do not reach the border, (S, S)."""
    labels, _ = ndimage.label(ndimage.gaussian_filter(film, 2) < 0.42)
    outside = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    sizes = np.bincount(labels.ravel())
    sizes[[0, *outside]] = 0
    largest = [index for index in np.argsort(sizes)[-2:] if sizes[index]]
    return np.isin(labels, largest)


def mean_lungs(data: Path, count: int = 100) -> Floats:
    """How often a pixel belongs to the lung fields of healthy validation films, (S, S)."""
    bank = load_films(data / "chest_pediatric", "validation")
    healthy = bank.images[bank.classes == 0][:count]
    films = equalize(healthy[:, None].float() / 255)[:, 0].numpy()
    return np.mean([lung_fields(film) for film in films], axis=0)


def thorax(lungs: Floats) -> npt.NDArray[np.bool_]:
    """Between the outermost lung pixels of each row, where lungs are in a quarter of the films at least."""
    out = np.zeros(lungs.shape, dtype=bool)
    for row, line in enumerate(lungs >= 0.25):
        places = np.flatnonzero(line)
        if len(places):
            out[row, places[0] : places[-1] + 1] = True
    return out


def cells(values: npt.NDArray[Any], side: int) -> Floats:
    """Means over side x side cells."""
    step = values.shape[0] // side
    return values.reshape(side, step, side, step).mean((1, 3)).astype(np.float64)


# Curves.


def perturbed(pixels: Tensor, fill: Tensor, order: npt.NDArray[np.intp], share: float, *, insert: bool, side: int) -> Tensor:
    """Pixels with the first cells of an order replaced (or all but those)."""
    gone = np.zeros(side * side, dtype=np.float32)
    gone[order[: round(share * side * side)]] = 1
    if insert:
        gone = 1 - gone
    step = pixels.shape[-1] // side
    mask = torch.from_numpy(np.kron(gone.reshape(side, side), np.ones((step, step), dtype=np.float32)))
    return pixels * (1 - mask) + fill * mask


def curves(nano: Nano, pixels: Tensor, fill: Tensor, maps: dict[str, Floats]) -> dict[str, dict[str, list[float]]]:
    """The log-odds of "Yes" along the deletion and the insertion curve of each map, at POINTS."""
    inner = POINTS[1:-1]
    batch = []
    for values in maps.values():
        order = np.argsort(-values.ravel(), kind="stable")
        batch += [
            perturbed(pixels, fill, order, share, insert=insert, side=nano.side) for insert in (False, True) for share in inner
        ]
    logits = nano.logits(torch.cat([pixels, fill, *batch])).tolist()
    full, empty, rest = logits[0], logits[1], iter(logits[2:])
    out = {}
    for name in maps:
        deletion = [next(rest) for _ in inner]
        insertion = [next(rest) for _ in inner]
        out[name] = {"deletion": [full, *deletion, empty], "insertion": [empty, *insertion, full]}
    return out


def area(values: Iterable[float]) -> float:
    return float(np.trapezoid(list(values), POINTS))


def probability(nano: Nano, logits: list[float], sign: int) -> Floats:
    """Of the answer that is explained."""
    return 1 / (1 + np.exp(-sign * nano.calibrated(np.array(logits))))


def one_film(nano: Nano, film: Tensor, healthy: Tensor, lungs: Floats, seed: int) -> dict[str, Any]:
    """The curves of one film, and the share of the map outside the thorax."""
    pixels = nano.pixels(film)
    found, score = nano.map(pixels)
    sign = 1 if nano.slope * score + nano.intercept >= 0 else -1
    random = np.random.default_rng(seed)
    down, across = np.mgrid[0 : nano.side, 0 : nano.side] - (nano.side - 1) / 2
    maps = {
        "ours": sign * found,
        "random": random.random(found.shape),
        "centre": -(down**2 + across**2),
        "mean lungs": cells(lungs, nano.side),
    }
    made = curves(nano, pixels, healthy, maps)
    positive = np.maximum(sign * found, 0)
    inside = cells(thorax(lungs).astype(float), nano.side)
    result: dict[str, Any] = {"sign": sign, "outside": float((positive * (1 - inside)).sum() / max(positive.sum(), 1e-30))}
    for name, each in made.items():
        for curve, logits in each.items():
            result[f"{name} {curve}"] = area(probability(nano, logits, sign))
            result[f"{name} {curve}, log-odds"] = area(sign * nano.calibrated(np.array(logits)))
    return result


def chosen_patients(bank: FilmBank, count: int | None) -> list[int]:
    """Films of the first patients in a seeded order."""
    names = sorted(set(bank.patients))
    np.random.default_rng(0).shuffle(names)
    place = {name: number for number, name in enumerate(names[:count])}
    kept = [index for index, patient in enumerate(bank.patients) if patient in place]
    return sorted(kept, key=lambda index: place[bank.patients[index]])


def summary(rows: list[dict[str, Any]], patients: list[str]) -> dict[str, Any]:
    """Means, and differences from ours with paired 95 % intervals over patients."""
    names = sorted(set(patients))
    films = {name: [i for i, each in enumerate(patients) if each == name] for name in names}
    random = np.random.default_rng(0)
    draws = [np.concatenate([films[names[k]] for k in random.choice(len(names), len(names))]) for _ in range(2000)]
    out: dict[str, Any] = {"films": len(rows), "patients": len(names)}
    for unit in ("", ", log-odds"):
        for curve, better in (("deletion", -1), ("insertion", 1)):
            ours = np.array([row[f"ours {curve}{unit}"] for row in rows])
            told = {"ours": f"{ours.mean():.3f}"}
            for name in ("random", "centre", "mean lungs"):
                other = np.array([row[f"{name} {curve}{unit}"] for row in rows])
                gain = better * (ours - other)
                boot = np.array([gain[index].mean() for index in draws])
                told[name] = f"{other.mean():.3f}; ours better by {gain.mean():.3f} ({interval(boot)})"
            out[f"{curve}{unit}"] = told
    return out


def choose(nano: Nano, data: Path, count: int) -> None:
    """Fills by what the model makes of random cells, then methods by their curves, on validation films."""
    bank = load_films(data / "chest_pediatric", "validation")
    first = {patient: index for index, patient in reversed(list(enumerate(bank.patients)))}
    order = sorted(first.values())
    np.random.default_rng(0).shuffle(order)
    sick = [index for index in order if bank.classes[index] > 0][: count // 2]
    well = [index for index in order if bank.classes[index] == 0][: count // 2]
    films = [nano.pixels(bank.images[index]) for index in sick + well]
    truth = np.array([1] * len(sick) + [0] * len(well))
    healthy, random = mean_film(nano, data), np.random.default_rng(1)
    print("fill: log-odds of the gate with 30 % random cells filled, least; AUC for pneumonia of films that are all fill")
    filled = [fills(pixels, healthy, random) for pixels in films]
    for name in filled[0]:
        part = [
            perturbed(pixels, each[name], random.permutation(nano.side**2), 0.3, insert=False, side=nano.side)
            for pixels, each in zip(films, filled, strict=True)
        ]
        gate = nano.logits(torch.cat(part), GATE_QUESTION)
        blank = nano.logits(torch.cat([each[name] for each in filled]))
        told = 0.5 if np.ptp(blank) == 0 else roc_auc_score(truth, blank)
        print(f"  {name}: {gate.mean():.2f}, {gate.min():.2f}; {told:.3f}", flush=True)
    print("method: area of insertion less area of deletion, in log-odds, for Yes and for No")
    gaps: dict[str, dict[int, list[float]]] = {}
    for pixels in films:
        inputs, gradients, score = nano.gradients(pixels)
        sign = 1 if nano.slope * score + nano.intercept >= 0 else -1
        maps = candidates(nano.model, inputs, gradients, sign, healthy) | {"random": random.random((nano.side, nano.side))}
        for name, each in curves(nano, pixels, healthy, maps).items():
            gap = sign * nano.slope * (area(each["insertion"]) - area(each["deletion"]))
            gaps.setdefault(name, {1: [], -1: []})[sign].append(gap)
    for name, each in sorted(gaps.items(), key=lambda pair: -sum(np.mean(v) for v in pair[1].values())):
        print(f"  {name}: {np.mean(each[1]):.2f}, {np.mean(each[-1]):.2f}")


def randomise(nano: Nano, data: Path, count: int) -> dict[str, str]:
    """Rank correlation of maps with those of a model whose weights were drawn anew, part by part."""
    bank = load_films(data / "chest_pediatric", "validation", limit=None)
    films = [nano.pixels(bank.images[index]) for index in np.linspace(0, len(bank.images) - 1, count).astype(int)]
    before = [nano.map(pixels)[0] for pixels in films]
    parts: dict[str, Callable[[str], bool]] = {
        "the decoder": lambda name: name.startswith("language_model.layers"),
        "the last two layers of the tower": lambda name: any(f"encoder.layers.{i}." in name for i in (6, 7)),
        "the tower": lambda name: name.startswith("vision_tower"),
        "everything": lambda name: "embed_tokens" not in name,
    }
    out = {}
    for title, select in parts.items():
        kept = {name: weight.detach().clone() for name, weight in nano.model.named_parameters() if select(name)}
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for name, weight in nano.model.named_parameters():
                if name in kept:
                    drawn = torch.randn(weight.shape, generator=generator) * weight.float().std(correction=0)
                    weight.copy_(drawn + weight.float().mean())
        after = [nano.map(pixels)[0] for pixels in films]
        with torch.no_grad():
            for name, weight in nano.model.named_parameters():
                if name in kept:
                    weight.copy_(kept[name])
        found = [rank_correlation(one, other) for one, other in zip(before, after, strict=True)]
        out[title] = f"{np.mean(found):.3f} ({min(found):.3f} to {max(found):.3f})"
        print(f"randomised {title}: rank correlation {out[title]}", flush=True)
    return out


def rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's."""
    ranks = [np.argsort(np.argsort(each.ravel())) for each in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--keep", type=Path, default=Path("evidence_films.jsonl"))
    parser.add_argument("--patients", type=int, help="a fixed part of the test split's patients; all by default")
    parser.add_argument("--choose", type=int, metavar="FILMS", help="compare fills and methods on validation films")
    parser.add_argument("--randomise", type=int, metavar="FILMS", help="the randomisation test on validation films")
    arguments = parser.parse_args()
    nano = Nano()
    if arguments.choose:
        choose(nano, arguments.data, arguments.choose)
        return
    result: dict[str, Any] = {"method": METHOD, "fill": "mean healthy training film", "points": POINTS}
    if arguments.randomise:
        result["rank correlation with randomised weights"] = randomise(nano, arguments.data, arguments.randomise)
    bank = load_films(arguments.data / "chest_pediatric", "test")
    index = chosen_patients(bank, arguments.patients)
    kept = {}
    if arguments.keep.is_file():
        kept = {row["image"]: row for row in map(json.loads, arguments.keep.read_text().splitlines())}
    healthy, lungs = mean_film(nano, arguments.data), mean_lungs(arguments.data)
    result["thorax"] = f"{thorax(lungs).mean():.3f} of the picture, from the lung fields of 100 healthy validation films"
    with arguments.keep.open("a") as file:
        for done, i in enumerate(index):
            if bank.names[i] not in kept:
                row = {"image": bank.names[i], **one_film(nano, bank.images[i], healthy, lungs, seed=i)}
                kept[row["image"]] = row
                file.write(json.dumps(row) + "\n")
                file.flush()
            if done % 20 == 19:
                print(f"{done + 1} of {len(index)}", file=sys.stderr, flush=True)
    rows = [kept[bank.names[i]] for i in index]
    patients = [bank.patients[i] for i in index]
    result["all"] = summary(rows, patients)
    for title, sign in (("answer Yes", 1), ("answer No", -1)):
        part = [k for k, row in enumerate(rows) if row["sign"] == sign]
        result[title] = summary([rows[k] for k in part], [patients[k] for k in part])
    outside = np.array([row["outside"] for row in rows])
    result["relevance outside the thorax"] = f"{outside.mean():.3f} (middle half {np.percentile(outside, 25):.3f} to {np.percentile(outside, 75):.3f})"
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
