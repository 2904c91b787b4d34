"""Batches: padding and positions; packed examples have the losses and gradients that they have apart."""

from __future__ import annotations

from pathlib import Path

import torch
from tiny_training import IMAGE, SOFT, tiny_loop, tiny_model, tiny_recipe

from aris.tuning.checkpointing import Curve
from aris.tuning.data.collate import collate
from aris.tuning.data.examples import TokenizedExample
from aris.tuning.trainable import answer_losses, example_means, prepare


def test_padding_and_positions() -> None:
    examples = [
        TokenizedExample("a", [5, 6, 7], 2, 4, weight=2.0),
        TokenizedExample("b", [1, 2, 3, 4, 8, 9], 1, 7, ((1, 2), (4, 6)), (7, 1)),
    ]
    batch = collate(examples)
    assert batch.token_ids.tolist() == [[5, 6, 7, 0, 0, 0], [1, 2, 3, 4, 8, 9]]
    assert batch.row_index.tolist() == [0, 1, 1, 1]
    assert batch.token_index.tolist() == [1, 0, 3, 4]
    assert batch.targets.tolist() == [7, 2, 8, 9]
    assert batch.images.tolist() == [4, 7, 1] and batch.weights.tolist() == [2.0, 1.0]


def test_packed_examples_have_their_own_losses_and_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    examples = []
    for number, length in enumerate((30, 9, 45, 21)):  # the window is 16
        ids = torch.randint(5, 120, (length,), generator=generator).tolist()
        images = (number, number + 4) if number % 2 == 0 else ()
        for position, _ in enumerate(images):
            ids[2 + position * 7 : 2 + position * 7 + SOFT] = [IMAGE] * SOFT
        span = (length - 5, length)
        examples.append(TokenizedExample("t", ids, length - 5, None, (span,), images, weight=1.0 + number))
    pixels = torch.randn(8, 3, 16, 16, generator=generator)
    model = tiny_model()
    trained = prepare(model, tiny_recipe())
    with torch.no_grad():
        for name, parameter in trained.items():
            if "lora_B" in name:
                parameter.normal_(std=0.2, generator=generator)
    found = []
    for packed in (False, True):
        batch = collate(examples, packed=packed)
        assert batch.token_ids.shape == ((1, 105) if packed else (4, 45))
        means = example_means(answer_losses(model, batch, pixels[batch.images], train_tower=True)[0], batch)
        gradients = torch.autograd.grad((means * batch.weights).sum(), list(trained.values()), allow_unused=True)
        found.append((means.detach(), [g for g in gradients if g is not None]))
    alone = [
        example_means(answer_losses(model, collate([each]), pixels[list(each.images)] if each.images else None)[0],
                  collate([each])).detach() for each in examples
    ]  # fmt: skip
    torch.testing.assert_close(found[1][0], torch.cat(alone), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-4, atol=1e-5)
    for one, two in zip(found[0][1], found[1][1], strict=True):
        assert (one - two).norm() <= 1e-4 * one.norm() + 1e-6


def test_a_packed_run_follows_the_padded_one(tmp_path: Path) -> None:
    losses = []
    for packing in (False, True):
        out = tmp_path / str(packing)
        tiny_loop(out, packing=packing, steps=10).run()
        losses.append([e["validation_loss"] for e in Curve.read(out / "curve.jsonl") if "validation_loss" in e])
    torch.testing.assert_close(torch.tensor(losses[0]), torch.tensor(losses[1]), rtol=1e-2, atol=1e-2)
