"""From rows to what the package ships: trained, exported, and loaded again onto the plain base."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from aris.checkpoints import embedded
from aris.checkpoints.peft import load_adapter
from aris.model import MedGemma, MedGemmaConfig, VisionConfig
from aris.prompting import PromptProcessor
from aris.tuning import decoder_run, nano_corpus
from aris.tuning.decoder_run import film_augment, film_view, nano_recipe, run_nano_decoder
from aris.tuning.loop import Result
from aris.tuning.recipe import Recipe
from aris.tuning.rows import Row, tokenize

from tiny_training import TEXT  # isort: skip

SIZE = 56
VISION = VisionConfig(16, 32, 1, 2, image_size=SIZE, patch_size=8)


def small_model() -> MedGemma:
    """The real vocabulary on a small body; the projector is empty, as `build_model` leaves it."""
    torch.manual_seed(3)
    model = MedGemma(MedGemmaConfig(replace(TEXT, vocab_size=262_144, sliding_window=512), VISION, 49))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    assert model.multi_modal_projector is not None
    torch.nn.init.zeros_(model.multi_modal_projector.mm_input_projection_weight)
    model.language_model.to(torch.bfloat16)
    return model.eval()


def corpus(data: Path, seed: int) -> nano_corpus.Corpus:
    rows = [Row("gate", nano_corpus.GATE_QUESTION, "Yes" if i % 2 else "No", i, f"p{i}") for i in range(8)]
    bank = torch.randint(0, 256, (8, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return nano_corpus.Corpus(rows[:6], rows[6:], bank)


@pytest.mark.filterwarnings("ignore:.*deterministic")
def test_what_is_exported_is_what_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processor: PromptProcessor
) -> None:
    made: list[MedGemma] = []
    monkeypatch.setattr(decoder_run, "build_model", lambda *_: made.append(small_model()) or made[-1])
    monkeypatch.setattr(nano_corpus, "build", corpus)
    recipe = Recipe.from_file(
        nano_recipe(), steps=3, rows_per_step=4, mixture={"gate": 1}, balanced=["gate"], warmup_steps=1, max_tokens=128
    )
    said: list[str] = []
    base = embedded.language_weights()
    result = run_nano_decoder(Path("data"), base, Path("tower"), tmp_path, recipe, "cpu", said.append)
    assert isinstance(result, Result) and said[0].startswith("6 rows (0 too long), 2 for validation, 8 pictures")

    vision = safetensors.torch.load_file(tmp_path / "vision.safetensors")
    plain = small_model()
    state = {n for n in plain.state_dict() if n.startswith(("vision_tower.", "multi_modal_projector."))}
    assert vision.keys() == state and {value.dtype for value in vision.values()} == {torch.bfloat16}
    plain.load_state_dict(vision, strict=False)
    plain.to(torch.bfloat16)
    report = load_adapter(plain, tmp_path / "adapter")
    assert report.applied == report.total == 7 * TEXT.num_hidden_layers
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (settings["peft_type"], settings["r"], settings["lora_alpha"]) == ("LORA", 16, 32)

    trained, row = made[0], tokenize(corpus(Path(), 0).train[0], processor, 128)
    assert row is not None
    ids, pixels = torch.tensor([row.token_ids]), film_view(corpus(Path(), 0).pictures[:1])
    untouched = small_model()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        states = [m.hidden_states(ids, m.encode_images(pixels))[0, -1].float() for m in (trained, plain, untouched)]
    alike = torch.cosine_similarity(states[0], states[1], dim=0)
    assert alike > 0.998 and alike > torch.cosine_similarity(states[0], states[2], dim=0)


def test_the_packaged_recipe_is_of_the_corpus() -> None:
    recipe = Recipe.from_file(nano_recipe())
    assert sum(recipe.mixture.values()) == pytest.approx(1.0)
    assert set(recipe.balanced) <= set(recipe.mixture)


@pytest.mark.data
def test_the_packaged_recipe_names_every_task(real_corpus: nano_corpus.Corpus) -> None:
    assert {row.task for row in real_corpus.train} == set(Recipe.from_file(nano_recipe()).mixture)


def test_views_are_the_towers_input() -> None:
    films = corpus(Path(), 1).pictures[:3]
    seen = film_view(films)
    assert seen.shape == (3, 3, SIZE, SIZE) and seen.min() >= -1 and seen.max() <= 1
    one, again, other = (film_augment(0.7)(films, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other) and one.shape == seen.shape
