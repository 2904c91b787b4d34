"""Pixels that cannot be a film are told without a model; films never are."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from aris.tasks.checks.film import not_a_film
from films import filmlike

R = np.random.default_rng(7)
NOT_FILMS = {
    "too few": filmlike(63, 63),
    "shape": filmlike(100, 260),
    "coloured": np.stack([filmlike(), filmlike()[::-1], filmlike() // 3], axis=2),
    "blank": np.full((200, 200), 90, np.uint8),
    "almost constant": np.clip(R.normal(128, 3, (256, 256)), 0, 255).astype(np.uint8),
    "noise": R.integers(0, 256, (256, 256), dtype=np.uint8),
    "pattern": ((np.indices((256, 256)).sum(axis=0) // 4) % 2 * 255).astype(np.uint8),
}


@pytest.mark.parametrize("reason", NOT_FILMS)
def test_pictures_that_are_no_films(reason: str) -> None:
    said = not_a_film(NOT_FILMS[reason])
    assert said is not None and reason in said


def test_enlarged_noise_is_noise_still() -> None:
    small = PIL.Image.fromarray(R.integers(0, 256, (200, 200), dtype=np.uint8))
    enlarged = np.asarray(small.resize((1000, 1000), PIL.Image.Resampling.BICUBIC))
    assert not_a_film(enlarged) == "the image is noise or a fine pattern"


def test_a_black_page_with_a_label_is_blank() -> None:
    page = np.zeros((400, 400), np.uint8)
    page[10:18, 10:60] = 255
    assert not_a_film(page) == "the image is blank or almost constant"


@pytest.mark.parametrize("contrast", [0.2, 1.0])
def test_films_pass_grey_or_rgb_at_low_contrast_and_with_a_tint(contrast: float) -> None:
    pixels = (100 + (filmlike().astype(float) - 100) * contrast).clip(0, 255).astype(np.uint8)
    assert not_a_film(pixels) is None
    assert not_a_film(np.repeat(pixels[:, :, None], 3, axis=2)) is None
    sepia = (pixels[:, :, None] * np.array([1.0, 0.93, 0.82])).astype(np.uint8)
    assert not_a_film(sepia) is None


def test_real_films_pass(data_dir: Path) -> None:
    folder = data_dir / "chest_pediatric"
    with (folder / "labels.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "validation"]
    paths = [folder / "images" / row["image"] for row in rows[::6]]
    paths += sorted((data_dir / "chest_nih64" / "images").iterdir())[::40]
    refused = []
    for path in paths:
        with PIL.Image.open(path) as image:
            if not_a_film(np.asarray(image.convert("L"))) is not None:
                refused.append(path.name)
    assert len(paths) > 50
    assert refused == []
