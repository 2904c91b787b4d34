"""From rows to what the package ships: trained, exported, and loaded again onto the plain base."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from aris.checkpoints import embedded
from aris.checkpoints.peft.adapters import load_adapter
from aris.model import MedGemma, MedGemmaConfig, VisionConfig
from aris.prompting import PromptProcessor
from aris.tuning.checkpointing import Curve
from aris.tuning.data.examples import Example, TokenizedExample, tokenize
from aris.tuning.loop import Result
from aris.tuning.nano import corpus, decoder
from aris.tuning.nano.decoder import (
    MAX_ANSWER,
    cut_answer,
    film_augment,
    film_bank,
    film_view,
    nano_recipes,
    run_nano_decoder,
)
from aris.tuning.recipe import Recipe

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


def small_corpus(data: Path, seed: int) -> corpus.Corpus:
    rows = [Example("gate", corpus.GATE_QUESTION, "Yes" if i % 2 else "No", i, f"p{i}") for i in range(8)]
    bank = torch.randint(0, 256, (8, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return corpus.Corpus(rows[:6], rows[6:], bank, torch.arange(8) % 2 > 0)


@pytest.mark.filterwarnings("ignore:.*deterministic")
def test_what_is_exported_is_what_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processor: PromptProcessor
) -> None:
    made: list[MedGemma] = []
    monkeypatch.setattr(decoder, "build_model", lambda *_: made.append(small_model()) or made[-1])
    monkeypatch.setattr(corpus, "build", small_corpus)
    quick = {"batch_size": 4, "mixture": {"gate": 1}, "balanced": ["gate"], "warmup_steps": 1, "max_tokens": 128}
    recipes = [Recipe.from_file(path, steps=2 - n, **quick) for n, path in enumerate(nano_recipes())]
    said: list[str] = []
    base = embedded.language_weights()
    result = run_nano_decoder(Path("data"), base, Path("tower"), tmp_path, recipes, "cpu", said.append)
    assert isinstance(result, Result) and said[0].startswith("6 examples (0 too long), 2 for validation, 8 images")
    first, second = (Curve.read(tmp_path / f"stage{n}" / "curve.jsonl") for n in (1, 2))
    ended = [entry["validation_loss"] for entry in first if "validation_loss" in entry]
    assert second[0]["validation_loss"] == min(ended), "the second stage starts from the best of the first"

    vision = safetensors.torch.load_file(tmp_path / "vision.safetensors")
    plain = small_model()
    state = {n for n in plain.state_dict() if n.startswith(("vision_tower.", "multi_modal_projector."))}
    assert vision.keys() == state and {value.dtype for value in vision.values()} == {torch.bfloat16}
    plain.load_state_dict(vision, strict=False)
    plain.to(torch.bfloat16)
    report = load_adapter(plain, tmp_path / "adapter")
    assert report.applied == report.total == 7 * TEXT.num_hidden_layers
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (settings["peft_type"], settings["r"], settings["lora_alpha"]) == ("LORA", 24, 48)

    trained, row = made[0], tokenize(small_corpus(Path(), 0).train[0], processor, 128)
    assert row is not None
    pixels = film_view(film_bank(small_corpus(Path(), 0).images[:1], torch.tensor([False])))
    ids = torch.tensor([row.token_ids])
    untouched = small_model()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        states = [m.hidden_states(ids, m.encode_images(pixels))[0, -1].float() for m in (trained, plain, untouched)]
    alike = torch.cosine_similarity(states[0], states[1], dim=0)
    assert alike > 0.998 and alike > torch.cosine_similarity(states[0], states[2], dim=0)


def test_the_packaged_recipes_are_of_the_corpus() -> None:
    for path in nano_recipes():
        recipe = Recipe.from_file(path)
        assert sum(recipe.mixture.values()) == pytest.approx(1.0)
        assert set(recipe.balanced) <= set(recipe.mixture)


@pytest.mark.data
def test_the_packaged_recipes_name_every_task(real_corpus: corpus.Corpus) -> None:
    first, second = (set(Recipe.from_file(path).mixture) for path in nano_recipes())
    assert {row.task for row in real_corpus.train} == second and first < second
    assert not any(task.startswith(("vqa", "pubmedqa")) for task in first)


def test_views_are_the_towers_input() -> None:
    films = film_bank(small_corpus(Path(), 1).images[:3], torch.tensor([False, True, False]))
    seen = film_view(films)
    assert seen.shape == (3, 3, SIZE, SIZE) and seen.min() >= -1 and seen.max() <= 1
    one, again, other = (film_augment(0.7)(films, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other) and one.shape == seen.shape


def test_images_that_are_asked_for_a_side_are_never_mirrored() -> None:
    """A film that is bright on its left stays so, though others change sides."""
    film = torch.linspace(255, 0, SIZE).round().to(torch.uint8).expand(40, SIZE, SIZE)
    for sided, all_kept in ((True, True), (False, False)):
        bank = film_bank(film, torch.full((40,), sided))
        pixels = film_augment(0.7)(bank, torch.Generator().manual_seed(3))[:, 0]
        middle = SIZE // 4
        brighter = pixels[:, :, :middle].mean((1, 2)) > pixels[:, :, -middle:].mean((1, 2))
        assert brighter.float().mean() > 0.9 if all_kept else 0.3 < brighter.float().mean() < 0.9


def test_long_answers_are_cut_and_short_ones_whole() -> None:
    long, short = (TokenizedExample("t", list(range(20 + n)), 20, None) for n in (MAX_ANSWER + 30, 5))
    assert cut_answer(long).token_ids == list(range(20 + MAX_ANSWER))
    assert cut_answer(short).token_ids == short.token_ids
