"""`aris.load`: from a folder to a backend; what cannot be used is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

import aris
import tiny_checkpoint
from aris.backends import NativeBackend, load, loading
from aris.checkpoints import open_checkpoint, save_adapter
from aris.errors import ArisError, CheckpointError, ImageError, ModelError
from aris.model import attach_lora


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint.save(tmp_path_factory.mktemp("models") / "tiny")


def test_a_folder_becomes_a_backend_that_answers(folder: Path) -> None:
    model = aris.load(folder, dtype="float32", device="cpu")
    assert model.name == str(folder) and model.reads_images and model.spec is None and model.load_s > 0
    reference = tiny_checkpoint.network()
    pixels = torch.rand(1, 3, tiny_checkpoint.IMAGE_SIZE, tiny_checkpoint.IMAGE_SIZE)
    with torch.no_grad():
        assert torch.equal(model.model.encode_images(pixels), reference.encode_images(pixels))
    options = aris.GenerationOptions(max_tokens=5)
    assert model.generate([aris.user("Hello")], options).usage.completion_tokens <= 5


@pytest.mark.parametrize(("name", "dtype"), [("bf16", torch.bfloat16), ("float32", torch.float32)])
def test_dtypes(folder: Path, name: str, dtype: torch.dtype) -> None:
    model = aris.load(folder, dtype=name)
    assert model.model.dtype == dtype
    image = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    scores = model.score([aris.user(aris.Image(image), "Is it?")], ["Yes", "No"])
    assert all(np.isfinite(scores))


def test_auto_dtype_follows_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for able in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda able=able: able, raising=False)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
        assert loading.resolve_dtype("auto", cpu) == (torch.bfloat16 if able else torch.float32)
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert loading.resolve_dtype("auto", cpu) == torch.float32


@pytest.mark.parametrize("dtype", ["float16", torch.float16, "fp16", "int8", torch.float64])
def test_other_dtypes_are_refused(folder: Path, dtype: Any) -> None:
    with pytest.raises(ModelError, match=r"use .*bfloat16 or float32"):
        aris.load(folder, dtype=dtype)


@pytest.mark.parametrize("device", ["cuda:99", "tpu", "nonsense", "meta"])
def test_devices_that_are_not_there(folder: Path, device: str) -> None:
    with pytest.raises(ModelError, match="device"):
        aris.load(folder, device=device)


def test_missing_and_foreign_models(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("no-such-model", tmp_path / "none", tmp_path / "empty", tmp_path / "none.gguf"):
        with pytest.raises(CheckpointError) as caught:
            aris.load(name)
        assert "\n" not in str(caught.value)


def test_an_adapter_is_applied_and_ends_the_calibration(folder: Path, tmp_path: Path) -> None:
    network = tiny_checkpoint.network()
    attach_lora(network, lambda name: name.endswith("q_proj") and "language_model" in name, r=2, alpha=4)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.5)
    save_adapter(network, tmp_path / "adapter")
    calibrated = tmp_path / "calibrated"
    calibrated.mkdir()
    for file in folder.iterdir():
        (calibrated / file.name).symlink_to(file)
    contents = {"gate": {"slope": 1.0, "intercept": 0.0, "threshold": 0.5}}
    (calibrated / "calibration.json").write_text(json.dumps(contents))
    plain = aris.load(calibrated, dtype="float32")
    adapted = aris.load(calibrated, dtype="float32", adapter=tmp_path / "adapter")
    assert adapted.changes.startswith("adapter ") and len(adapted.changes) == 20
    assert plain.calibration == contents and adapted.calibration == {}
    question = [aris.user("Is it?")]
    assert plain.score(question, ["Yes"]) != adapted.score(question, ["Yes"])
    with torch.no_grad():
        ids = torch.tensor([adapted.prompts(question).token_ids])
        assert torch.allclose(adapted.model(ids), network(ids), atol=1e-4)


def test_wrong_adapters_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="adapter"):
        aris.load(folder, adapter=tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError):
        aris.load(folder, adapter=tmp_path / "empty")
    other = tiny_checkpoint.network(vision=False)
    attach_lora(other, lambda name: name.endswith("mlp.up_proj"), r=2, alpha=4)
    save_adapter(other, tmp_path / "other")
    smaller = tiny_checkpoint.save(tmp_path / "smaller", layers=2)
    with pytest.raises(CheckpointError, match="matches no linear layer"):
        aris.load(smaller, adapter=tmp_path / "other")


def test_a_model_without_a_tower_loads_and_reads_text(tmp_path: Path) -> None:
    model = aris.load(tiny_checkpoint.save(tmp_path / "blind", vision=False))
    assert not model.reads_images
    assert len(model.score([aris.user("Q")], ["Yes", "No"])) == 2


def test_a_processor_for_another_size_is_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "preprocessor_config.json").unlink()
    (tmp_path / "preprocessor_config.json").write_text('{"size": {"height": 64, "width": 64}}')
    with pytest.raises(ArisError, match="64 pixels"):
        aris.load(tmp_path)


def test_without_a_processor_file_the_towers_own_size_holds(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if file.name != "preprocessor_config.json":
            (tmp_path / file.name).symlink_to(file)
    made = aris.load(tmp_path)
    assert made.prompts.image_processor is not None
    assert made.prompts.image_processor.size == tiny_checkpoint.IMAGE_SIZE


def test_the_public_face_reads_images_and_writes_messages(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    PIL.Image.fromarray(pixels).save(path)
    assert np.array_equal(aris.image(path).pixels, pixels)
    assert [m.role for m in (aris.system("a"), aris.user("b"), aris.assistant("c"))] == ["system", "user", "assistant"]
    with pytest.raises(ImageError):
        aris.image(tmp_path / "none.png")
    with pytest.raises(AttributeError):
        aris.nonsense  # noqa: B018
    assert all(getattr(aris, name) is not None for name in aris.__all__)


def test_quantised_loading_says_what_it_cannot_do() -> None:
    with pytest.raises(ModelError, match="int3"):
        aris.load("aris-nano", quantize="int3", dtype="bfloat16", device="cpu")
    with pytest.raises(ModelError, match="bfloat16"):
        aris.load("aris-nano", quantize="int8", dtype="float32", device="cpu")


def test_nano_in_int8_is_smaller_uncalibrated_and_nearly_the_same() -> None:
    dense, small = (aris.load("aris-nano", quantize=kind, dtype="bfloat16", device="cpu") for kind in (None, "int8"))

    def size(backend: NativeBackend) -> int:
        decoder = backend.model.language_model
        return sum(tensor.nbytes for tensor in (*decoder.parameters(), *decoder.buffers()))

    assert size(small) < 0.52 * size(dense)
    assert dense.calibration and not small.calibration
    question = [aris.user("Is pneumonia an infection of the lung? Answer yes or no.")]
    far = [abs(a - b) for a, b in zip(*(b.score(question, ["Yes", "No"]) for b in (dense, small)), strict=True)]
    assert max(far) < 0.3


def test_a_vision_tower_for_a_model_that_takes_none_is_refused(tmp_path: Path) -> None:
    for name in ("aris-nano", str(tmp_path)):  # before it is looked at, so also where the cache holds the model
        with pytest.raises(CheckpointError, match="mmproj files go with"):
            load(name, mmproj=tmp_path / "mmproj.gguf")
        with pytest.raises(CheckpointError, match="mmproj files go with"):
            open_checkpoint(name, mmproj=tmp_path / "mmproj.gguf")
