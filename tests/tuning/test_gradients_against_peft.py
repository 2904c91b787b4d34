"""Our gradients and 20 steps' losses against transformers + peft in float32, with text and images."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from aris.model import MedGemma, MedGemmaConfig
from aris.tuning.data.collate import collate
from aris.tuning.data.examples import TokenizedExample
from aris.tuning.layers.adapters import TunedLinear, adapters_off, attach
from aris.tuning.layers.nf4 import NF4Linear, quantize_for_training
from aris.tuning.trainable import answer_losses
from imported_late import late

transformers = late("transformers")
peft = late("peft")

IMAGE = 300
TEXT = {
    "vocab_size": 320, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 7, "num_attention_heads": 4,
    "num_key_value_heads": 1, "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 16,
    "max_position_embeddings": 4096,
}  # fmt: skip
VISION = {
    "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 56,
    "patch_size": 7,
}  # fmt: skip
LINEAR = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
CASES = {
    "lora": {},
    "qlora": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "qdora": {"use_dora": True},
}


def pair(case: str) -> tuple[Any, MedGemma, dict[str, tuple[torch.Tensor, torch.Tensor]]]:
    """A model of theirs with an adapter, ours with the same weights, and (theirs, ours) of what is trained."""
    torch.manual_seed(0)
    config = transformers.Gemma3Config(
        text_config=TEXT, vision_config=VISION, mm_tokens_per_image=4, boi_token_index=298, eoi_token_index=299,
        image_token_index=IMAGE, attn_implementation="eager",
    )  # fmt: skip
    theirs = transformers.Gemma3ForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(std=0.3 if parameter.dim() == 1 else parameter.shape[-1] ** -0.5)
    ours = MedGemma(MedGemmaConfig.from_dict(theirs.config.to_dict())).eval()
    kept = {
        name.removeprefix("model."): value.clone()
        for name, value in theirs.state_dict().items()
        if name != "lm_head.weight" and ".vision_tower.head." not in name
    }
    ours.load_state_dict(kept)
    ours.requires_grad_(False)
    options = dict(CASES[case])
    if case.startswith("q"):
        assert quantize_for_training(ours) == 49
        for name, module in ours.named_modules():
            if isinstance(module, NF4Linear):  # theirs computes with the values that ours stands for
                theirs.get_submodule(f"model.{name}").weight.data = module.dequantized(torch.float32)
    wrapped = peft.get_peft_model(theirs, peft.LoraConfig(r=4, lora_alpha=10, target_modules=LINEAR, **options))
    rslora, dora = options.get("use_rslora", False), options.get("use_dora", False)
    assert len(attach(ours, ["all-linear"], 4, 10, rslora=rslora, dora=dora)) == 49
    both = {}
    for name, module in ours.named_modules():
        if not isinstance(module, TunedLinear):
            continue
        layer = wrapped.base_model.model.get_submodule(f"model.{name}")
        for part, mine in (("lora_A", module.lora_A), ("lora_B", module.lora_B)):
            other = getattr(layer, part)["default"].weight
            with torch.no_grad():
                other.normal_(std=0.2)
                mine.weight.copy_(other)
            both[f"{name}.{part}"] = (other, mine.weight)
        if dora:
            assert module.lora_magnitude_vector is not None
            other = layer.lora_magnitude_vector["default"].weight
            torch.testing.assert_close(other, module.lora_magnitude_vector.detach(), rtol=1e-5, atol=1e-6)
            both[f"{name}.magnitude"] = (other, module.lora_magnitude_vector)
    return wrapped, ours, both


def rows(images: bool, seed: int = 1) -> tuple[TokenizedExample, torch.Tensor | None]:
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(5, 290, (50,), generator=generator).tolist()
    if not images:
        return TokenizedExample("t", words, 30, None), None
    soft = [298, *[IMAGE] * 4, 299]
    ids = words[:7] + soft + words[7:12] + soft + words[12:]
    return TokenizedExample("t", ids, 40, 0, images=(0, 1)), torch.randn(2, 3, 56, 56, generator=generator)


def their_loss(model: Any, row: TokenizedExample, pixels: torch.Tensor | None) -> torch.Tensor:
    ids = torch.tensor([row.token_ids])
    given = {} if pixels is None else {"pixel_values": pixels}
    logits = model(input_ids=ids, token_type_ids=(ids == IMAGE).long(), **given).logits[0].float()
    return F.cross_entropy(logits[row.answer_start - 1 : -1], ids[0, row.answer_start :])


def our_loss(model: MedGemma, row: TokenizedExample, pixels: torch.Tensor | None) -> torch.Tensor:
    return answer_losses(model, collate([row]), pixels)[0].mean()


@pytest.mark.parametrize("images", [False, True], ids=["text", "images"])
@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_peft(case: str, images: bool) -> None:
    theirs, ours, both = pair(case)
    row, pixels = rows(images)
    loss, other = our_loss(ours, row, pixels), their_loss(theirs, row, pixels)
    torch.testing.assert_close(loss, other, rtol=1e-5, atol=1e-5)
    loss.backward()
    other.backward()
    assert len(both) == (147 if "dora" in case else 98)
    for name, (theirs_value, ours_value) in both.items():
        assert theirs_value.grad is not None and ours_value.grad is not None, name
        assert ours_value.grad.abs().max() > 0, name
        error = (theirs_value.grad - ours_value.grad).norm() / theirs_value.grad.norm()
        assert error < 1e-4, (name, float(error))
    trained = {name for name, parameter in ours.named_parameters() if parameter.grad is not None}
    assert len(trained) == len(both)  # nothing else: no embedding, no head


@pytest.mark.parametrize("case", ["lora", "qlora"])
def test_twenty_steps_follow_theirs(case: str) -> None:
    theirs, ours, both = pair(case)
    optimizers = [
        torch.optim.AdamW([pair[side] for pair in both.values()], lr=2e-3, weight_decay=0.01) for side in (0, 1)
    ]
    curves: list[list[float]] = [[], []]
    for step in range(20):
        row, pixels = rows(step % 2 == 0, seed=step % 4)
        for side, loss in ((0, their_loss(theirs, row, pixels)), (1, our_loss(ours, row, pixels))):
            curves[side].append(loss.item())
            loss.backward()
            optimizers[side].step()
            optimizers[side].zero_grad()
    assert curves[1][-4:] < curves[1][:4]
    torch.testing.assert_close(torch.tensor(curves[1]), torch.tensor(curves[0]), rtol=2e-3, atol=2e-3)


def test_with_its_adapters_off_the_model_is_its_base() -> None:
    theirs, ours, _ = pair("dora")
    row, pixels = rows(True)
    with adapters_off(ours), theirs.disable_adapter():
        torch.testing.assert_close(our_loss(ours, row, pixels), their_loss(theirs, row, pixels), rtol=1e-5, atol=1e-5)
    assert abs(float(our_loss(ours, row, pixels)) - float(their_loss(theirs, row, pixels))) < 1e-4


@pytest.mark.parametrize("case", CASES)
def test_the_merged_weight_gives_the_same_states(case: str) -> None:
    _, ours, _ = pair(case)
    layer = ours.language_model.layers[3].mlp.up_proj
    assert isinstance(layer, TunedLinear)
    x = torch.randn(5, layer.in_features, generator=torch.Generator().manual_seed(2))
    exact = 1e-5 if layer.base is None else 3e-2  # over NF4 it is rounded to bfloat16
    torch.testing.assert_close(F.linear(x, layer.merged().float()), layer(x), rtol=exact, atol=exact)
