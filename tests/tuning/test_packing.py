"""Rows packed behind each other have the losses and gradients that they have apart."""

from __future__ import annotations

from pathlib import Path

import torch
from tiny_training import IMAGE, SOFT, tiny_loop, tiny_model, tiny_recipe

from aris.tuning.checkpointing import Curve
from aris.tuning.data.collate import collate
from aris.tuning.data.rows import TokenRow
from aris.tuning.trainable import answer_losses, prepare, row_means


def test_packed_rows_have_their_own_losses_and_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = []
    for number, length in enumerate((30, 9, 45, 21)):  # the window is 16
        ids = torch.randint(5, 120, (length,), generator=generator).tolist()
        pictures = (number, number + 4) if number % 2 == 0 else ()
        for place, _ in enumerate(pictures):
            ids[2 + place * 7 : 2 + place * 7 + SOFT] = [IMAGE] * SOFT
        rows.append(TokenRow("t", ids, length - 5, None, ((length - 5, length),), pictures, weight=1.0 + number))
    pixels = torch.randn(8, 3, 16, 16, generator=generator)
    model = tiny_model()
    trained = prepare(model, tiny_recipe())
    with torch.no_grad():
        for name, parameter in trained.items():
            if "lora_B" in name:
                parameter.normal_(std=0.2, generator=generator)
    found = []
    for packed in (False, True):
        batch = collate(rows, packed=packed)
        assert batch.token_ids.shape == ((1, 105) if packed else (4, 45))
        means = row_means(answer_losses(model, batch, pixels[batch.pictures], train_tower=True)[0], batch)
        gradients = torch.autograd.grad((means * batch.weights).sum(), list(trained.values()), allow_unused=True)
        found.append((means.detach(), [g for g in gradients if g is not None]))
    alone = [
        row_means(answer_losses(model, collate([row]), pixels[list(row.pictures)] if row.pictures else None)[0],
                  collate([row])).detach() for row in rows
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
