"""DPO: its loss by hand, a margin that moves on held-out pairs, and recipes whose reference would move along."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from test_run import SETTINGS

import tiny_checkpoint
from aris.errors import DataError
from aris.tuning.checkpointing import Curve
from aris.tuning.data.examples import TokenizedExample
from aris.tuning.layers.adapters import TunedLinear, adapters_off
from aris.tuning.preference import PreferenceObjective, pair_example
from aris.tuning.recipe import Recipe
from aris.tuning.run import tune
from aris.tuning.steps.forward import ForwardPass
from aris.tuning.trainable import prepare

PREFER = SETTINGS | {"objective": "preference", "beta": 0.3}


def log_probability(model: Any, row: TokenizedExample) -> torch.Tensor:
    ids = torch.tensor([row.token_ids])
    start = row.spans()[-1][0]
    chances = F.log_softmax(model(ids)[0, start - 1 : -1].float(), -1)
    return chances.gather(1, ids[0, start:, None]).sum()


def test_the_loss_is_the_papers() -> None:
    model = tiny_checkpoint.network(vision=False)
    recipe = Recipe.from_dict(PREFER | {"mixture": {"t": 1}})
    prepare(model, recipe)
    # Two turns: the first answer is part of the prompt here, and has no loss.
    two = [
        TokenizedExample("t", [2, 110, 111, 112, 113, *end], 2, None, ((2, 3), (5, 5 + len(end))))
        for end in ([7, 8], [9])
    ]
    row = pair_example(*two)
    objective, forward = PreferenceObjective(recipe.beta), ForwardPass(model, None)
    assert objective.losses(forward, [row], None).item() == pytest.approx(math.log(2))  # untrained: no preference
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, TunedLinear):
                layer.lora_B.weight.normal_(std=0.1)
    policy = [log_probability(model, each) for each in two]
    with adapters_off(model):
        reference = [log_probability(model, each) for each in two]
    expected = -F.logsigmoid(0.3 * ((policy[0] - reference[0]) - (policy[1] - reference[1])))
    assert abs(expected.item() - math.log(2)) > 0.01
    torch.testing.assert_close(objective.losses(forward, [row], None)[0], expected, rtol=1e-4, atol=1e-4)


def test_the_margin_moves_on_pairs_that_were_held_out(tmp_path: Path) -> None:
    base = tiny_checkpoint.save(tmp_path / "base", vision=False)
    pairs = [
        {"prompt": f"film {n}: {word}?", "chosen": f"No {word}.", "rejected": f"Yes {word}.", "group": n}
        for n in range(20)
        for word in ("edema", "mass")
    ]
    data = tmp_path / "pairs.jsonl"
    data.write_text("\n".join(json.dumps(pair) for pair in pairs))
    recipe = Recipe.from_dict(PREFER | {"steps": 20, "validation_share": 0.3})
    tune(recipe, str(base), data, tmp_path / "run", log=lambda _: None)
    curve = Curve.read(tmp_path / "run" / "curve.jsonl")
    measured = [entry["validation"]["chat"] for entry in curve if "validation" in entry]
    assert measured[0]["margin"] == 0
    assert measured[-1]["margin"] > 1 and measured[-1]["exact"] > 0.9
    answers = Recipe.from_dict(SETTINGS)
    with pytest.raises(DataError, match="rows are wrong"):  # pairs are not for the other objective
        tune(answers, str(base), data, tmp_path / "other", log=lambda _: None)


@pytest.mark.parametrize("change", [{"method": "full"}, {"projector": True}, {"tower_learning_rate": 1e-4}])
def test_a_reference_that_would_move_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="reference"):
        Recipe.from_dict(PREFER | change)
