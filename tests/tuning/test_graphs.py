"""Batches of fixed shape have the losses and gradients of plain ones; on a GPU, so have recorded ones."""

from __future__ import annotations

import pytest
import torch
from tiny_training import IMAGE, SOFT, tiny_model, tiny_recipe

from aris.tuning.data.collate import StaticBatch, collate, static_batch
from aris.tuning.data.examples import TokenizedExample
from aris.tuning.steps.graphs import GraphedSteps, static_loss
from aris.tuning.steps.microbatches import round_up
from aris.tuning.trainable import answer_losses, example_means, prepare

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def examples_of(seed: int, images: bool) -> list[TokenizedExample]:
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for number, length in enumerate((30, 9, 45, 21)):  # the window is 16
        ids = torch.randint(5, 120, (length,), generator=generator).tolist()
        shown = (number, number + 4) if images and number % 2 == 0 else ()
        for place, _ in enumerate(shown):
            ids[2 + place * 7 : 2 + place * 7 + SOFT] = [IMAGE] * SOFT
        rows.append(TokenizedExample("t", ids, length - 5, None, ((length - 5, length),), shown, weight=1.0 + number))
    return rows


def by_length(tokens: int, answers: int) -> tuple[int, int]:
    return round_up(tokens), round_up(answers)


@pytest.mark.parametrize("images", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_losses_and_gradients_are_those_of_plain_batches(packed: bool, images: bool) -> None:
    model = tiny_model()
    trained = prepare(model, tiny_recipe(checkpointing=True), DEVICE)
    with torch.no_grad():
        for name, parameter in trained.items():
            if "lora_B" in name:
                parameter.normal_(std=0.2)
    bank = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(1)).to(DEVICE)

    def loss(batch: StaticBatch) -> torch.Tensor:
        return static_loss(model, batch, train_tower=True)

    told: list[str] = []
    steps = GraphedSteps(trained, loss, told.append)
    for seed in range(4):  # from the second batch of a shape on, a GPU plays back
        rows = examples_of(seed, images)
        plain = collate(rows, packed=packed).to(DEVICE)
        pixels = bank[plain.images] if images else None
        means = example_means(answer_losses(model, plain, pixels, train_tower=True)[0], plain)
        wanted = (means * plain.weights).sum() / 20.0
        gradients = torch.autograd.grad(wanted, list(trained.values()), allow_unused=True)
        wanted, means = wanted.detach(), means.detach()
        steps.zero()
        batch = static_batch(rows, 20.0, by_length, packed=packed, image_token=IMAGE, pixels=pixels)
        assert batch.token_ids.shape[1] % 64 == 0 and len(batch.targets) == 64
        found = steps.add(batch)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
        for parameter, gradient in zip(trained.values(), gradients, strict=True):
            assert parameter.grad is not None
            if gradient is None:
                assert not parameter.grad.any()
            else:
                assert (parameter.grad - gradient).norm() <= 1e-4 * gradient.norm() + 1e-6
        before = [parameter.grad.clone() for parameter in trained.values()]
        steps.add(batch)  # gradients add up
        for parameter, once in zip(trained.values(), before, strict=True):
            assert (parameter.grad - 2 * once).norm() <= 1e-4 * once.norm() + 1e-6
    assert not told and len(steps) == (1 if DEVICE.type == "cuda" else 0)


def test_sizes_are_few_and_never_far_above() -> None:
    sizes = {round_up(count) for count in range(1, 4097)}
    assert len(sizes) < 32
    assert all(count <= round_up(count) <= max(count + 63, count * 1.25 + 1) for count in range(1, 4097))
