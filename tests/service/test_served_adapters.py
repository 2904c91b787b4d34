"""Named adapters from their folders to the server's callers: each is a model of its own beside the base."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from serving import Served, serving
from test_server_process import running

import aris
import tiny_checkpoint
from aris.backends import GenerationOptions, NativeBackend
from aris.backends.remote.backend import RemoteBackend
from aris.checkpoints import load_adapter, load_model, open_checkpoint, save_adapter
from aris.cli.options.shared import named_adapters
from aris.errors import ArisError, CheckpointError, ModelError
from aris.model import attach_lora, merge_lora
from aris.prompting import ImageProcessor, Tokenizer
from imported_late import late

openai = late("openai")

PICTURE = np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8)
OPTIONS = GenerationOptions(max_tokens=12)


def write_adapter(folder: Path, seed: int, tower: bool = False) -> Path:
    model = tiny_checkpoint.network()
    start = "vision_tower." if tower else "language_model."
    attach_lora(model, lambda name: name.startswith(start) and name.endswith("_proj"), r=4, alpha=8)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.2)
    save_adapter(model, folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("adapters")
    return {name: write_adapter(base / name, seed) for seed, name in enumerate(("histology", "records"))}


@pytest.fixture(scope="module")
def several(endless_folder: Path, folders: dict[str, Path]) -> NativeBackend:
    return aris.load(endless_folder, device="cpu", dtype="float32", adapters=folders)


@pytest.fixture(scope="module")
def alone(endless_folder: Path, folders: dict[str, Path]) -> dict[str | None, NativeBackend]:
    """The base, and for each adapter a backend on the model that it was merged into."""
    made: dict[str | None, NativeBackend] = {None: aris.load(endless_folder, device="cpu", dtype="float32")}
    for name, folder in folders.items():
        model = load_model(open_checkpoint(str(endless_folder)), dtype=torch.float32)
        load_adapter(model, folder)
        merge_lora(model)
        processor = ImageProcessor(size=tiny_checkpoint.IMAGE_SIZE)
        made[name] = NativeBackend("merged", model, Tokenizer(tiny_checkpoint.tokenizer()), processor)
    return made


@pytest.fixture(scope="module")
def up(several: NativeBackend) -> Iterator[Served]:
    with serving(several) as served:
        yield served


def test_each_reply_is_that_of_the_merged_model(
    several: NativeBackend, alone: dict[str | None, NativeBackend]
) -> None:
    assert several.adapters == ("histology", "records")
    messages = [aris.user(PICTURE, "What do you see?")]
    texts = {}
    streams = {name: several.stream(messages, GenerationOptions(max_tokens=12, adapter=name)) for name in alone}
    for name, stream in streams.items():
        for _ in stream:
            pass
        texts[name] = stream.reply.text
        assert texts[name] == alone[name].generate(messages, OPTIONS).text
    assert len(set(texts.values())) == 3


def test_a_bound_backend_scores_and_answers_with_its_adapter(
    several: NativeBackend, alone: dict[str | None, NativeBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(several, "calibration", {"findings": {}})
    messages, choices = [aris.user(PICTURE, "Yes or No?")], ["Yes", "No", "lungs"]
    bound = several.with_adapter("records")
    assert (bound.name, bound.adapter, bound.calibration) == (f"{several.name}+records", "records", {})
    assert bound.with_adapter(None) is several and bound.with_adapter("histology").name == f"{several.name}+histology"
    for name, each in ((None, several), ("records", bound)):
        assert each.score(messages, choices) == pytest.approx(alone[name].score(messages, choices), abs=1e-3)
        questions = [(" Is it?", ["Yes", "No"]), (" Why?", ["pneumonia", "lungs"])]
        for found, wanted in zip(
            each.score_many(messages, questions), alone[name].score_many(messages, questions), strict=True
        ):
            assert found == pytest.approx(wanted, abs=1e-3)
        read = each.token_logprobs(messages, "The lungs are clear.")
        known = alone[name].token_logprobs(messages, "The lungs are clear.")
        assert [token.token for token in read] == [token.token for token in known]
        assert [token.logprob for token in read] == pytest.approx([token.logprob for token in known], abs=1e-3)
    with pytest.raises(ModelError, match="takes turns cannot be looked into"):
        bound.relevance(messages, "Yes", against="No")
    assert bound.generate(messages, OPTIONS).text == alone["records"].generate(messages, OPTIONS).text
    with pytest.raises(ModelError, match="adapter 'other': not loaded; this model has histology, records"):
        several.with_adapter("other")
    with pytest.raises(ModelError, match="not loaded"):
        several.generate(messages, GenerationOptions(adapter="other"))


def test_callers_choose_by_the_models_name(up: Served, alone: dict[str | None, NativeBackend]) -> None:
    client = up.openai()
    cards = {card.id: card for card in client.models.list().data}
    assert list(cards) == ["tiny", "histology", "records"]
    assert [card.model_dump().get("parent") for card in cards.values()] == [None, "tiny", "tiny"]
    assert client.models.retrieve("records").id == "records"
    asked: list[Any] = [{"role": "user", "content": "What do you see?"}]
    for model, name in (("tiny", None), ("histology", "histology"), ("records", "records")):
        wanted = alone[name].generate([aris.user("What do you see?")], OPTIONS).text
        made = client.chat.completions.create(model=model, messages=asked, max_tokens=12, temperature=0)
        assert (made.model, made.choices[0].message.content) == (model, wanted)
        pieces = list(
            client.chat.completions.create(model=model, messages=asked, max_tokens=12, temperature=0, stream=True)
        )
        assert {piece.model for piece in pieces} == {model}
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == wanted
        legacy = client.completions.create(
            model=model, prompt="Yes No", max_tokens=0, echo=True, logprobs=0, temperature=0
        )
        ids = alone[name].tokenizer.encode("Yes No", add_bos=True)
        assert legacy.model == model and legacy.choices[0].logprobs is not None
        assert legacy.choices[0].logprobs.token_logprobs[1:] == pytest.approx(
            alone[name].engine.logprobs(ids).tolist(), abs=1e-3
        )


def test_an_unknown_name_is_404_and_lists_what_there_is(up: Served) -> None:
    client = up.openai()
    with pytest.raises(openai.NotFoundError, match="'tiny', 'histology', 'records'") as caught:
        client.chat.completions.create(model="other", messages=[{"role": "user", "content": "x"}])
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="other", prompt="x")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")


def test_a_remote_backend_finds_the_base_and_may_name_an_adapter(
    up: Served, alone: dict[str | None, NativeBackend]
) -> None:
    messages = [aris.user("What do you see?")]
    assert RemoteBackend(up.url).name == "tiny"
    wanted = alone["records"].generate(messages, OPTIONS).text
    assert RemoteBackend(up.url, "records").generate(messages, OPTIONS).text == wanted
    assert RemoteBackend(up.url).generate(messages, GenerationOptions(max_tokens=12, adapter="records")).text == wanted


def test_adapters_that_cannot_be_served(endless_folder: Path, folders: dict[str, Path], tmp_path: Path) -> None:
    def load(**options: Any) -> NativeBackend:
        return aris.load(endless_folder, device="cpu", dtype="float32", **options)

    with pytest.raises(ModelError, match="vision tower or projector"):
        load(adapters={"tower": write_adapter(tmp_path / "tower", 1, tower=True)})
    with pytest.raises(CheckpointError, match="no such folder"):
        load(adapters={"gone": tmp_path / "gone"})
    with pytest.raises(ModelError, match="give either one"):
        load(adapter=folders["records"], adapters=folders)
    named_alike = load(adapters={"tiny": folders["records"]})
    with pytest.raises(ArisError, match="an adapter has the model's name"), serving(named_alike):
        pass


def test_the_command_line_names_them(endless_folder: Path, folders: dict[str, Path]) -> None:
    named = [part for name, folder in folders.items() for part in ("--adapter", f"{name}={folder}")]
    with running("--model", endless_folder, *named) as (_, url, said):
        assert "histology is tiny with an adapter" in said[1] and "records" in said[2]
        assert RemoteBackend(url, "records").generate([aris.user("x")], OPTIONS).usage.completion_tokens == 12


def test_what_the_command_line_takes(folders: dict[str, Path], tmp_path: Path) -> None:
    named = [f"{name}={folder}" for name, folder in folders.items()]
    assert named_adapters(named) == (None, {name: str(folder) for name, folder in folders.items()})
    odd = tmp_path / "a=b"
    odd.mkdir()
    assert named_adapters([str(odd)]) == (str(odd), {}) and named_adapters(None) == (None, {})
    for wrong in (["=x"], ["a="], [*named, str(folders["records"])], [named[0], named[0]]):
        with pytest.raises(typer.BadParameter):
            named_adapters(wrong)
