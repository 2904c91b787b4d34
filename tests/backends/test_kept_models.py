"""Models kept in the user's cache: the same answers as from the files, and never those of other files or settings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import aris
import tiny_checkpoint
from aris.backends import GenerationOptions, NativeBackend, kept_models, loading
from aris.checkpoints import cache, save_adapter
from aris.errors import CheckpointError
from aris.model import attach_lora
from aris.prompting import Image
from aris.prompting.mapped_tokenizer import MappedTokenizer

QUESTION = [aris.user(Image(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)), "Are the lungs clear? Yes or No")]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARIS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tiny_checkpoint.save(tmp_path / "tiny")
    (made / "calibration.json").write_text('{"pneumonia": {"scale": 2.0, "offset": 0.25}}')
    return made


def answers(backend: NativeBackend) -> tuple[Any, ...]:
    options = GenerationOptions(max_tokens=24, top_logprobs=2)
    reply = backend.generate(QUESTION, options)
    about = backend.name, backend.changes, backend.spec, dict(backend.calibration), backend.reads_images
    return reply.text, reply.logprobs, backend.score(QUESTION, ("Yes", "No")), about


def refuse_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "open_checkpoint", lambda *_, **__: pytest.fail("the files were read again"))


def test_a_kept_model_answers_as_that_of_the_files(
    folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = answers(aris.load(folder, device="cpu", dtype="bfloat16", quantize="int8"))
    assert len(cache.entries()) == 2
    refuse_files(monkeypatch)
    kept = aris.load(folder, device="cpu", dtype="bfloat16", quantize="int8")
    assert answers(kept) == before and isinstance(kept.tokenizer._inner, MappedTokenizer)


def test_dense_weights_of_a_folder_are_mapped_as_they_are_and_only_the_tokenizer_is_kept(
    folder: Path, place: Path
) -> None:
    before = answers(aris.load(folder, device="cpu", dtype="float32"))
    assert [each.what for each in cache.entries()] == ["tiny, tokenizer"]
    assert answers(aris.load(folder, device="cpu", dtype="float32")) == before


@pytest.mark.parametrize(("name", "value"), [("dtype", "torch.float32"), ("quantize", "int4"), ("compiled", True)])
def test_other_settings_are_other_entries(folder: Path, place: Path, name: str, value: Any) -> None:
    settings = {"dtype": "torch.bfloat16", "quantize": "int8", "blocks": False, "compiled": False}
    one = kept_models.keys(str(folder), revision=None, settings=settings, weights=True)
    two = kept_models.keys(str(folder), revision=None, settings=settings | {name: value}, weights=True)
    assert one.model is not None and one.model != two.model and one.tokenizer == two.tokenizer


def test_changed_weights_are_read_anew(folder: Path, place: Path, tmp_path: Path) -> None:
    def load() -> NativeBackend:
        return aris.load(folder, device="cpu", dtype="bfloat16", quantize="int8")

    before = answers(load())
    other = tiny_checkpoint.save(tmp_path / "other", seed=4)
    shutil.copy(other / "model.safetensors", folder / "model.safetensors")
    after = answers(load())
    assert after[2] != before[2]
    assert after[2] == answers(aris.load(other, device="cpu", dtype="bfloat16", quantize="int8"))[2]


def test_a_changed_tokenizer_and_calibration_are_read_anew(folder: Path, place: Path) -> None:
    def load() -> NativeBackend:
        return aris.load(folder, device="cpu", dtype="bfloat16", quantize="int8")

    load()
    whole = json.loads((folder / "tokenizer.json").read_text())
    whole["model"]["merges"] = []
    (folder / "tokenizer.json").write_text(json.dumps(whole))
    assert load().tokenizer.encode("Yes") == [load().tokenizer.token_to_id(letter) for letter in "Yes"]


def test_code_that_makes_other_weights_of_the_files_makes_another_entry(
    folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"dtype": "torch.bfloat16", "quantize": "int8", "blocks": False, "compiled": False}
    before = kept_models.keys(str(folder), revision=None, settings=settings, weights=True)
    monkeypatch.setattr(kept_models, "_code", lambda: "other")
    after = kept_models.keys(str(folder), revision=None, settings=settings, weights=True)
    assert None not in (before.model, before.tokenizer) and before.model != after.model


@pytest.mark.parametrize("harm", ["flipped", "cut", "another format", "unwritable"])
def test_a_damaged_entry_costs_time_and_nothing_else(
    folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    def load() -> NativeBackend:
        return aris.load(folder, device="cpu", dtype="bfloat16", quantize="int8")

    before = answers(load())
    for path in place.glob("*.aris"):
        raw = bytearray(path.read_bytes())
        if harm == "flipped":
            raw[len(raw) // 2] ^= 1
            path.write_bytes(raw)
        elif harm == "cut":
            path.write_bytes(raw[: len(raw) // 2])
        elif harm == "another format":
            entry = cache.read(path.stem)
            assert entry is not None
            changed = {"model": entry.meta.get("model", {}) | {"format": -1}}
            cache.write(path.stem, entry.meta | changed, entry.arrays)
        else:
            path.unlink()
            path.mkdir()  # nobody can write an entry there
    assert answers(load()) == before and answers(load()) == before


def test_a_model_with_an_adapter_is_not_kept(folder: Path, place: Path, tmp_path: Path) -> None:
    model = tiny_checkpoint.network()
    attach_lora(model, lambda name: name.endswith("q_proj") and "language_model" in name, r=2, alpha=4)
    save_adapter(model, tmp_path / "adapter")
    aris.load(folder, device="cpu", dtype="float32", adapters={"one": tmp_path / "adapter"})
    assert [each.what for each in cache.entries()] == ["tiny, tokenizer"]


def test_what_is_missing_is_said_as_without_a_cache(place: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        aris.load(tmp_path / "none.gguf")
    with pytest.raises(CheckpointError, match="no such model"):
        aris.load(tmp_path / "none")


@pytest.mark.slow
def test_nano_from_the_cache_is_nano(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = aris.image(Path(__file__).parents[2] / "samples" / "child-pneumonia.jpg")
    messages = [aris.user(film, "Is there pneumonia?")]

    def scores() -> tuple[list[float], str]:
        backend = aris.load("aris-nano", device="cpu")
        return backend.score(messages, ("Yes", "No")), backend.generate(messages, GenerationOptions(max_tokens=8)).text

    before = scores()
    refuse_files(monkeypatch)
    assert scores() == before


def test_tensors_of_every_kind_survive(place: Path) -> None:
    kinds = (torch.float32, torch.bfloat16, torch.float16, torch.int8, torch.uint8, torch.int64)
    given = {str(kind): torch.arange(12).view(3, 4).to(kind) for kind in kinds} | {"none": torch.zeros(0, 5)}
    cache.write("a", {}, {name: kept_models._array(value) for name, value in given.items()})
    entry = cache.read("a")
    assert entry is not None
    give = kept_models._tensors(entry)
    for name, value in given.items():
        assert give(name).dtype == value.dtype and torch.equal(give(name), value)
