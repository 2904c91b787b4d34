"""Our logits against transformers' on tiny random models in the shapes of 270M, 4B (with tower) and 27B, in fp32."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from aris.model import MedGemma, MedGemmaConfig
from imported_late import late

transformers = late("transformers")

WINDOW = 16
TOLERANCE = 1e-4
IMAGE = 262_144  # the soft token's id lies beyond the tiny vocabulary, as in GGUF files


def text_config(**changes: Any) -> dict[str, Any]:
    """The shape of 270M: four query heads on one key head, 18 layers cut to 7 (six local, one global)."""
    config = {
        "vocab_size": 320,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 7,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "query_pre_attn_scalar": 16,
        "sliding_window": WINDOW,
        "max_position_embeddings": 4096,
    }
    return config | changes


SHAPE_27B = text_config(
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=12,
    query_pre_attn_scalar=21,
    rope_parameters={
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1_000_000.0},
    },
)
SHAPE_4B = SHAPE_27B | {"head_dim": 16, "query_pre_attn_scalar": 16}
VISION = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 56,
    "patch_size": 7,
}


def randomise(module: torch.nn.Module, seed: int) -> None:
    """Random norms and biases too: transformers starts them at 0, which would hide a forgotten one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            spread = 0.3 if parameter.dim() == 1 else parameter.shape[-1] ** -0.5
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)


def ours_from(theirs: Any) -> MedGemma:
    model = MedGemma(MedGemmaConfig.from_dict(theirs.config.to_dict())).eval()
    state = {}
    for name, tensor in theirs.state_dict().items():
        if name == "lm_head.weight" or ".vision_tower.head." in name:
            continue
        name = name.removeprefix("model.")
        ours = name.startswith(("language_model", "vision_tower", "multi_modal"))
        state[name if ours else f"language_model.{name}"] = tensor
    model.load_state_dict(state)
    return model


def text_pair(config: dict[str, Any]) -> tuple[Any, MedGemma]:
    theirs = transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig(**config, attn_implementation="eager")).eval()
    randomise(theirs, seed=1)
    return theirs, ours_from(theirs)


@pytest.fixture(scope="module")
def multimodal_pair() -> tuple[Any, MedGemma]:
    config = transformers.Gemma3Config(
        text_config=SHAPE_4B, vision_config=VISION, mm_tokens_per_image=16, attn_implementation="eager"
    )
    theirs = transformers.Gemma3ForConditionalGeneration(config).eval()
    randomise(theirs, seed=2)
    return theirs, ours_from(theirs)


def two_image_prompt(generator: torch.Generator) -> torch.Tensor:
    """Text, an image, one marker, a second image straight after, then text: over two windows in all."""
    text = torch.randint(3, 300, (60,), generator=generator)
    image = torch.full((16,), IMAGE)
    return torch.cat([text[:9], image, text[9:11], image, text[11:]])[None]


@pytest.mark.parametrize("config", [text_config(), SHAPE_27B], ids=["270M", "27B"])
@pytest.mark.parametrize("tokens", [1, WINDOW, 3 * WINDOW + 5, 700])
def test_text_logits_equal(config: dict[str, Any], tokens: int) -> None:
    # 700 tokens are more than one block of queries and 40 windows; RoPE's factor shows beyond a few windows.
    theirs, ours = text_pair(config)
    ids = torch.randint(3, 300, (2, tokens), generator=torch.Generator().manual_seed(tokens))
    with torch.no_grad():
        difference = (theirs(ids).logits - ours(ids)).abs().max()
    assert difference < TOLERANCE


def test_image_logits_equal(multimodal_pair: tuple[Any, MedGemma]) -> None:
    theirs, ours = multimodal_pair
    generator = torch.Generator().manual_seed(5)
    ids = two_image_prompt(generator)
    pixels = torch.rand(2, 3, 56, 56, generator=generator) * 2 - 1
    with torch.no_grad():
        reference = theirs(input_ids=ids, pixel_values=pixels, token_type_ids=(ids == IMAGE).long()).logits
        soft = ours.encode_images(pixels)
        logits = ours(ids, soft)
    assert torch.allclose(theirs.get_image_features(pixels).pooler_output, soft, atol=TOLERANCE)
    assert (reference - logits).abs().max() < TOLERANCE


def test_images_attend_both_ways_within_one_image_only(multimodal_pair: tuple[Any, MedGemma]) -> None:
    _, ours = multimodal_pair
    ids = two_image_prompt(torch.Generator().manual_seed(6))
    pixels = torch.rand(2, 3, 56, 56) * 2 - 1
    with torch.no_grad():
        soft = ours.encode_images(pixels)
        before = ours(ids, soft)
        changed_last_token = soft.clone()
        changed_last_token[0, -1] += 1.0
        after = ours(ids, changed_last_token)
    moved = (before - after).abs().amax(dim=(0, 2)) > 1e-6
    assert not moved[:9].any(), "text before an image must not see it"
    assert moved[9:25].all(), "each soft token sees the last one of its own image"


def test_unequal_lengths_equal_each_alone(multimodal_pair: tuple[Any, MedGemma]) -> None:
    _, ours = multimodal_pair
    generator = torch.Generator().manual_seed(7)
    longest = two_image_prompt(generator)
    text = torch.randint(3, 300, (1, 41), generator=generator)
    pixels = torch.rand(2, 3, 56, 56, generator=generator) * 2 - 1
    batch = torch.zeros(2, longest.shape[1], dtype=torch.long)
    batch[0], batch[1, :41] = longest[0], text[0]
    with torch.no_grad():
        soft = ours.encode_images(pixels)
        cache = ours.new_cache(batch=2)
        together = ours(batch, soft, cache, lengths=[longest.shape[1], 41])
        assert torch.allclose(together[0], ours(longest, soft)[0], atol=TOLERANCE)
        assert torch.allclose(together[1, :41], ours(text)[0], atol=TOLERANCE)
        # and each goes on from its own place
        for step in range(2 * WINDOW + 3):
            token = torch.full((2, 1), 5 + step)
            longest, text = torch.cat([longest, token[:1]], 1), torch.cat([text, token[1:]], 1)
            logits = ours(token, None, cache)
        assert torch.allclose(logits[0, 0], ours(longest, soft)[0, -1], atol=TOLERANCE)
        assert torch.allclose(logits[1, 0], ours(text)[0, -1], atol=TOLERANCE)


@pytest.mark.parametrize("cuts", [(1,), (7, 40), (16, 32, 33), (64,)], ids=str)
def test_prefill_then_decode_equals_one_pass(cuts: tuple[int, ...]) -> None:
    _, ours = text_pair(SHAPE_27B)
    ids = torch.randint(3, 300, (1, 75), generator=torch.Generator().manual_seed(8))
    with torch.no_grad():
        whole = ours(ids)[0]
        cache, parts, start = ours.new_cache(), [], 0
        for stop in cuts:
            parts.append(ours(ids[:, start:stop], None, cache)[0])
            start = stop
        parts += [ours(ids[:, i : i + 1], None, cache)[0] for i in range(start, 75)]
    assert (torch.cat(parts) - whole).abs().max() < TOLERANCE


def test_image_after_cached_text_equals_one_pass(multimodal_pair: tuple[Any, MedGemma]) -> None:
    _, ours = multimodal_pair
    ids = two_image_prompt(torch.Generator().manual_seed(9))
    with torch.no_grad():
        soft = ours.encode_images(torch.rand(2, 3, 56, 56) * 2 - 1)
        whole = ours(ids, soft)[0]
        cache = ours.new_cache()
        first = ours(ids[:, :26], soft[:1], cache)[0]
        second = ours(ids[:, 26:], soft[1:], cache)[0]
    assert (torch.cat([first, second]) - whole).abs().max() < TOLERANCE
