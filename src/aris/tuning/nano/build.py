"""The making of `aris-nano` from its data in one run: teachers, tower, decoder, calibration. A finished stage is kept.

The result is a folder with all that the package ships but the card and the terms.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from aris.checkpoints import embedded, open_nano
from aris.errors import DataError
from aris.tuning.nano.calibrate import calibrate
from aris.tuning.nano.decoder import nano_recipes, run_nano_decoder
from aris.tuning.nano.tower import vision
from aris.tuning.recipe import Recipe

# As the shipped tower was made: see benchmarks/LOG.md for what was tried.
TEACHERS = 4
TEACHER_STEPS = 450
TOWER_SECONDS = 200.0
STRENGTH = 0.7
NORMALIZE = "equalize"


def make_nano(
    data: Path,
    out: Path,
    *,
    device: str,
    teacher_steps: int = TEACHER_STEPS,
    tower_seconds: float = TOWER_SECONDS,
    decoder_steps: int | None = None,
    seed: int = 0,
) -> Path:
    """Train everything that is missing in `out` and return the folder of the finished model.

    Args:
        data: folder that holds chest_pediatric, chest_nih64, vqa_rad, medquad and pubmedqa.
        out: kept between runs; a stage whose files are there is skipped, the decoder's goes on where it stopped.
        teacher_steps: of 256 films, for each teacher.
        tower_seconds: wall-clock budget of the distillation.
        decoder_steps: of each stage, instead of its recipe's.

    Raises:
        DataError: a data folder is missing, or training fails.
    """
    for name in ("chest_pediatric", "chest_nih64", "vqa_rad", "medquad", "pubmedqa"):
        if not (data / name).is_dir():
            raise DataError(f"{data}: has no folder {name}; give the folder that holds the training data")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    out.mkdir(parents=True, exist_ok=True)
    if len(list(out.glob("teacher*.pt"))) < TEACHERS:
        vision.teachers(data, out, device, teacher_steps, TEACHERS, NORMALIZE, STRENGTH)
    tower = out / f"student{seed}.safetensors"
    if not tower.is_file():
        vision.tower(data, out, device, tower_seconds, NORMALIZE, STRENGTH, seed)
    instead: dict[str, Any] = {"steps": decoder_steps} if decoder_steps else {}
    recipes = [Recipe.from_file(path, **instead) for path in nano_recipes()]
    model = out / "model"
    run_nano_decoder(data, embedded.language_weights(), tower, model, recipes, device)
    for name in ("config.json", "preprocessor_config.json"):
        shutil.copy(embedded.files() / name, model / name)
    calibrate(open_nano(model), data, model / "calibration.json", device)
    return model
