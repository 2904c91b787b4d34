"""Metrics: what they say of known answers, and that a run measures, keeps and stops by them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_images import dark_and_bright
from tiny_training import IMAGE, SOFT, tiny_model, tiny_recipe

import tiny_checkpoint
from aris.checkpoints import load_model, open_checkpoint
from aris.errors import DataError
from aris.prompting import PromptProcessor, Tokenizer
from aris.tuning import metrics
from aris.tuning.checkpointing import Curve
from aris.tuning.data.examples import Example, TokenizedExample, tokenize
from aris.tuning.data.options import choices, parse
from aris.tuning.evaluation.answering import generate
from aris.tuning.layers.fused import fuse
from aris.tuning.loop import Loop
from aris.tuning.recipe import Recipe
from aris.tuning.run import tune
from aris.tuning.trainable import prepare

SETTINGS = {
    "seed": 1, "steps": 8, "batch_size": 6, "max_tokens_per_microbatch": 400, "max_tokens": 200, "learning_rate": 2e-2,
    "tower_learning_rate": 0, "warmup_steps": 2, "weight_decay": 0.01, "clip_norm": 1.0, "lora_r": 4, "lora_alpha": 8,
    "augment_strength": 0, "evaluate_every": 4, "save_every": 4, "mixture": {}, "precision": "fp32",
    "projector": False, "answer_tokens": 12,
}  # fmt: skip
TISSUES = "Which tissue?\nA: adipose\nB: debris\nC: mucus"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint.save(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions of yes and no, of lettered options, and of free text, some with an image."""
    folder = tmp_path_factory.mktemp("data")
    lines = []
    for number, bright in dark_and_bright(folder, 24):
        asked: dict[str, tuple[Any, str]] = {
            "bright": ([{"type": "image", "path": f"{number}.png"}, {"type": "text", "text": "Bright?"}],
                       "Yes" if bright else "No"),
            "tissue": (TISSUES, ("A: adipose", "B: debris", "C: mucus")[number % 3]),
            "words": ("Say it.", "lungs" if number % 3 else "No"),
        }  # fmt: skip
        for task, (content, answer) in asked.items():
            messages = [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
            lines.append(json.dumps({"messages": messages, "group": f"p{number // 2}", "task": task}))
    (folder / "rows.jsonl").write_text("\n".join(lines))
    return folder / "rows.jsonl"


def test_known_answers_have_the_values_of_their_definitions() -> None:
    assert metrics.exact_match("The lungs, are clear.", "lungs are CLEAR") == 1
    assert metrics.exact_match("clear lungs", "lungs clear") == 0
    # 3 words in common of 4 and 5: precision 3/4, recall 3/5.
    assert metrics.token_f1("no acute lung disease", "no acute disease was seen") == pytest.approx(2 * 3 / 9)
    assert metrics.token_f1("", "the") == 1 and metrics.token_f1("", "mass") == 0
    assert metrics.auc([0.1, 0.4, 0.35, 0.8], [False, False, True, True]) == pytest.approx(0.75)
    assert metrics.is_better("auc", 0.9, 0.8) and metrics.is_better("perplexity", 2.0, 3.0)
    assert not metrics.is_better("loss", 0.9, 0.8) and not metrics.is_better("accuracy", 0.5, 0.5)
    assert metrics.is_better("auc", 0.1, math.nan) and not metrics.is_better("auc", math.nan, 0.1)


def token_row(question: str, answer: str) -> TokenizedExample:
    processor = PromptProcessor(Tokenizer(tiny_checkpoint.tokenizer()), None, 4)
    made = tokenize(Example("t", question, answer), processor, 500)
    assert made is not None
    return made


def test_options_come_from_the_question_or_from_the_answers_of_the_task() -> None:
    tokenizer = Tokenizer(tiny_checkpoint.tokenizer())
    rows = [token_row(TISSUES, answer) for answer in ("B: debris", "(C)", "Adipose")]
    listed = choices(rows, [], tokenizer)
    assert [choice.right for choice in listed] == [1, 2, 0]
    assert listed[0].spelled == ("A: adipose", "B: debris", "C: mucus")
    assert listed[1].spelled == ("(A)", "(B)", "(C)")
    assert listed[2].spelled == ("adipose", "debris", "mucus")
    free = choices([token_row("Pneumonia?", "No")], [token_row("Pneumonia?", "Yes")], tokenizer)
    assert free[0].options == ("No", "Yes") and free[0].right == 0
    with pytest.raises(DataError, match="none of its question's options"):
        choices([token_row(TISSUES, "bone")], [], tokenizer)
    with pytest.raises(DataError, match="has 1 different answers"):
        choices([token_row("Say it.", "lungs")], [], tokenizer)


@pytest.mark.parametrize(
    ("answer", "index"),
    [
        ("A: adipose", 0),
        ("(B) debris", 1),
        ("**C**", 2),
        ("It shows mucus.", 2),
        ("A: adipose or B: debris", None),
        ("bone", None),
    ],
)
def test_one_parser_reads_long_and_short_answers(answer: str, index: int | None) -> None:
    assert parse(answer, ("adipose", "debris", "mucus")) == index


def test_an_answer_is_written_as_one_prompt_at_a_time_would(base: Path) -> None:
    """Batched with its cache, prompts of unequal lengths with and without images, against whole passes."""
    model = load_model(open_checkpoint(str(base)), dtype=torch.float32)
    image = model.config.image_token_index
    begin, end = model.config.boi_token_index, model.config.eoi_token_index
    rows = [
        TokenizedExample("t", [2, 110, 120], 2, None),
        TokenizedExample("t", [2, 110, begin, *[image] * 4, end, 130, 140], 9, 0),
        TokenizedExample("t", [2, *range(110, 160)], 40, None),
    ]
    bank = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    written = generate(model, rows, lambda chosen: bank[chosen], 12, {-1})
    for row, ids in zip(rows, written, strict=True):
        soft = model.encode_images(bank) if row.all_images() else None
        tokens = list(row.token_ids)
        with torch.no_grad():
            for _ in range(12):
                tokens.append(int(model(torch.tensor([tokens]), soft)[0, -1].argmax()))
        assert ids == tokens[len(row.token_ids) :]
    stop = written[1][3]
    first = written[1].index(stop)
    assert generate(model, rows, lambda chosen: bank[chosen], 12, {stop})[1] == written[1][:first]


METRICS = {
    "bright": ["auc", "accuracy"],
    "tissue": ["option_accuracy", "accuracy"],
    "words": ["exact_match", "token_f1", "perplexity"],
}


def run(base: Path, data: Path, out: Path, **changes: Any) -> list[dict[str, Any]]:
    tune(Recipe.from_dict(SETTINGS | changes), str(base), data, out, log=lambda _: None)
    return [line for line in Curve.read(out / "curve.jsonl") if "validation" in line]


def test_a_run_measures_each_task_by_its_own_metrics_and_keeps_the_best(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {}
    real = Loop.evaluate

    def evaluate(self: Loop) -> dict[str, dict[str, float]]:
        kept[self.step] = {name: value.detach().clone() for name, value in self.trained.items()}
        return real(self)

    monkeypatch.setattr(Loop, "evaluate", evaluate)
    # So long that the last weights are not those with the highest accuracy by luck of the first evaluation.
    said: list[str] = []
    recipe = Recipe.from_dict(SETTINGS | {"steps": 24, "metrics": METRICS, "best": "accuracy of bright"})
    result = tune(recipe, str(base), data, tmp_path, log=said.append)
    lines = [line for line in Curve.read(tmp_path / "curve.jsonl") if "validation" in line]
    for line in lines:
        values = line["validation"]
        assert set(values["bright"]) == {"loss", "exact", "rows", "auc", "accuracy"}
        assert set(values["tissue"]) == {"loss", "exact", "rows", "option_accuracy", "accuracy"}
        assert set(values["words"]) == {"loss", "exact", "rows", "exact_match", "token_f1", "perplexity"}
        assert line["best_by"] == {"accuracy of bright": values["bright"]["accuracy"]}
        assert 0 <= values["words"]["token_f1"] <= 1 <= values["words"]["perplexity"]
    by_step = {line["step"]: line["validation"]["bright"]["accuracy"] for line in lines}
    assert by_step[0] < 1 and max(by_step.values()) == 1  # the base writes gibberish, the tuned model yes and no
    assert result.best_value == 1 and result.first_value == by_step[0] and result.measure == "accuracy of bright"
    assert result.best_step == min(step for step, value in by_step.items() if value == 1)
    assert lines[-1]["validation"]["bright"]["auc"] == 1
    # A model that writes what it should has the same accuracy by its scores.
    assert lines[-1]["validation"]["tissue"]["option_accuracy"] >= lines[-1]["validation"]["tissue"]["accuracy"]


def test_a_run_stops_and_goes_on_by_its_metric(base: Path, data: Path, tmp_path: Path) -> None:
    changes = {"metrics": {"bright": "auc"}, "best": "auc", "patience": 2, "steps": 60, "save_every": 2,
               "metric_rows": 4}  # fmt: skip
    whole = run(base, data, tmp_path / "whole", **changes)
    assert whole[-1]["step"] < 60
    best = max(line["validation"]["bright"]["auc"] for line in whole)
    first = next(line["step"] for line in whole if line["validation"]["bright"]["auc"] == best)
    assert whole[-1]["step"] == first + 2 * 4
    # Broken off in the middle, the run has the same curve.
    recipe = Recipe.from_dict(SETTINGS | changes)
    calls = 0

    def stop(line: str) -> None:
        nonlocal calls
        calls += '"validation"' in line
        if calls == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(recipe, str(base), data, tmp_path / "broken", log=stop)
    assert run(base, data, tmp_path / "broken", **changes) == whole


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"metrics": {"bright": "acuracy"}}, "'acuracy' is not known; use perplexity"),
        ({"metrics": ["auc"]}, "must be a table of metrics"),
        ({"best": "auc"}, "best is 'auc', which is not measured"),
        ({"metrics": {"bright": "auc"}, "best": "auc of words"}, "which is not measured"),
        ({"metrics": {"nosuch": "auc"}}, "metrics name 'nosuch', which is no task"),
        ({"metrics": {"words": "auc"}}, "needs answers that are yes or no"),
        ({"mixture": {"words": 1}, "metrics": {"bright": "auc"}}, "metrics name 'bright', which is no task"),
        ({"objective": "preference", "metrics": {"words": "token_f1"}}, "metrics are for answers"),
        ({"offload_activations": True}, "set checkpointing: true too"),
    ],
)
def test_metrics_that_cannot_be_are_named_before_the_first_step(
    changes: dict[str, Any], reason: str, base: Path, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=reason):
        run(base, data, tmp_path / "run", **changes)
    assert not (tmp_path / "run" / "state.pt").exists()


def test_a_model_fused_for_a_gpu_writes_what_a_plain_one_does() -> None:
    """The modules that training on a GPU computes by, one token at a time (in Triton's interpreter without one)."""
    pytest.importorskip("triton")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = [TokenizedExample("t", [2, 11, 12], 2, None), TokenizedExample("t", [2, *[IMAGE] * SOFT, 20, 30], 6, 0)]
    bank = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)).to(device)
    made = []
    for fused in (False, True):
        model = tiny_model(torch.bfloat16)
        prepare(model, tiny_recipe(projector=False, tower_learning_rate=0))
        model.to(device)
        if fused:
            fuse(model)
        with torch.autocast(device.type, torch.bfloat16):
            made.append(generate(model, rows, lambda chosen: bank[chosen], 2, {-1}))
    assert made[0] == made[1] and all(len(ids) == 2 for ids in made[0])


def test_weights_that_are_trained_whole_write_under_autocast() -> None:
    """They are float32 there, and so is the cache, whatever dtype the products have."""
    model = tiny_model(torch.bfloat16)
    prepare(model, tiny_recipe(method="full", projector=False, tower_learning_rate=0))
    rows = [TokenizedExample("t", [2, 11, 12], 2, None), TokenizedExample("t", [2, *range(20, 60)], 40, None)]
    with torch.autocast("cpu", torch.bfloat16):
        both, alone = (generate(model, some, lambda chosen: None, 6, {-1}) for some in (rows, rows[:1]))
    assert len(both[1]) == 6 and both[0] == alone[0]
