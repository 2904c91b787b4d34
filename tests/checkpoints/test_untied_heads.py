"""Fine-tunes that train the embedding and the head apart, as Google's own notebook does: equal to transformers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_hf_folders import save

import aris
import tiny_checkpoint
from aris.backends.protocol import GenerationOptions
from aris.checkpoints import load_adapter, load_model, open_checkpoint
from aris.checkpoints.export.gguf import save_gguf
from aris.checkpoints.export.huggingface import save_folder
from aris.checkpoints.export.quantize import Calibration, Rounding, quantize_checkpoint
from aris.checkpoints.peft.adapters import read_adapters
from aris.errors import CheckpointError
from aris.model import MedGemma, QuantizedEmbedding, merge_lora
from aris.tuning.merge import export_gguf, merge
from imported_late import late
from quantized_models import quantize_model

peft = late("peft")
transformers = late("transformers")

AUTO = {"text": "AutoModelForCausalLM", "multimodal": "AutoModelForImageTextToText"}
IDS = torch.arange(3, 60)[None]
NOTEBOOK = {"target_modules": "all-linear", "modules_to_save": ["lm_head", "embed_tokens"], "r": 4, "lora_alpha": 4}
WAYS: dict[str, dict[str, Any]] = {
    "notebook": NOTEBOOK,
    "head": NOTEBOOK | {"modules_to_save": ["lm_head"]},
    "embedding": NOTEBOOK | {"modules_to_save": ["embed_tokens"]},
    "tied in training": NOTEBOOK | {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
    "low-rank head": {"target_modules": ["q_proj", "lm_head"], "r": 4},
    "low-rank embedding": {"target_modules": ["q_proj", "embed_tokens"], "r": 4},
    "low-rank both": {"target_modules": ["embed_tokens", "lm_head"], "r": 4, "use_rslora": True},
    "rows": {"target_modules": ["q_proj"], "trainable_token_indices": [5, 9, 100], "r": 4},
    "named rows": {"target_modules": ["q_proj"], "trainable_token_indices": {"embed_tokens": [5, 9]}, "r": 4},
    "norms": {"target_modules": ["q_proj"], "modules_to_save": ["q_norm", "post_attention_layernorm"], "r": 4},
    "layers whole": {"target_modules": ["q_proj"], "modules_to_save": ["down_proj"], "r": 4},
    "dora": {"target_modules": "all-linear", "use_dora": True, "r": 4},
    "regex": {
        "target_modules": r".*\.layers\.[0-3]\.(self_attn\.[qv]|mlp\.(up|down))_proj",
        "rank_pattern": {r"layers\.1\..*q_proj": 2, "down_proj": 6},
        "alpha_pattern": {"up_proj": 1},
    },
}


def tuned(kind: str, folder: Path, options: dict[str, Any]) -> Any:
    """peft's model, everything that it trains moved, and its adapter written to `folder / "adapter"`."""
    model = peft.get_peft_model(save(kind, folder / "base"), peft.LoraConfig(task_type="CAUSAL_LM", **options))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += torch.randn(parameter.shape, generator=generator) * 0.2
    model.eval().save_pretrained(folder / "adapter")
    return model


def ours(folder: Path) -> MedGemma:
    return load_model(open_checkpoint(str(folder)), dtype=torch.float32)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS) if isinstance(model, MedGemma) else model(input_ids=IDS).logits


# All on a model with a tower; on one without, those that differ in what is tied and in how names are matched.
@pytest.mark.parametrize(
    ("way", "kind"), [*((way, "multimodal") for way in WAYS), *((way, "text") for way in ("notebook", "rows", "regex"))]
)
def test_an_adapter_gives_pefts_logits(kind: str, way: str, tmp_path: Path) -> None:
    theirs = tuned(kind, tmp_path, WAYS[way])
    model = ours(tmp_path / "base")
    before = logits(model)
    load_adapter(model, tmp_path / "adapter")
    assert (logits(theirs) - logits(model)).abs().max() < 1e-4
    assert (before - logits(model)).abs().max() > 1e-2
    if kind == "multimodal":
        pixels = torch.rand(1, 3, 28, 28)
        with torch.no_grad():
            reference = theirs.get_image_features(pixels).pooler_output
            assert torch.allclose(reference, model.encode_images(pixels), atol=1e-4)


@pytest.mark.parametrize(
    ("way", "kind"),
    [("notebook", "text"), ("head", "multimodal"), ("embedding", "text"), ("rows", "multimodal"),
     ("low-rank both", "multimodal"), ("notebook", "multimodal")],
)
def test_a_merged_model_gives_pefts_logits(kind: str, way: str, tmp_path: Path) -> None:
    """For "low-rank both" not those from before: peft adds both changes to the one matrix when it merges."""
    tuned(kind, tmp_path, WAYS[way]).merge_and_unload().save_pretrained(tmp_path / "merged")
    wanted = logits(getattr(transformers, AUTO[kind]).from_pretrained(tmp_path / "merged").eval())
    assert (wanted - logits(ours(tmp_path / "merged"))).abs().max() < 1e-4


@pytest.mark.parametrize("kind", ["text", "multimodal"])
def test_it_is_written_as_a_folder_that_transformers_reads(kind: str, tmp_path: Path) -> None:
    theirs = tuned(kind, tmp_path, NOTEBOOK)
    wanted, model = logits(theirs), ours(tmp_path / "base")
    load_adapter(model, tmp_path / "adapter")
    merge_lora(model)
    source = open_checkpoint(str(tmp_path / "base"))
    save_folder(model, source, tmp_path / "out", torch.float32)
    assert (wanted - logits(ours(tmp_path / "out"))).abs().max() < 1e-4
    saved = json.loads((tmp_path / "out" / "config.json").read_text())
    assert saved["tie_word_embeddings"] is False
    theirs = getattr(transformers, AUTO[kind]).from_pretrained(tmp_path / "out").eval()
    assert (wanted - logits(theirs)).abs().max() < 1e-4


def untied(folder: Path) -> Path:
    """A merged fine-tune of the notebook's kind, in Google's layout."""
    tuned("text", folder, NOTEBOOK).merge_and_unload().save_pretrained(folder / "merged")
    return folder / "merged"


def test_a_head_that_is_the_embedding_is_not_kept_twice(tmp_path: Path) -> None:
    save("text", tmp_path)
    path, settings = tmp_path / "model.safetensors", tmp_path / "config.json"
    saved = {key: value.clone() for key, value in load_file(path).items()}
    plain = logits(ours(tmp_path))
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"tie_word_embeddings": False}))
    with pytest.raises(CheckpointError, match=r"tie_word_embeddings is false.*lm_head.weight is missing"):
        open_checkpoint(str(tmp_path))
    save_file(saved | {"lm_head.weight": saved["model.embed_tokens.weight"].clone()}, path)
    model = ours(tmp_path)
    assert model.language_model.lm_head is None and model.config.text.tie_word_embeddings
    assert torch.equal(logits(model), plain)


def test_gguf_keeps_a_head_of_its_own(tmp_path: Path) -> None:
    merged = untied(tmp_path)
    model, source = ours(merged), open_checkpoint(str(merged))
    names = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", *(f"w{n}" for n in range(122))]
    source = replace(source, tokenizer=replace(source.tokenizer, vocabulary=(names, [0.0] * 128, [1] * 128)))
    save_gguf(model, source, tmp_path / "m.gguf", torch.float32)
    again = ours(tmp_path / "m.gguf")
    assert again.language_model.lm_head is not None
    assert (logits(again) - logits(model)).abs().max() < 1e-4


@pytest.mark.parametrize("form", ["int8", "int4"])
@pytest.mark.parametrize("texts", [None, Calibration([list(range(3, 67))] * 2, {})], ids=["nearest", "gptq"])
def test_a_quantised_folder_keeps_a_head_of_its_own(form: str, texts: Calibration | None, tmp_path: Path) -> None:
    merged = untied(tmp_path)
    quantize_checkpoint(
        open_checkpoint(str(merged)), tmp_path / "small", Rounding(form, 16), calibration=texts
    )
    loaded = load_model(open_checkpoint(str(tmp_path / "small")), dtype=torch.float32, packed=True)
    assert isinstance(loaded.language_model.lm_head, QuantizedEmbedding)
    dense, other = ours(merged), ours(merged)
    if texts is None:
        quantize_model(other, form, group_size=16)
        assert (logits(loaded) - logits(other)).abs().max() < 1e-3
    assert (logits(loaded) - logits(dense)).norm() < (0.2 if form == "int8" else 0.9) * logits(dense).norm()


def test_quantised_while_it_is_read(tmp_path: Path) -> None:
    merged = untied(tmp_path)
    model = load_model(open_checkpoint(str(merged)), dtype=torch.bfloat16, quantize="int8")
    assert isinstance(model.language_model.lm_head, QuantizedEmbedding)
    wanted = logits(ours(merged))
    assert (logits(model).float() - wanted).norm() < 0.2 * wanted.norm()


@pytest.mark.parametrize("kind", ["text", "multimodal"])
def test_an_adapter_on_a_quantised_base(kind: str, tmp_path: Path) -> None:
    theirs = tuned(kind, tmp_path, NOTEBOOK | {"target_modules": ["q_proj", "down_proj"]})
    model = ours(tmp_path / "base")
    quantize_model(model, "int8", group_size=16)
    load_adapter(model, tmp_path / "adapter")
    assert isinstance(model.language_model.lm_head, QuantizedEmbedding)
    assert (logits(model) - logits(theirs)).norm() < 0.2 * logits(theirs).norm()


def test_dora_on_a_quantised_base_is_refused(tmp_path: Path) -> None:
    tuned("text", tmp_path, WAYS["dora"])
    model = ours(tmp_path / "base")
    quantize_model(model, "int8", group_size=16)
    with pytest.raises(CheckpointError, match="DoRA needs dense weights"):
        load_adapter(model, tmp_path / "adapter")


def test_a_projector_that_was_trained_whole(tmp_path: Path) -> None:
    theirs = tuned("multimodal", tmp_path, {"target_modules": ["q_proj"], "modules_to_save": ["multi_modal_projector"]})
    model = ours(tmp_path / "base")
    pixels = torch.rand(1, 3, 28, 28)
    with torch.no_grad():
        before = model.encode_images(pixels)
        load_adapter(model, tmp_path / "adapter")
        after, reference = model.encode_images(pixels), theirs.get_image_features(pixels).pooler_output
    assert torch.allclose(after, reference, atol=1e-4) and not torch.allclose(after, before, atol=1e-2)


@pytest.mark.parametrize(
    ("theirs", "older"),
    [("model.language_model.", "language_model.model."), ("lm_head.", "language_model.lm_head.")],
)
def test_tables_under_the_names_of_older_wrappers(theirs: str, older: str, tmp_path: Path) -> None:
    reference = tuned("multimodal", tmp_path, NOTEBOOK)
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    saved = {key: value.clone() for key, value in load_file(path).items()}
    start = "base_model.model."
    renamed = {key.replace(start + theirs, start + older, 1): value for key, value in saved.items()}
    assert renamed.keys() != saved.keys()
    save_file(renamed, path)
    model = ours(tmp_path / "base")
    load_adapter(model, tmp_path / "adapter")
    assert (logits(reference) - logits(model)).abs().max() < 1e-4


def test_adapters_that_take_turns_are_low_rank_alone(tmp_path: Path) -> None:
    tuned("text", tmp_path, NOTEBOOK)
    with pytest.raises(CheckpointError, match=r"language_model\.(lm_head|embed_tokens)\.weight.*cannot take turns"):
        read_adapters(ours(tmp_path / "base"), {"a": tmp_path / "adapter"})


def _wider(saved: dict[str, torch.Tensor]) -> None:
    saved["base_model.model.lm_head.weight"] = torch.zeros(130, 32)


def _foreign(saved: dict[str, torch.Tensor]) -> None:
    saved["base_model.model.score.weight"] = torch.zeros(2, 32)


def _not_a_number(saved: dict[str, torch.Tensor]) -> None:
    saved["base_model.model.lm_head.weight"][3, 4] = torch.nan


@pytest.mark.parametrize(
    ("damage", "said"),
    [(_wider, "was extended"), (_foreign, "not a LoRA matrix"), (_not_a_number, "no numbers")],
)
def test_parts_that_do_not_fit_are_refused(
    damage: Callable[[dict[str, torch.Tensor]], None], said: str, tmp_path: Path
) -> None:
    tuned("text", tmp_path, NOTEBOOK)
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    saved = {key: value.clone() for key, value in load_file(path).items()}
    damage(saved)
    save_file(saved, path)
    model = ours(tmp_path / "base")
    before = logits(model)
    with pytest.raises(CheckpointError, match=said):
        load_adapter(model, tmp_path / "adapter")
    assert torch.equal(logits(model), before)


@pytest.mark.parametrize("way", ["notebook", "dora", "rows"])
def test_the_whole_way_from_a_notebooks_adapter(way: str, tmp_path: Path) -> None:
    """Loaded beside its base, merged into a folder, exported to GGUF: one model."""
    base = tiny_checkpoint.save(tmp_path / "base", vision=False)
    network = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    theirs = peft.get_peft_model(network, peft.LoraConfig(task_type="CAUSAL_LM", **WAYS[way]))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.requires_grad:
                parameter += torch.randn(parameter.shape, generator=generator) * 0.1
    theirs.eval().save_pretrained(tmp_path / "adapter")
    wanted = logits(theirs)
    merge(str(base), tmp_path / "adapter", tmp_path / "merged", dtype=torch.float32)
    export_gguf(str(base), tmp_path / "adapter", tmp_path / "m.gguf", dtype=torch.float32)
    backends = [
        aris.load(base, adapter=tmp_path / "adapter", dtype="float32"),
        aris.load(tmp_path / "merged", dtype="float32"),
        aris.load(tmp_path / "m.gguf", dtype="float32"),
    ]
    options = GenerationOptions(max_tokens=10)
    replies = {backend.generate([aris.user("Is there pneumonia?")], options).text for backend in backends}
    assert len(replies) == 1
    for backend in backends:
        assert (logits(backend.model) - wanted).abs().max() < 2e-4
