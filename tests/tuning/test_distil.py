"""The vision tower's training parts: metric, normalisation, augmentation, splits, and that distillation learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from aris.errors import DataError
from aris.model.config import VisionConfig
from aris.prompting.normalize import equalize_histogram
from aris.tuning.metrics import auc
from aris.tuning.nano.augment import FilmAugment, equalize, to_pixels
from aris.tuning.nano.films import FilmBank, load_films
from aris.tuning.nano.tower.distil import Student, distil
from aris.tuning.nano.tower.stress import SHIFTS, stress
from aris.tuning.nano.tower.teacher import balanced_batches


def test_auc_equals_scikit_learn_with_ties() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(0)
    for levels in (3, 1000):
        scores = torch.randint(levels, (400,), generator=generator).float()
        positive = torch.rand(400, generator=generator) < torch.sigmoid(scores / levels)
        assert auc(scores, positive) == pytest.approx(metrics.roc_auc_score(positive.numpy(), scores.numpy()))


def test_training_and_inference_equalize_alike() -> None:
    generator = torch.Generator().manual_seed(1)
    films = torch.randint(0, 256, (5, 40, 40), generator=generator, dtype=torch.uint8)
    films[1] = films[1] // 4 + 90
    films[2] = 7
    films[3, :, :20] = 0
    ours = (equalize(films[:, None].float() / 255)[:, 0] * 255).round().byte()
    for film, mine in zip(films, ours, strict=True):
        reference = torch.from_numpy(equalize_histogram(film.numpy()))
        assert (mine.int() - reference.int()).abs().max() <= 1


def test_equalization_cancels_exposure() -> None:
    film = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(2))
    assert (equalize(film) - equalize(0.2 + 0.5 * film**1.5)).abs().mean() < 0.01


def test_augmentation_repeats_by_seed_and_stays_in_range() -> None:
    films = torch.randint(0, 256, (6, 50, 50), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))

    def once(seed: int) -> torch.Tensor:
        return FilmAugment(torch.Generator().manual_seed(seed))(films, 32)

    assert torch.equal(once(4), once(4))
    assert not torch.equal(once(4), once(5))
    assert once(4).shape == (6, 1, 32, 32)
    assert once(4).min() >= 0 and once(4).max() <= 1
    assert to_pixels(once(4)).aminmax().min >= -1


def test_strength_zero_leaves_a_film_as_it_is() -> None:
    films = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(6))
    same = FilmAugment(torch.Generator().manual_seed(0), strength=0.0, normalize="none")(films, 32)
    assert (same[:, 0] - films.float() / 255).abs().max() < 1e-3


def test_batches_are_balanced() -> None:
    classes = torch.tensor([0] * 10 + [1] * 300 + [2] * 90)
    drawn = classes[balanced_batches(classes, 20_000, torch.Generator().manual_seed(7))]
    assert torch.bincount(drawn).div(20_000).tolist() == pytest.approx([0.5, 0.25, 0.25], abs=0.02)


def test_missing_films_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"labels\.csv: not found"):
        load_films(tmp_path, "train")
    (tmp_path / "labels.csv").write_text("image,patient,label,split\na.png,1,normal,train\n")
    with pytest.raises(DataError, match=r"a\.png"):
        load_films(tmp_path, "train")
    with pytest.raises(DataError, match="no film of split"):
        load_films(tmp_path, "validation")


class BrightTeacher(nn.Module):
    """Knows one thing: a bright left half is class 1, a bright right half class 2, neither class 0."""

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.adaptive_avg_pool2d(x, 2).expand(-1, 1280, -1, -1)

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        left, right = features[:, 0, :, 0].mean(1), features[:, 0, :, 1].mean(1)
        return torch.stack([torch.full_like(left, 0.3), left, right], 1) * 8


def test_distillation_teaches_the_student_what_the_teacher_knows() -> None:
    generator = np.random.default_rng(8)
    classes = torch.from_numpy(generator.integers(0, 3, 96))
    images = torch.from_numpy(generator.integers(0, 60, (96, 32, 32)).astype(np.uint8))
    images[classes == 1, :, :16] += 150
    images[classes == 2, :, 16:] += 150
    bank = FilmBank(images, classes, [], [])
    config = VisionConfig(32, 64, 1, 2, image_size=32, patch_size=8, stem_channels=(8,))
    student = distil(
        config, 2, bank, images[:0], [BrightTeacher()],  # type: ignore[list-item]
        seed=0, seconds=60, device="cpu", normalize="none", strength=0.0, batch=32, lr=3e-3, max_steps=150,
        log=lambda _: None,
    )  # fmt: skip
    assert isinstance(student, Student)
    with torch.no_grad():
        predicted = student(images[:, None].float() / 255)[0].argmax(1)
    assert (predicted == classes).float().mean() > 0.9
    kept = classes > 0
    figures = stress(
        lambda x: student(x)[0][:, 1] - student(x)[0][:, 2], images[kept], classes[kept] == 1, normalize="none"
    )
    assert figures.keys() == SHIFTS.keys()
    assert figures["none"] > 0.95
