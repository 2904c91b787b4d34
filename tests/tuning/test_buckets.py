"""Steps split into buckets: a few shapes, every example once, and the same training as without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import IMAGE, plain, tiny_examples, tiny_model, tiny_recipe

from aris.tuning.data.collate import static_batch
from aris.tuning.data.examples import TokenizedExample
from aris.tuning.data.mixture import Mixture
from aris.tuning.loop import Loop
from aris.tuning.steps.buckets import Bucket, BucketMicroBatching, build_buckets
from aris.tuning.steps.forward import TrainingImages
from aris.tuning.steps.graphs import GraphedSteps
from aris.tuning.trainable import prepare

pytestmark = pytest.mark.filterwarnings("ignore:.*deterministic")


def example(length: int, answer: int = 3, image: int | None = None) -> TokenizedExample:
    ids = list(range(5, 5 + length))
    if image is not None:
        ids[2:6] = [IMAGE] * 4
    return TokenizedExample("t", ids, length - answer, image)


def test_every_example_is_in_one_bucket_and_the_batches_of_a_bucket_have_few_shapes() -> None:
    examples = [example(length, 1 + length % 7) for length in range(40, 700, 3)]
    examples += [example(70, 2, n) for n in range(90)]
    examples += [example(length, length // 2, 3) for length in range(100, 180)]
    buckets = build_buckets(examples, [examples[::2], examples[1::2]])
    batching = BucketMicroBatching(buckets)
    shapes: dict[Bucket, set[Any]] = {}
    for chosen in (examples, examples[::2], examples[5:9], examples[-3:]):
        filled = batching.split(chosen)
        assert sorted(map(id, chosen)) == sorted(id(each) for part, _ in filled for each in part if each.weight)
        assert sum(len(part) for part, _ in filled) < len(chosen) + sum(bucket.size for bucket in buckets)
        for part, counts in filled:
            width, _ = batching.shape(part, 0, 0)
            (bucket,) = [
                each
                for each in buckets
                if each.key == (len(part[0].all_images()), width, part[0].spans()[0][1] - part[0].spans()[0][0] > 8)
            ]
            assert counts and len(part) == bucket.size and all(len(each.token_ids) <= width for each in part)
            pixels = torch.zeros(len(part), 3, 16, 16) if bucket.images else None

            def shape(tokens: int, answers: int, part: list[TokenizedExample] = part) -> tuple[int, int]:
                return batching.shape(part, tokens, answers)

            batch = static_batch(part, 1.0, shape, packed=batching.packed, image_token=IMAGE, pixels=pixels)
            found = tuple(None if t is None else (t.shape, t.dtype) for t in batch.tensors())
            shapes.setdefault(bucket, set()).add(found)
            assert batch.token_ids.shape == (bucket.size, bucket.width)
            # The answers of examples of no weight have no share.
            wanted = sum(each.weight for each in part)
            assert batch.shares.sum().item() == pytest.approx(wanted, abs=1e-4)
    assert len(shapes) == len(buckets)
    assert all(len(each) == 1 for bucket, each in shapes.items() if not bucket.long)
    assert all(len(each) <= 1 + bucket.answers // 1024 for bucket, each in shapes.items())


def test_training_in_buckets_ends_with_the_weights_of_the_plain_loop(tmp_path: Path) -> None:
    ends = []
    for bucketed in (False, True):
        recipe = tiny_recipe(steps=4, evaluate_every=4, save_every=4)
        model = tiny_model()
        train, validation, bank = tiny_examples()
        trained = prepare(model, recipe)
        images = TrainingImages(bank, lambda images, _: plain(images), plain)
        loop = Loop(model, trained, recipe, train, validation, images, tmp_path / str(bucketed), lambda _: None)
        if bucketed:
            # On a CPU nothing is recorded, but the batches are those that a GPU records.
            mixture = Mixture(train, recipe.mixture, frozenset(recipe.balanced))
            loop.microbatching = BucketMicroBatching.of(mixture, recipe.batch_size, recipe.seed)
            loop.graphs = GraphedSteps(trained, loop._static_loss, lambda _: None)
        loop.run()
        ends.append({name: value.detach().clone() for name, value in trained.items()})
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=1e-3, atol=1e-4)
