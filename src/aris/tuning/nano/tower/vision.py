"""The making of `aris-nano`'s vision tower.

`explore` trains teachers on later films and judges them on earlier ones, by normalisation and strength of
augmentation; `teachers` fine-tunes the ensemble on all training films; `tower` distils it. None of them reads a film
of the held-out test split.
"""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aris.model.config import VisionConfig
from aris.tuning.nano.films import FilmBank, load_films
from aris.tuning.nano.tower.stress import stress
from aris.tuning.nano.tower.teacher import Teacher, finetune, pneumonia_score

TOWER = VisionConfig(
    hidden_size=256,
    intermediate_size=1024,
    num_hidden_layers=8,
    num_attention_heads=4,
    image_size=224,
    patch_size=16,
    stem_channels=(32, 64, 160),
)
# 14 x 14 patches are pooled to 7 x 7 soft tokens.
TOKENS_PER_SIDE = 7


def unlabelled_films(data: Path, size: int = 224) -> Tensor:
    """Read the other training images of the data folders (M, size, size) uint8, for features alone."""
    paths = []
    nih = data / "chest_nih64" / "labels.csv"
    if nih.is_file():
        with nih.open(newline="") as file:
            paths += [nih.parent / "images" / r["image"] for r in csv.DictReader(file) if r["split"] == "train"]
    vqa = data / "vqa_rad" / "train.jsonl"
    if vqa.is_file():
        names = {json.loads(line)["image"] for line in vqa.read_text().splitlines()}
        paths += [vqa.parent / name for name in sorted(names)]
    images = []
    for path in paths:
        with Image.open(path) as image:
            images.append(np.asarray(image.convert("L").resize((size, size), Image.Resampling.BILINEAR)))
    return torch.from_numpy(np.stack(images)) if images else torch.zeros(0, size, size, dtype=torch.uint8)


def _report(name: str, aucs: dict[str, float]) -> None:
    values = list(aucs.values())
    detail = ", ".join(f"{k} {v:.3f}" for k, v in aucs.items())
    print(f"{name}: mean {np.mean(values):.4f} worst {min(values):.4f} | {detail}", flush=True)


def _on(bank: FilmBank, device: str) -> FilmBank:
    return FilmBank(bank.images.to(device), bank.classes, bank.names, bank.patients)


def _judge(name: str, teachers: list[Teacher], bank: FilmBank, normalize: str, device: str) -> None:
    def score(x: Tensor) -> Tensor:
        with torch.autocast(device, torch.bfloat16):
            return torch.stack([pneumonia_score(t(x).float()) for t in teachers]).mean(0)

    _report(name, stress(score, bank.images, bank.classes > 0, normalize=normalize))


def teachers(data: Path, out: Path, device: str, steps: int, count: int, normalize: str, strength: float) -> None:
    """Fine-tune and save the ensemble."""
    train = _on(load_films(data / "chest_pediatric", "train"), device)
    valid = _on(load_films(data / "chest_pediatric", "validation"), device)
    made = []
    for seed in range(count):
        model = finetune(train, seed=seed, steps=steps, device=device, normalize=normalize, strength=strength)
        torch.save({k: v.half() for k, v in model.state_dict().items()}, out / f"teacher{seed}.pt")
        _judge(f"teacher {seed} on validation", [model], valid, normalize, device)
        made.append(model)
    _judge("all teachers on validation", made, valid, normalize, device)


def tower(data: Path, out: Path, device: str, seconds: float, normalize: str, strength: float, seed: int) -> None:
    """Distil the ensemble in `out` into the tower and save it."""
    from safetensors.torch import save_file

    from aris.tuning.nano.tower.distil import distil

    train = _on(load_films(data / "chest_pediatric", "train"), device)
    valid = _on(load_films(data / "chest_pediatric", "validation"), device)
    extra = unlabelled_films(data).to(device)
    made = []
    for path in sorted(out.glob("teacher*.pt")):
        model = Teacher()
        model.load_state_dict({k: v.float() for k, v in torch.load(path).items()})
        made.append(model.to(device).eval().requires_grad_(False))
    started = time.perf_counter()
    student = distil(
        TOWER,
        TOKENS_PER_SIDE,
        train,
        extra,
        made,
        seed=seed,
        seconds=seconds,
        device=device,
        normalize=normalize,
        strength=strength,
    )

    def score(x: Tensor) -> Tensor:
        with torch.autocast(device, torch.bfloat16):
            return pneumonia_score(student(x)[0].float())

    _report("student on validation", stress(score, valid.images, valid.classes > 0, normalize=normalize))
    state = {k: v.to(torch.bfloat16).contiguous().cpu() for k, v in student.state_dict().items()}
    state = {k: v for k, v in state.items() if not k.startswith("mimic")}
    save_file(state, out / f"student{seed}.safetensors", {"normalize": normalize, "seconds": str(seconds)})
    megabytes = sum(value.nbytes for value in state.values()) / 1e6
    print(f"tower: {time.perf_counter() - started:.0f} s, {megabytes:.1f} MB", flush=True)
