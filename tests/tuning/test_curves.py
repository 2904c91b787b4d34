"""The image of a run: losses above, each task's metrics below, and odd values and names don't end it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from aris.tuning.evaluation.curves import draw_curves


def entries() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for step in range(0, 101, 20):
        validation = {"loss": 2 - step / 100, "exact": 0.1, "rows": 9}
        tasks = {
            "pneumonia": validation | {"auc": 0.5 + step / 250},
            "Befund 肺": validation | {"token_f1": step / 200, "perplexity": 9 - step / 20},
        }
        made.append({"step": step, "validation_loss": 2 - step / 100, "validation": tasks})
        made.append({"step": step, "loss": 2.1 - step / 100})
    return made


def test_metrics_have_panels_of_their_own(tmp_path: Path) -> None:
    draw_curves(entries(), tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as image:
        assert image.size == (900, 3 * 480)
        pixels = np.asarray(image)
    for panel in range(3):
        part = pixels[480 * panel + 40 : 480 * (panel + 1) - 40, 80:]
        assert (part.max(-1).astype(int) - part.min(-1) > 100).any()  # something is drawn in colour
    # Higher is higher up: the first metric's line rises to the right.
    blue = np.argwhere((pixels[510:930] == (31, 119, 180)).all(-1))
    assert blue[blue[:, 1] > 800][:, 0].mean() < blue[blue[:, 1] < 200][:, 0].mean()


def test_a_loss_alone_has_one_panel_and_what_is_not_a_number_is_left_out(tmp_path: Path) -> None:
    lines = [{"step": 0, "loss": 1.0}, {"step": 20, "loss": float("nan")}, {"step": 40, "loss": float("inf")}]
    draw_curves(lines, tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as image:
        assert image.size == (900, 480)
    draw_curves([{"step": 0}], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
