"""A data set of images in class folders is tuned on as it comes, with the published question, and checked alike."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import tiny_checkpoint
from aris.cli import app
from aris.errors import DataError
from aris.prompting.builders import COLORECTAL_TISSUES, histology, lettered
from aris.tuning.base import open_base
from aris.tuning.checkpointing import Curve
from aris.tuning.data.examples import tokenize
from aris.tuning.data.image_folders import read_image_folder
from aris.tuning.data.images import ImageBank
from aris.tuning.recipe import Recipe
from aris.tuning.run import find_recipe, tune

CLASSES = ("ADI", "BACK", "TUM")


def make(folder: Path, each: int, seed: int = 0) -> Path:
    generator = np.random.default_rng(seed)
    for level, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = generator.integers(0, 60, (12, 12, 3)) + 90 * level
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{name}-{number}.tif")
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint.save(tmp_path_factory.mktemp("base"))


def test_the_recipe_asks_what_the_published_prompt_asks(base: Path, tmp_path: Path) -> None:
    recipe = Recipe.from_file(find_recipe("histopathology"))
    assert tuple(recipe.folders.values()) == lettered(COLORECTAL_TISSUES)
    make(tmp_path, 1)
    (row, *_), bad = read_image_folder(tmp_path, ImageBank(4), recipe.labels)
    processor = open_base(str(base)).processor
    tokens = tokenize(row, processor, 10_000)
    asked = processor(histology(np.zeros((4, 4, 3), np.uint8)))
    assert tokens is not None and not bad
    assert tokens.token_ids[: tokens.answer_start] == list(asked.token_ids)
    assert processor.tokenizer.decode(tokens.token_ids[tokens.answer_start :]) == "A: adipose"


def test_what_makes_no_row_is_named_and_the_rest_is_drawn_evenly(tmp_path: Path) -> None:
    recipe = Recipe.from_file(find_recipe("histopathology"), folder_rows=27)
    make(tmp_path, 5)
    (tmp_path / "TUM" / "notes.txt").write_text("x")
    (tmp_path / "TUM" / "broken.png").write_bytes(b"x")
    (tmp_path / "MICE").mkdir()
    rows, bad = read_image_folder(tmp_path, ImageBank(4), Recipe.from_file(find_recipe("histopathology")).labels)
    assert len(rows) == 15
    assert [(each.file.name, each.reason[:20]) for each in bad] == [
        ("MICE", "a folder that the re"), ("broken.png", "not a readable image"), ("notes.txt", "not an image"),
    ]  # fmt: skip
    (tmp_path / "TUM" / "notes.txt").unlink()
    (tmp_path / "TUM" / "broken.png").unlink()
    drawn, _ = read_image_folder(tmp_path, ImageBank(4), recipe.labels)
    answers = [row.turns[1].parts[0] for row in drawn]
    assert len(drawn) == 9 and {answers.count(answer) for answer in answers} == {3}
    with pytest.raises(DataError, match="set folder_question and folders"):
        read_image_folder(tmp_path, ImageBank(4), None)


def test_the_recipe_of_the_package_runs_on_such_a_folder(base: Path, tmp_path: Path) -> None:
    """With its own prompt, cache and metric; the tiny model by the method lora, as NF4 needs wider layers."""
    make(tmp_path / "data" / "train", 4)
    make(tmp_path / "data" / "validation", 2, seed=1)
    result = CliRunner().invoke(
        app, ["tune", "check", str(tmp_path / "data"), "--recipe", "histopathology", "--model", str(base), "--json"]
    )
    facts = json.loads(result.stdout)
    assert result.exit_code == 0
    assert facts["rows"] == {"train": 12, "validation": 6} and facts["tasks"] == {"tissue": 18}
    learned = [piece["text"] for piece in facts["example"] if piece["learned"]]
    assert learned == ["A: adipose<end_of_turn>"]
    recipe = Recipe.from_file(
        find_recipe("histopathology"), method="lora", steps=2, evaluate_every=1, batch_size=2, precision="fp32",
        answer_tokens=4,
    )  # fmt: skip
    said: list[str] = []
    result2 = tune(recipe, str(base), tmp_path / "data", tmp_path / "run", log=said.append)
    assert not any("in training and in validation" in line for line in said)
    (tmp_path / "data/validation/TUM/again.tif").write_bytes((tmp_path / "data/train/TUM/TUM-1.tif").read_bytes())
    tune(recipe, str(base), tmp_path / "data", tmp_path / "again", log=said.append)
    assert any("warning: 1 images are in training and in validation" in line for line in said)
    lines = [line for line in Curve.read(tmp_path / "run" / "curve.jsonl") if "validation" in line]
    assert [line["step"] for line in lines] == [0, 1, 2] and result2.measure == "accuracy"
    assert all("accuracy" in line["validation"]["tissue"] for line in lines)
    assert len(list((tmp_path / "run" / "tower-cache").rglob("*.features"))) == 18
