"""A field of config.json that changes the function is followed as transformers does, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf_writing import small_model, write_gguf
from test_hf_folders import save

from aris.checkpoints import load_model, open_checkpoint
from aris.checkpoints.checkpoint import Checkpoint
from aris.errors import CheckpointError, PromptError
from aris.prompting import ImageProcessor
from imported_late import late

transformers = late("transformers")
IDS = torch.arange(3, 60)[None]


def edited(folder: Path, part: str, name: str, value: Any) -> None:
    """Set one field of a folder's config.json; `part` is "" for the top."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    (config[part] if part else config)[name] = value
    path.write_text(json.dumps(config))


REFUSED = [
    ("use_bidirectional_attention", True),
    ("attention_bias", True),
    ("final_logit_softcapping", 30.0),
    ("attn_logit_softcapping", 50.0),
    ("hidden_activation", "silu"),
    ("hidden_activation", "gelu"),
    ("mlp_bias", True),
    ("num_experts", 8),
    ("attention_multiplier", 0.5),
    ("quantization", {"bits": 4, "group_size": 64}),
    ("rope_scaling", {"rope_type": "yarn", "factor": 4.0}),
    ("rope_scaling", {"type": "dynamic", "factor": 4.0}),
    ("rope_scaling", {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0}),
    ("rope_scaling", {"rope_type": "linear"}),
    ("rope_parameters", {"rope_type": "linear", "factor": 8.0}),
    ("rope_parameters", {"full_attention": {"rope_type": "default", "partial_rotary_factor": 0.5}}),
    ("rope_parameters", {"sliding_attention": {"rope_type": "linear", "factor": 2.0}}),
    ("eos_token_id", ["x"]),
]


@pytest.mark.parametrize("kind", ["text", "multimodal"])
@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_another_network_is_refused_by_name(kind: str, name: str, value: Any, tmp_path: Path) -> None:
    save(kind, tmp_path)
    edited(tmp_path, "" if kind == "text" or name == "eos_token_id" else "text_config", name, value)
    word = "RoPE|rope_parameters" if name.startswith("rope") else name
    with pytest.raises(CheckpointError, match=word) as caught:
        open_checkpoint(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("hidden_act", "gelu"), ("num_channels", 1), ("model_type", "clip_vision_model"), ("attention_bias", True),
     ("num_register_tokens", 4)],
)  # fmt: skip
def test_another_tower_is_refused_by_name(name: str, value: Any, tmp_path: Path) -> None:
    save("multimodal", tmp_path)
    edited(tmp_path, "vision_config", name, value)
    with pytest.raises(CheckpointError, match=rf"vision_config\.{name}"):
        open_checkpoint(str(tmp_path))


FOLLOWED: list[dict[str, Any]] = [
    {"rope_scaling": {"rope_type": "linear", "factor": 8.0}},
    {"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 5e5},
                         "sliding_attention": {"rope_type": "default", "rope_theta": 2e4}}},
    {"rope_parameters": {"full_attention": {"rope_type": "default", "factor": 8.0}}},
    {"rope_theta": 3e5, "rope_local_base_freq": 5e3},
    {"query_pre_attn_scalar": 7},
    {"sliding_window_pattern": 2},
    {"layer_types": ["full_attention", *["sliding_attention"] * 5]},
    {"sliding_window": 3},
    {"rms_norm_eps": 1e-2},
    {"head_dim": 16, "num_key_value_heads": 1},
    {"final_logit_softcapping": None, "attention_bias": False, "use_bidirectional_attention": None},
    {"torch_dtype": "bfloat16", "unsloth_fixed": True, "_commit_hash": "x", "cache_implementation": "hybrid"},
]  # fmt: skip


@pytest.mark.parametrize("change", FOLLOWED)
def test_fields_that_are_followed_give_transformers_logits(change: dict[str, Any], tmp_path: Path) -> None:
    save("text", tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    for name in ("layer_types", "rope_parameters", "_sliding_window_pattern", "sliding_window_pattern"):
        config.pop(name, None)  # what older files, which the rest of the fields come from, do not have
    path.write_text(json.dumps(config | change))
    theirs = transformers.Gemma3ForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    ours = load_model(open_checkpoint(str(tmp_path)), dtype=torch.float32)
    with torch.no_grad():
        assert (theirs(input_ids=IDS).logits - ours(IDS)).abs().max() < 1e-4


def test_the_oldest_name_of_rope_scaling(tmp_path: Path) -> None:
    """transformers 5 leaves it out; 4 read it so."""
    save("text", tmp_path)
    edited(tmp_path, "", "rope_scaling", {"type": "linear", "factor": 8.0})
    assert open_checkpoint(str(tmp_path)).config.text.rope_factor == 8.0


@pytest.mark.parametrize("left_out", ["num_attention_heads", "num_channels", "layer_norm_eps", "hidden_act"])
def test_what_a_tower_leaves_out_has_siglips_default(left_out: str, tmp_path: Path) -> None:
    save("multimodal", tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config["vision_config"].pop(left_out, None)
    path.write_text(json.dumps(config))
    theirs = transformers.AutoConfig.from_pretrained(tmp_path).vision_config
    try:
        ours = open_checkpoint(str(tmp_path)).config.vision
    except CheckpointError as error:  # 16 wide, 12 heads: no such tower
        assert theirs.hidden_size % theirs.num_attention_heads and "heads of a width" in str(error)
        return
    assert ours is not None
    assert ours.num_attention_heads == theirs.num_attention_heads and ours.layer_norm_eps == theirs.layer_norm_eps


def _opened(folder: Path, **files: Any) -> Checkpoint:
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return open_checkpoint(str(folder))


def test_stops_of_both_files_are_used(tmp_path: Path) -> None:
    save("text", tmp_path)
    edited(tmp_path, "", "eos_token_id", 1)
    assert _opened(tmp_path, generation_config={"eos_token_id": [5, 106]}).config.eos_token_ids == (5, 106, 1)
    edited(tmp_path, "", "eos_token_id", [7, 1])
    assert _opened(tmp_path, generation_config={"eos_token_id": 5}).config.eos_token_ids == (5, 7, 1, 106)
    assert _opened(tmp_path, generation_config={}).config.eos_token_ids == (7, 1, 106)
    with pytest.raises(CheckpointError, match="eos_token_id"):
        _opened(tmp_path, generation_config={"eos_token_id": ["</s>"]})


INNER = {
    "image_processor_type": "Gemma3ImageProcessor", "do_resize": True, "do_rescale": True, "do_normalize": True,
    "do_convert_rgb": None, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "rescale_factor": 0.5,
    "size": {"height": 28, "width": 28}, "resample": 3, "do_pan_and_scan": True, "pan_and_scan_max_num_crops": 2,
}  # fmt: skip


def test_transformers_5_keeps_the_image_processor_in_another_file(tmp_path: Path) -> None:
    save("multimodal", tmp_path)
    whole = {"processor_class": "Gemma3Processor", "image_seq_length": 4, "image_processor": INNER}
    opened = _opened(tmp_path, processor_config=whole, preprocessor_config={"size": {"height": 5, "width": 5}})
    read = ImageProcessor.from_dict(opened.processor)
    assert (read.size, read.image_mean, read.image_std) == (28, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert (read.rescale_factor, read.resample, read.do_pan_and_scan) == (0.5, 3, True)
    assert read.pan_and_scan_max_num_crops == 2
    old = _opened(tmp_path, processor_config={"image_seq_length": 4}, preprocessor_config={"size": 28})
    assert old.processor == {"size": 28}
    with pytest.raises(CheckpointError, match=r"processor_config.json gives 256 tokens an image, config.json 4"):
        _opened(tmp_path, processor_config=whole | {"image_seq_length": 256})


@pytest.mark.parametrize("step", ["do_center_crop", "do_pad", "do_flip_channel_order"])
def test_steps_that_gemma_does_not_take_are_refused(step: str) -> None:
    with pytest.raises(PromptError, match=step):
        ImageProcessor.from_dict(INNER | {step: True})
    assert ImageProcessor.from_dict(INNER | {step: False}).size == 28


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("gemma3.final_logit_softcapping", 30, "final_logit_softcapping"), ("gemma3.expert_weights", 1, "expert_weights"),
     ("gemma3.attn_logit_softcapping", 50, "attn_logit_softcapping"),
     ("gemma3.rope.dimension_count", 16, "rope.dimension_count"), ("gemma3.pooling_type", 1, "pooling_type")],
)  # fmt: skip
def test_gguf_metadata_of_another_network_is_refused(key: str, value: int, said: str, tmp_path: Path) -> None:
    write_gguf(small_model(False), tmp_path / "m.gguf", extra={key: value})
    with pytest.raises(CheckpointError, match=said):
        open_checkpoint(str(tmp_path / "m.gguf"))


@pytest.mark.parametrize("key", ["gemma3.final_logit_softcapping", "gemma3.attn_logit_softcapping"])
def test_gguf_metadata_that_says_no_softcapping_is_read(key: str, tmp_path: Path) -> None:
    """Gemma 3 has none: llama.cpp writes no such field for it, other programs a zero."""
    write_gguf(small_model(False), tmp_path / "m.gguf", extra={key: 0})
    assert open_checkpoint(str(tmp_path / "m.gguf")).config.text.hidden_size
