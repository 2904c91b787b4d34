"""PEFT adapters: what peft writes loads with equal logits, what we write loads in peft, and wrong ones are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_hf_folders import save

from aris.checkpoints import load_adapter, load_model, open_checkpoint, save_adapter
from aris.errors import CheckpointError
from imported_late import late

peft = late("peft")

IDS = torch.arange(3, 60)[None]


def tuned(kind: str, folder: Path, **options: Any) -> Any:
    theirs = save(kind, folder / "base")
    config = peft.LoraConfig(r=4, lora_alpha=10, target_modules=["q_proj", "down_proj"], **options)
    model = peft.get_peft_model(theirs, config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.2)
    model.eval().save_pretrained(folder / "adapter")
    return model


@pytest.mark.parametrize("kind", ["text", "multimodal"])
@pytest.mark.parametrize(
    "options",
    [{}, {"use_rslora": True}, {"rank_pattern": {"down_proj": 2}, "alpha_pattern": {"down_proj": 3}}],
    ids=["plain", "rslora", "patterns"],
)
def test_an_adapter_of_peft_gives_the_same_logits(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    theirs = tuned(kind, tmp_path, **options)
    ours = load_model(open_checkpoint(str(tmp_path / "base")), dtype=torch.float32)
    report = load_adapter(ours, tmp_path / "adapter")
    # six layers' q_proj and down_proj, and the tower's q_proj too
    assert report.applied == report.total == (13 if kind == "multimodal" else 12)
    with torch.no_grad():
        assert (theirs(input_ids=IDS).logits - ours(IDS)).abs().max() < 1e-4


def test_what_we_write_loads_in_peft(tmp_path: Path) -> None:
    tuned("multimodal", tmp_path)
    ours = load_model(open_checkpoint(str(tmp_path / "base")), dtype=torch.float32)
    load_adapter(ours, tmp_path / "adapter")
    assert save_adapter(ours, tmp_path / "again") == 13
    base = save("multimodal", tmp_path / "base2")
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "again").eval()
    with torch.no_grad():
        assert (theirs(input_ids=IDS).logits - ours(IDS)).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        # Multimodal wrappers of before transformers 4.52.
        ("base_model.model.model.language_model.", "base_model.model.language_model.model."),
        ("base_model.model.model.vision_tower.", "base_model.model.vision_tower.vision_model."),
        # A text-only adapter, put on the multimodal model.
        ("base_model.model.model.language_model.", "base_model.model.model."),
    ],
)
def test_adapters_of_every_wrapper_are_understood(theirs: str, ours: str, tmp_path: Path) -> None:
    reference = tuned("multimodal", tmp_path)
    weights = tmp_path / "adapter" / "adapter_model.safetensors"
    saved = {key: value.clone() for key, value in load_file(weights).items()}
    assert any(key.startswith(theirs) for key in saved)
    save_file({key.replace(theirs, ours, 1): value for key, value in saved.items()}, weights)
    model = load_model(open_checkpoint(str(tmp_path / "base")), dtype=torch.float32)
    report = load_adapter(model, tmp_path / "adapter")
    assert report.applied == report.total == 13
    with torch.no_grad():
        assert (reference(input_ids=IDS).logits - model(IDS)).abs().max() < 1e-4


def test_an_adapter_on_the_tower_changes_its_features_as_in_peft(tmp_path: Path) -> None:
    reference = tuned("multimodal", tmp_path, exclude_modules=r".*language_model.*")
    model = load_model(open_checkpoint(str(tmp_path / "base")), dtype=torch.float32)
    pixels = torch.rand(1, 3, 28, 28)
    with torch.no_grad():
        before = model.encode_images(pixels)
        assert load_adapter(model, tmp_path / "adapter").total == 1
        after = model.encode_images(pixels)
        assert torch.allclose(reference.get_image_features(pixels).pooler_output, after, atol=1e-4)
    assert not torch.allclose(before, after, atol=1e-3)


def test_wrong_adapters_are_refused_and_change_nothing(tmp_path: Path) -> None:
    tuned("text", tmp_path)
    folder = tmp_path / "adapter"
    weights, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    good = {k: v.clone() for k, v in load_file(weights).items()}
    first = next(iter(good))

    def refused(match: str) -> None:
        model = load_model(open_checkpoint(str(tmp_path / "base")), dtype=torch.float32)
        before = {name for name, _ in model.named_parameters()}
        with pytest.raises(CheckpointError, match=match):
            load_adapter(model, folder)
        assert {name for name, _ in model.named_parameters()} == before

    save_file({k.replace("layers.5", "layers.9"): v for k, v in good.items()}, weights)
    refused("matches no linear layer")
    save_file({k: v for k, v in good.items() if k != first}, weights)
    refused("lacks lora_")
    save_file(good | {first: torch.zeros(4, 7)}, weights)
    refused("shapes")
    save_file(good | {"base_model.model.model.embed_tokens.weight": torch.zeros(2, 2)}, weights)
    refused("was extended")
    weights.write_bytes(weights.read_bytes()[:50])
    refused("damaged")
    save_file(good, weights)
    settings = json.loads(config.read_text())
    config.write_text(json.dumps(settings | {"use_dora": True}))
    refused("use_dora")
    config.write_text(json.dumps(settings | {"init_lora_weights": "pissa_niter_4"}))
    refused("'pissa_niter_4', which changes the base weights")
    for odd in ({"r": "x"}, {"r": 0}, {"rank_pattern": {"(": 3}}, {"rank_pattern": [1]}, {"lora_alpha": [2]}):
        config.write_text(json.dumps(settings | odd))
        refused("rank")
    both = {k.replace("model.model.layers", "model.language_model.model.layers"): v.clone() for k, v in good.items()}
    config.write_text(json.dumps(settings))
    save_file(good | both, weights)
    refused("two adapters")
    save_file(good, weights)
    config.write_text(json.dumps(settings | {"peft_type": "IA3"}))
    refused("not a LoRA adapter")
    config.unlink()
    refused("missing")
