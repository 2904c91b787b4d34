"""Gradients layer by layer against plain ones, in every format of weights; relevance where it is known."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from aris.errors import ModelError
from aris.model import MedGemma
from aris.model.quantized import quantize_model
from aris.model.relevance import Target, patch_gradients, patch_relevance
from tiny_checkpoint import IMAGE_SIZE, config, network


def prompt(model: MedGemma) -> list[int]:
    settings = model.config
    image = [settings.boi_token_index, *[settings.image_token_index] * settings.mm_tokens_per_image]
    return [2, 7, *image, settings.eoi_token_index, 9, 11]


def plain(model: MedGemma, pixels: Tensor, ids: list[int], targets: list[Target]) -> tuple[list[Tensor], float]:
    """The same by one backward pass through the model's own code."""
    tower = model.vision_tower
    assert tower is not None and model.multi_modal_projector is not None
    states = [tower.embeddings(pixels).detach().requires_grad_()]
    for layer in tower.encoder.layers:
        states.append(layer(states[-1]))
        states[-1].retain_grad()
    states.append(tower.post_layernorm(states[-1]))
    states[-1].retain_grad()
    hidden = model.hidden_states(torch.tensor([ids]), model.multi_modal_projector(states[-1]))[0]
    logits = model.logits(hidden)
    score = torch.zeros(())
    for target in targets:
        row = logits[target.position]
        score = score + (
            row.log_softmax(-1)[target.token] if target.against is None else row[target.token] - row[target.against]
        )
    score.backward()
    gradients = [state.grad for state in states]
    assert all(gradient is not None for gradient in gradients)
    return [gradient for gradient in gradients if gradient is not None], float(score.detach())


def images(count: int = 1, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, IMAGE_SIZE, IMAGE_SIZE, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_gradients_are_those_of_one_backward_pass() -> None:
    model = network()
    ids = prompt(model)
    targets = [Target(len(ids) - 1, 20, 30), Target(len(ids) - 2, 11), Target(len(ids) - 1, 40)]
    _, found, score = patch_gradients(model, images(), ids, targets)
    wanted, reference = plain(model, images(), ids, targets)
    assert score == pytest.approx(reference, abs=1e-4)
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert all(parameter.grad is None or True for parameter in model.parameters())


@pytest.mark.parametrize("kind", ["bfloat16", "int8", "int4", "int8 in bfloat16"])
def test_coarser_weights_are_differentiated_in_float32(kind: str) -> None:
    model = network()
    dense = copy.deepcopy(model)
    if "int" in kind:
        quantize_model(model, kind.split()[0], group_size=16 if kind == "int4" else None)
    if "bfloat16" in kind:
        model = model.bfloat16()
    ids = prompt(model)
    targets = [Target(len(ids) - 1, 20, 30)]
    found, score = patch_relevance(model, images(), ids, targets)
    exact, other = patch_relevance(dense, images(), ids, targets)
    assert found.dtype == torch.float32 and torch.isfinite(found).all()
    assert score == pytest.approx(other, abs=1.0)
    assert torch.corrcoef(torch.stack([found.flatten(), exact.flatten()]))[0, 1] > (0.5 if kind == "int4" else 0.9)


def test_each_image_has_its_own_grid() -> None:
    model = network()
    ids = prompt(model)
    found, _ = patch_relevance(model, images(2), [*ids, *ids[1:]], [Target(2 * len(ids) - 2, 20)])
    assert found.shape == (2, 4, 4) and not torch.equal(found[0], found[1])


def test_the_shape_of_medgemma_4b_in_small() -> None:
    """More layers, grouped heads, scaled RoPE: as `4B`, some sizes smaller."""
    torch.manual_seed(0)
    settings = config(layers=8)
    model = MedGemma(settings).eval()
    found, _ = patch_relevance(model, images(), prompt(model), [Target(3, 20)])
    assert found.shape == (1, 4, 4) and torch.isfinite(found).all()


def test_what_cannot_be_explained_is_refused() -> None:
    model = network()
    with pytest.raises(ModelError, match="nothing to explain"):
        patch_relevance(model, images(), prompt(model), [])
    with pytest.raises(ModelError, match="no vision tower"):
        patch_relevance(network(vision=False), images(), [2, 3], [Target(1, 5)])
    with pytest.raises(ModelError, match="more than the model reads"):
        patch_relevance(network(max_position_embeddings=8), images(), prompt(model), [Target(1, 5)])


def test_the_only_patch_that_differs_is_found() -> None:
    """A tower whose patches do not look at one another: what is the same in all patches explains nothing."""
    model = network(seed=5)
    tower = model.vision_tower
    assert tower is not None
    with torch.no_grad():
        for layer in tower.encoder.layers:
            layer.self_attn.out_proj.weight.zero_()
            layer.self_attn.out_proj.bias.zero_()
            layer.mlp.fc2.weight.zero_()
            layer.mlp.fc2.bias.zero_()
        tower.embeddings.position_embedding.weight.zero_()
        tower.embeddings.patch_embedding.bias.zero_()
        tower.post_layernorm.bias.zero_()
    side, patch = 4, IMAGE_SIZE // 4
    for row, column in [(0, 0), (1, 3), (2, 1), (3, 3)]:
        pixels = torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE)
        pixels[:, :, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch] = images()[0, :, :patch, :patch]
        found, _ = patch_relevance(model, pixels, prompt(model), [Target(9, 20, 30)])
        assert int(found.abs().flatten().argmax()) == row * side + column
        others = found.abs().flatten().sort().values[:-1]
        assert float(others.max()) < 1e-3 * float(found.abs().max())
