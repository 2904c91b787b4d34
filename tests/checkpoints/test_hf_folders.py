"""Hugging Face folders: round trips with transformers, old and new names, shards, damage, and peak memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from aris.checkpoints import load_model, open_checkpoint
from aris.checkpoints.hf import SafetensorsFile
from aris.errors import ArisError, CheckpointError, ModelError

transformers = pytest.importorskip("transformers")

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


def test_damaged_folders_get_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such model"):
        open_checkpoint(str(tmp_path / "nowhere"))
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        open_checkpoint(str(tmp_path))
    save("text", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    with pytest.raises(CheckpointError, match=r"'llama'.*Gemma 3"):
        open_checkpoint(str(tmp_path))
    (tmp_path / "config.json").write_text("{ not json")
    with pytest.raises(CheckpointError, match="not readable as JSON"):
        open_checkpoint(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = tmp_path / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match="truncated"):
        open_checkpoint(str(tmp_path))
    weights.unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(CheckpointError, match="pickles"):
        open_checkpoint(str(tmp_path))


def test_a_missing_shard_and_an_index_that_escapes_are_refused(tmp_path: Path) -> None:
    save("text", tmp_path, max_shard_size="40KB")
    next(tmp_path.glob("model-00002*")).unlink()
    with pytest.raises(CheckpointError, match=r"model-00002.*missing"):
        open_checkpoint(str(tmp_path))
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"model.norm.weight": "../other/model.safetensors"}}))
    with pytest.raises(CheckpointError, match="not the name of a file beside it"):
        open_checkpoint(str(tmp_path))


def test_float16_is_refused_with_the_reason(tmp_path: Path) -> None:
    save("text", tmp_path)
    with pytest.raises(ModelError, match=r"float16.*overflows.*bfloat16"):
        load_model(open_checkpoint(str(tmp_path)), dtype=torch.float16)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_safetensors_headers_raise_nothing_but_checkpoint_errors(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "model.safetensors"
    save_file({"a": torch.arange(6.0).view(2, 3), "b": torch.zeros(4, dtype=torch.bfloat16)}, path)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(raw)[: data.draw(st.integers(0, len(raw)))])
    try:
        file = SafetensorsFile(path)
        for name in file:
            file.tensor(name)
    except ArisError as error:
        assert "\n" not in str(error)


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
