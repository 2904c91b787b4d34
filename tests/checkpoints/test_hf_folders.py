"""Hugging Face folders: round trips with transformers, old and new names, shards, damage, and peak memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from aris.checkpoints import load_model, open_checkpoint
from aris.errors import CheckpointError, ModelError
from imported_late import late

transformers = late("transformers")

TEXT = {
    "vocab_size": 128, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 6, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 8,
}  # fmt: skip
VISION = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28,
    "patch_size": 7,
}  # fmt: skip


def save(kind: str, folder: Path, **options: Any) -> Any:
    torch.manual_seed(0)
    if kind == "text":
        model = transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig(**TEXT))
    else:
        config = transformers.Gemma3Config(text_config=TEXT, vision_config=VISION, mm_tokens_per_image=4)
        model = transformers.Gemma3ForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.eval().save_pretrained(folder, **options)
    return model


@pytest.mark.parametrize("kind", ["text", "multimodal"])
@pytest.mark.parametrize("shards", [False, True])
def test_what_transformers_saves_loads_with_equal_logits(kind: str, shards: bool, tmp_path: Path) -> None:
    theirs = save(kind, tmp_path, **({"max_shard_size": "40KB"} if shards else {}))
    assert (tmp_path / "model.safetensors.index.json").exists() == shards
    ours = load_model(open_checkpoint(str(tmp_path)), dtype=torch.float32)
    ids = torch.randint(3, 120, (1, 40))
    with torch.no_grad():
        assert (theirs(input_ids=ids).logits - ours(ids)).abs().max() < 1e-4
        if kind == "multimodal":
            pixels = torch.rand(1, 3, 28, 28)
            reference = theirs.get_image_features(pixels).pooler_output
            assert torch.allclose(reference, ours.encode_images(pixels), atol=1e-4)


@pytest.mark.parametrize(
    ("language", "tower"),
    [
        ("model.language_model.", "model.vision_tower.vision_model."),
        ("language_model.model.", "vision_tower.vision_model."),
        ("model.language_model.", "model.vision_tower."),
    ],
)
def test_names_of_every_age_are_understood(language: str, tower: str, tmp_path: Path) -> None:
    save("multimodal", tmp_path)
    before = load_model(open_checkpoint(str(tmp_path)), dtype=torch.float32).state_dict()
    saved = load_file(tmp_path / "model.safetensors")
    renamed = {}
    for name, tensor in saved.items():
        for old, new in (("language_model.model.", language), ("vision_tower.", tower)):
            if name.startswith(old):
                name = new + name.removeprefix(old)
                break
        renamed[name] = tensor.clone()
    renamed["lm_head.weight"] = renamed[f"{language}embed_tokens.weight"].clone()  # tied, written out again
    save_file(renamed, tmp_path / "model.safetensors")
    after = load_model(open_checkpoint(str(tmp_path)), dtype=torch.float32).state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[k], after[k]) for k in before)


def test_missing_unknown_and_misshapen_tensors_are_named(tmp_path: Path) -> None:
    save("text", tmp_path)
    path = tmp_path / "model.safetensors"
    good = {k: v.clone() for k, v in load_file(path).items()}
    norm = "model.layers.2.self_attn.q_norm.weight"
    save_file({k: v for k, v in good.items() if k != norm}, path)
    with pytest.raises(CheckpointError, match=r"1 tensors are missing, language_model\.layers\.2\.self_attn\.q_norm"):
        load_model(open_checkpoint(str(tmp_path)))
    save_file(good | {"model.layers.0.self_attn.q_bias": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match=r"q_bias.*not part of this model"):
        load_model(open_checkpoint(str(tmp_path)))
    save_file(good | {norm: torch.zeros(17)}, path)
    with pytest.raises(CheckpointError, match=r"q_norm\.weight has shape \(17,\)"):
        load_model(open_checkpoint(str(tmp_path)))


def test_float16_is_refused_with_the_reason(tmp_path: Path) -> None:
    save("text", tmp_path)
    with pytest.raises(ModelError, match=r"float16.*overflows.*bfloat16"):
        load_model(open_checkpoint(str(tmp_path)), dtype=torch.float16)


def test_a_head_of_its_own_is_used(tmp_path: Path) -> None:
    save("text", tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    head = saved["model.embed_tokens.weight"].clone()
    head[100, 3] += 1e-3
    save_file(saved | {"lm_head.weight": head}, tmp_path / "model.safetensors")
    model = load_model(open_checkpoint(str(tmp_path)), dtype=torch.float32)
    assert torch.equal(model.language_model.head.weight, head)
    assert torch.equal(model.language_model.embed_tokens.weight, saved["model.embed_tokens.weight"])


def test_siglips_pooling_head_is_dropped(tmp_path: Path) -> None:
    save("multimodal", tmp_path)
    path = tmp_path / "model.safetensors"
    unused = {"vision_tower.vision_model.head.probe": torch.zeros(1, 1, 16)}
    save_file(load_file(path) | unused, path)
    load_model(open_checkpoint(str(tmp_path)))


def test_a_tensor_under_two_names_is_refused(tmp_path: Path) -> None:
    save("text", tmp_path)
    path = tmp_path / "model.safetensors"
    saved = load_file(path)
    again = saved["model.norm.weight"] + 1
    save_file(saved | {"language_model.model.norm.weight": again}, path)
    with pytest.raises(CheckpointError, match=r"language_model\.norm\.weight.*twice"):
        load_model(open_checkpoint(str(tmp_path)))


@pytest.mark.parametrize("generation", [{"eos_token_id": [1, 106, 7]}, {}])
def test_stop_tokens_of_the_generation_config_are_kept(generation: dict[str, Any], tmp_path: Path) -> None:
    save("text", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config.pop("eos_token_id", None)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "generation_config.json").write_text(json.dumps(generation))
    stops = open_checkpoint(str(tmp_path)).config.eos_token_ids
    assert set(stops) == {1, 106} | set(generation.get("eos_token_id", []))


PEAK = """
import sys, torch
from aris.checkpoints import load_model, open_checkpoint
def status(field):
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith(field)) * 1024
load_model(open_checkpoint(sys.argv[3]))  # what PyTorch imports at the first model is not the weights
open("/proc/self/clear_refs", "w").write("5")  # restart the peak from here
before = status("VmRSS")
model = load_model(open_checkpoint(sys.argv[1]), dtype=getattr(torch, sys.argv[2]))
weights = sum(p.nbytes for p in model.parameters())
touched = sum(float(p.sum()) for p in model.parameters())  # mapped pages count once they are read
print((status("VmHWM") - before) / weights)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_peak_memory_stays_close_to_the_weights(dtype: str, tmp_path: Path) -> None:
    """170 MB of bf16 weights: kept mapped in bf16, converted one by one to float32."""
    big = TEXT | {"vocab_size": 20_000, "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 4}
    model = transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig(**big)).to(torch.bfloat16)
    model.save_pretrained(tmp_path / "big")
    save("text", tmp_path / "small")
    command = [sys.executable, "-c", PEAK, str(tmp_path / "big"), dtype, str(tmp_path / "small")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1.15
