"""Teachers of every subject, and one tower distilled from them, judged on validation splits.

    python benchmarks/nano_subjects.py teachers --data FOLDER --out FOLDER --subject skin [--lite 0 1 2] [--steps N]
    python benchmarks/nano_subjects.py tower --data FOLDER --out FOLDER --seconds 300
    python benchmarks/nano_subjects.py judge --data FOLDER --out FOLDER --split validation

`judge --split test` opens held-out data: log it in LOG.md.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from aris.tuning.metrics import auc
from aris.tuning.nano.subjects.augment import plain
from aris.tuning.nano.subjects.judging import as_probabilities, figures, line, scores_of
from aris.tuning.nano.subjects.kinds import KIND_OF, KINDS, extras
from aris.tuning.nano.subjects.tables import SUBJECTS, load
from aris.tuning.nano.subjects.teachers import SubjectTeacher, finetune
from aris.tuning.nano.subjects.tower import TOKENS_PER_SIDE, TOWER, Student, distil
from aris.tuning.nano.subjects.views import Lesson

STEPS = {"chest": 400, "colon": 200, "skin": 250, "fundus": 120}
SHARES = {"chest": 0.55, "colon": 0.15, "skin": 0.2, "fundus": 0.1}
IMAGE_SIZES = {"chest": 288, "colon": 224, "skin": 256, "fundus": 320}  # as they are kept on the device


def make_teachers(args: argparse.Namespace) -> None:
    subject = SUBJECTS[args.subject]
    size = IMAGE_SIZES[args.subject]
    train = load(args.data, subject, "train", size).to(args.device)
    valid = load(args.data, subject, "validation", size).to(args.device)
    together = []
    for lite in args.lite:
        for seed in range(args.seeds):
            for strength in args.strengths:
                model = finetune(subject, train, lite=lite, size=args.size, seed=seed,
                                 steps=args.steps or STEPS[args.subject], device=args.device, strength=strength)
                scores = as_probabilities(scores_of(model, valid, subject, args.size), subject)
                print(line(f"{args.subject} Lite{lite} seed {seed} strength {strength}", figures(logits(scores), valid, subject)), flush=True)
                together.append(scores)
                state = {k: v.half() for k, v in model.state_dict().items()}
                torch.save(state, args.out / f"{args.subject}-{lite}-{seed}-{strength}.pt")
    mean = {name: torch.stack([each[name] for each in together]).mean(0) for name in subject.heads}
    print(line(f"{args.subject} ENSEMBLE of {len(together)}", figures(logits(mean), valid, subject)), flush=True)


def logits(probabilities: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: values.clamp(1e-6, 1).log() for name, values in probabilities.items()}


def make_tower(args: argparse.Namespace) -> None:
    torch.backends.cudnn.benchmark = True
    lessons = []
    for name, subject in SUBJECTS.items():
        teachers = []
        for path in sorted(args.out.glob(f"{name}-*.pt")):
            model = SubjectTeacher(subject, int(path.stem.split("-")[1]))
            model.load_state_dict({k: v.float() for k, v in torch.load(path).items()})
            teachers.append(model.to(args.device).to(memory_format=torch.channels_last).eval().requires_grad_(False))
        bank = load(args.data, subject, "train", IMAGE_SIZES[name]).to(args.device)
        lessons.append(Lesson(subject, bank, teachers, SHARES[name]))
        print(name, len(bank), "images", len(teachers), "teachers", flush=True)
    more = [replace(e, images=e.images.to(args.device), classes=e.classes.to(args.device))
            for e in extras(args.data, "train", 256, 600, 0)]
    started = time.perf_counter()
    student = distil(lessons, more, seed=args.seed, seconds=args.seconds, device=args.device, strength=args.strength,
                     batch=args.batch, views=args.views, max_steps=args.steps or 1_000_000)
    state = {k: v.to(torch.bfloat16).contiguous().cpu() for k, v in student.state_dict().items() if not k.startswith("mimic")}
    save_file(state, args.out / f"tower{args.seed}.safetensors", {"seconds": str(args.seconds)})
    tower = sum(v.nbytes for k, v in state.items() if k.startswith("tower."))
    print(f"tower: {time.perf_counter() - started:.0f} s, {tower / 1e6:.1f} MB", flush=True)
    args.split = "validation"
    judge(args)


@torch.no_grad()
def judge(args: argparse.Namespace) -> None:
    student = Student(TOWER, TOKENS_PER_SIDE, list(SUBJECTS.values()))
    state = load_file(args.out / f"tower{args.seed}.safetensors")
    student.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    student = student.to(args.device).eval()
    size, kinds, told = TOWER.image_size, [], []
    for name, subject in SUBJECTS.items():
        bank = load(args.data, subject, args.split, IMAGE_SIZES[name]).to(args.device)
        scores = scores_of(lambda x, s=subject: student.scores(student.pooled(x), s), bank, subject, size)
        print(line(f"TOWER {args.split} {name}", figures(scores, bank, subject)), flush=True)
        if name == "chest":
            adult = scores["adult"][:, -1]
            target = bank.targets["adult"][:, -1].cpu()
            one = torch.tensor([origin == "muhammedtalo" for origin in bank.origins])
            print(f"any finding within one origin: {auc(adult[one], target[one] > 0.5):.3f} (n {int(one.sum())})")
        for start in range(0, len(bank), 256):
            x = plain(bank.images[start : start + 256], size, subject.colour)
            kinds.append(student.kind(student.pooled(x).mean(1)).argmax(1).cpu())
            told.append(torch.full((len(x),), KINDS.index(KIND_OF[name])))
    if args.split != "test":
        for extra in extras(args.data, args.split, 256, 90, 7):
            x = plain(extra.images.to(args.device), size, extra.colour)
            kinds.append(student.kind(student.pooled(x).mean(1)).argmax(1).cpu())
            told.append(extra.classes)
    found, truth = torch.cat(kinds), torch.cat(told)
    table = torch.zeros(len(KINDS), len(KINDS), dtype=torch.int64)
    for a, b in zip(truth.tolist(), found.tolist(), strict=True):
        table[a, b] += 1
    recall = table.diag() / table.sum(1).clamp(min=1)
    print("kinds:", ", ".join(f"{kind} {int(table[i].sum())}: {recall[i]:.3f}" for i, kind in enumerate(KINDS)))
    print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("teachers", "tower", "judge"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--subject", choices=tuple(SUBJECTS))
    parser.add_argument("--lite", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--size", type=int, default=TOWER.image_size)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.7])
    parser.add_argument("--strength", type=float, default=0.7)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--batch", type=int, default=320)
    parser.add_argument("--views", type=int, default=100_000)
    parser.add_argument("--split", default="validation")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.device == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    {"teachers": make_teachers, "tower": make_tower, "judge": judge}[args.stage](args)


if __name__ == "__main__":
    main()
