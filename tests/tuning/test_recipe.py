"""Recipes: what is missing, unknown or out of range is named."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tiny_training import tiny_recipe

from aris.errors import DataError
from aris.tuning.deterministic import fingerprint
from aris.tuning.recipe import Recipe

OLD_FINGERPRINT = "12800d86c5a0d26afc5589bc8817ec52431cc68208106367f2582210a1b29334"


def values(**changes: Any) -> dict[str, Any]:
    return {k: v for k, v in (asdict(tiny_recipe()) | changes).items() if v is not ...}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"steps": ...}, "steps is missing"),
        ({"stpes": 1}, "'stpes' is not a setting"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"steps": 1.5}, "steps must be a whole number"),
        ({"steps": True}, "steps must be a whole number"),
        ({"learning_rate": "fast"}, "learning_rate must be a number"),
        ({"learning_rate": 0}, "learning_rate must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number"),
        ({"seed": 10**400}, "seed must be a whole number"),
        ({"seed": -1}, "seed must not be negative"),
        ({"mixture": ["bright"]}, "mixture must be a table"),
        ({"mixture": {"bright": "much"}}, "mixture of bright must be a number"),
        ({"balanced": "bright"}, "balanced must be a list"),
        ({"precision": "fp16"}, "use 'bf16' or 'fp32'"),
        ({"max_tokens": 9999}, "max_tokens is above max_tokens_per_microbatch"),
    ],
)
def test_a_bad_setting_is_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        Recipe.from_dict(values(**changes))


def test_yaml_numbers_without_a_point_are_numbers(tmp_path: Path) -> None:
    import yaml

    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values(balanced=["bright"])).replace("0.02", "2e-2"))
    assert "2e-2" in path.read_text()  # which YAML 1.1 reads as text
    assert Recipe.from_file(path) == tiny_recipe()
    assert Recipe.from_file(path, steps=7).steps == 7


def test_a_file_that_is_no_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    with pytest.raises(DataError, match="no such recipe"):
        Recipe.from_file(path)
    for content, reason in (("- a\n", "a recipe is a table"), ("a: [", "not YAML")):
        path.write_text(content)
        with pytest.raises(DataError, match=reason):
            Recipe.from_file(path)


def test_old_names_are_read_with_a_note_and_keep_the_fingerprint_of_a_run() -> None:
    old = values(rows_per_step=12, most_tokens=160, batch_size=..., max_tokens_per_microbatch=...)
    notes: list[str] = []
    recipe = Recipe.from_dict(old, notes.append)
    assert recipe == tiny_recipe() and len(notes) == 2
    assert "rows_per_step is called batch_size" in notes[0]
    with pytest.raises(DataError, match="batch_size is given twice"):
        Recipe.from_dict(values(rows_per_step=12))
    # As versions with the old names computed it, so that a run in an older folder is resumed.
    assert fingerprint(recipe, [], []) == OLD_FINGERPRINT
    assert fingerprint(tiny_recipe(batch_size=13), [], []) != OLD_FINGERPRINT
