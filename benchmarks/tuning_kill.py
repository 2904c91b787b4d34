"""Kill -9 at random steps: does a run that was killed end with the same weights as one that was not?

    python benchmarks/tuning_kill.py --data FOLDER [--kills 5] [--steps 12] [--seed 0]

Trains aris-nano (its decoder's adapters, with images, float32, CPU) by the command line in processes of its own. One run is
left alone. Each of the others is killed and started again by the same command. The kills are spread over the run: of K, the k-th
falls at a random moment after a number of saves that is drawn from the k-th K-th of the steps, somewhere in a step, a measurement
or the next save. Prints where each fell and whether weights, optimizer, best weights and curve are equal bit for bit. Exit status
1 if any is not.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml

from aris.tuning.checkpointing import Curve
from aris.tuning.loop import BEST, CURVE, STATE
from aris.tuning.nano.films import load_films

RECIPE = {
    "seed": 0, "batch_size": 2, "max_tokens_per_microbatch": 300, "max_tokens": 200, "learning_rate": 1e-3,
    "tower_learning_rate": 0, "warmup_steps": 2, "weight_decay": 0.01, "clip_norm": 1.0, "lora_r": 8, "lora_alpha": 16,
    "augment_strength": 0, "evaluate_every": 5, "save_every": 1, "mixture": {}, "precision": "fp32", "projector": True,
}  # fmt: skip
TIMES = ("steps_per_s", "tokens_per_s", "eta_s", "evaluate_s")


def make_data(films: Path, out: Path, count: int) -> None:
    """Write rows about films of the training split, and some of the validation split."""
    for split, name, wanted in (("train", "train", count), ("validation", "validation", 4)):
        bank = load_films(films / "chest_pediatric", split)
        picked = list(range(0, len(bank.names), max(1, len(bank.names) // wanted)))[:wanted]
        lines = []
        for index in picked:
            content = [
                {"type": "image", "path": bank.names[index]},
                {"type": "text", "text": "Does this chest X-ray show pneumonia?"},
            ]
            answer = "Yes" if bank.classes[index] > 0 else "No"
            messages = [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
            lines.append(json.dumps({"messages": messages, "group": bank.patients[index], "task": "pneumonia"}))
            source = films / "chest_pediatric" / "images" / bank.names[index]
            (out / bank.names[index]).write_bytes(source.read_bytes())
        (out / f"{name}.jsonl").write_text("\n".join(lines))


def state_of(out: Path) -> dict[str, Any] | None:
    return torch.load(out / STATE, weights_only=True, map_location="cpu") if (out / STATE).is_file() else None


def stamp_of(path: Path) -> int | None:
    """Return a stamp that changes with every save."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def curve_of(out: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in TIMES} for line in Curve.read(out / CURVE)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="holds chest_pediatric")
    parser.add_argument("--model", default="aris-nano")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    chance = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "data").mkdir()
        make_data(args.data, root / "data", 32)
        (root / "recipe.yaml").write_text(yaml.safe_dump(RECIPE | {"steps": args.steps}))

        def start(out: Path) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "aris.cli", "tune", str(root / "recipe.yaml"), "--data", str(root / "data"),
                       "--model", args.model, "--out", str(out), "--device", "cpu"]  # fmt: skip
            return subprocess.Popen(command, stdout=subprocess.DEVNULL)

        began = time.monotonic()
        process = start(root / "whole")
        saves: list[float] = []
        seen = None
        while process.poll() is None:
            if (stamp := stamp_of(root / "whole" / STATE)) != seen:
                seen = stamp
                saves.append(time.monotonic() - began)
            time.sleep(0.005)
        if process.returncode or len(saves) < 3:
            print("the unbroken run failed")
            return 1
        step_s = (saves[-1] - saves[0]) / (len(saves) - 1)
        print(f"seed {args.seed}; unbroken: {args.steps} steps, {time.monotonic() - began:.0f} s, a step {step_s:.1f} s, the "
              f"first save after {saves[0]:.0f} s")  # fmt: skip
        good = 0
        whole = state_of(root / "whole")
        assert whole is not None
        for kill in range(args.kills):
            out = root / f"killed{kill}"
            saved = int((kill + chance.random()) / args.kills * (args.steps - 1))
            wait = chance.random() * step_s
            process = start(out)
            count, seen = 0, None
            while count < saved or not (out / CURVE).is_file():
                if process.poll() is not None:
                    print("a run ended before its kill")
                    return 1
                if (stamp := stamp_of(out / STATE)) != seen:
                    count, seen = count + 1, stamp
                time.sleep(0.005)
            time.sleep(wait)
            process.send_signal(signal.SIGKILL)
            died = process.wait() == -signal.SIGKILL
            left = state_of(out)
            resumed = start(out).wait()
            end = state_of(out)
            checks = {
                "state": same(end, whole),
                "best": (out / BEST).read_bytes() == (root / "whole" / BEST).read_bytes(),
                "curve": curve_of(out) == curve_of(root / "whole"),
                "adapter": (out / "adapter/adapter_model.safetensors").read_bytes()
                == (root / "whole/adapter/adapter_model.safetensors").read_bytes(),
            }
            fell = "before the first save" if left is None else f"with step {left['step']} of {args.steps} saved"
            equal = died and resumed == 0 and all(checks.values())
            good += equal
            verdict = "equal bit for bit" if equal else f"DIFFERENT: {checks}, killed {died}, ended with {resumed}"
            print(f"kill {kill + 1}: {wait:.1f} s after save {saved}, {fell}: {verdict}", flush=True)
        print(f"{good} of {args.kills} equal")
        return 0 if good == args.kills else 1


if __name__ == "__main__":
    sys.exit(main())
