"""Gradients layer by layer against plain ones, in every format of weights; relevance where it is known."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from aris.errors import ModelError
from aris.kernels.gpu.weights import NF4_VALUES
from aris.model import MedGemma
from aris.model.quantized import Codes, QuantizedEmbedding, QuantizedLinear, pack
from aris.model.relevance import Target, patch_gradients, patch_relevance
from quantized_models import quantize_model
from tiny_checkpoint import IMAGE_SIZE, config, network


def prompt(model: MedGemma) -> list[int]:
    settings = model.config
    image = [settings.boi_token_index, *[settings.image_token_index] * settings.mm_tokens_per_image]
    return [2, 7, *image, settings.eoi_token_index, 9, 11]


def plain(model: MedGemma, pixels: Tensor, ids: list[int], targets: list[Target]) -> tuple[list[Tensor], float]:
    """The same by one backward pass through the model's own code."""
    tower = model.vision_tower
    assert tower is not None and model.multi_modal_projector is not None
    states = [pixels.clone().requires_grad_()]
    for part in (tower.embeddings, *tower.encoder.layers, tower.post_layernorm):
        states.append(part(states[-1]))
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


def nf4(matrix: Tensor, group: int = 16) -> Codes:
    """A matrix in NF4 as the QLoRA paper has it (arXiv 2305.14314, 3): the nearest of 16 values times the group's
    largest."""
    groups = matrix.detach().float().view(matrix.shape[0], -1, group)
    scale = groups.abs().amax(2)
    codes = (groups[..., None] / scale[:, :, None, None] - torch.tensor(NF4_VALUES)).abs().argmin(-1)
    return Codes("nf4", pack(codes.to(torch.uint8).view(matrix.shape), group), scale, None, group)


@pytest.mark.parametrize("kind", ["int8", "int4", "nf4"])
def test_maps_of_quantised_weights_are_those_of_the_weights_they_stand_for(kind: str) -> None:
    model = network()
    dense = copy.deepcopy(model)
    decoder = model.language_model
    if kind == "nf4":  # as the checkpoints that bitsandbytes writes are read
        for name, module in list(decoder.named_modules()):
            if isinstance(module, nn.Linear):
                decoder.set_submodule(name, QuantizedLinear.from_codes(nf4(module.weight)))
        decoder.embed_tokens = QuantizedEmbedding.from_codes(nf4(decoder.embed_tokens.weight))
    else:
        quantize_model(model, kind, group_size=16, head=kind)
    changed = 0
    for name, module in model.named_modules():
        if isinstance(module, QuantizedLinear | QuantizedEmbedding):
            dense.get_submodule(name).weight.data = module.dequantized()
            changed += 1
    assert changed == 1 + 7 * len(dense.language_model.layers)
    ids = prompt(model)
    targets = [Target(len(ids) - 1, 20, 30), Target(len(ids) - 2, 11)]
    _, found, score = patch_gradients(model, images(), ids, targets)
    _, wanted, other = patch_gradients(dense, images(), ids, targets)
    assert score == pytest.approx(other, abs=1e-4)
    for one, reference in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, reference, rtol=1e-4, atol=1e-6)
    # Not those of the weights before they were rounded.
    assert abs(score - patch_gradients(network(), images(), ids, targets)[2]) > 1e-3


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


class Only(nn.Module):
    """A layer that lets one patch through: nothing else can matter to what comes after it."""

    def __init__(self, patches: int, kept: int) -> None:
        super().__init__()
        self.mask = torch.zeros(patches, 1).index_fill(0, torch.tensor([kept]), 1.0)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.mask


@pytest.mark.parametrize("kept", [0, 7, 9, 15])
def test_the_only_patch_that_matters_has_all_relevance(kept: int) -> None:
    model = network(seed=5)
    assert model.vision_tower is not None
    model.vision_tower.encoder.layers[0] = Only(16, kept)
    found, _ = patch_relevance(model, images(), prompt(model), [Target(9, 20, 30)])
    others = torch.arange(16) != kept
    assert float(found.flatten()[kept].abs()) > 0 and not found.flatten()[others].any()
