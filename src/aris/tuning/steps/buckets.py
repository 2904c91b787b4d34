"""Micro-batches of a few fixed shapes (buckets), each recorded once as a CUDA graph.

A step of `aris-nano` draws over a hundred examples of 70 to 700 tokens. Split by length alone, no two micro-batches
have the same shape, so nothing could be replayed, and a GPU waits for the launches of a small model's kernels. Here
every example goes to the narrowest bucket that it fits; a bucket takes a fixed number of examples, and examples without
weight fill the last one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from aris.tuning.data.examples import TokenizedExample
from aris.tuning.data.mixture import Mixture, step_generator

# Padded tokens of a full bucket at most: more do not make a GPU faster, and bound its memory.
BUCKET_TOKENS = 6144
_SHORT = 8  # answer tokens
_WIDTHS = (80, 112, 192, 384, 704, 1024, 1536, 2304)
# Long answers are padded to a multiple of this many tokens a bucket. A graph is recorded for each shape.
_ANSWER_STEP = 1024
# A bucket is as large as this share of the steps needs.
_ENOUGH = 0.9
# Steps that are drawn to choose the buckets' sizes by.
_SAMPLED_STEPS = 40

Key = tuple[int, int, bool]


@dataclass(frozen=True)
class Bucket:
    """A shape of micro-batches.

    Attributes:
        images: of each of its examples.
        width: tokens of an example at most.
        long: its examples have long answers.
        size: examples that it takes.
        answers: tokens with loss of all its examples at most.
    """

    images: int
    width: int
    long: bool
    size: int
    answers: int

    @property
    def key(self) -> Key:
        """The key of the examples that go here."""
        return self.images, self.width, self.long


class BucketMicroBatching:
    """Micro-batches that each fill a bucket (a `MicroBatching`).

    Args:
        buckets: for every key of the examples.
    """

    packed = False

    def __init__(self, buckets: Sequence[Bucket]) -> None:
        self.buckets = {bucket.key: bucket for bucket in buckets}

    @classmethod
    def of(cls, mixture: Mixture, batch_size: int, seed: int) -> BucketMicroBatching:
        """Choose buckets by some steps as a run draws them."""
        steps = [mixture.draw(batch_size, step_generator(seed, step)) for step in range(_SAMPLED_STEPS)]
        return cls(build_buckets(mixture.examples, steps))

    def split(self, examples: Sequence[TokenizedExample]) -> list[tuple[list[TokenizedExample], bool]]:
        """Split a step's examples into full buckets: the last of a key has examples of no weight too. All count."""
        by_key: dict[Key, list[TokenizedExample]] = {}
        for example in examples:
            by_key.setdefault(_key(example), []).append(example)
        filled = []
        for key, own in sorted(by_key.items()):
            size, fewest = self.buckets[key].size, min(own, key=_answers)
            for start in range(0, len(own), size):
                microbatch = own[start : start + size]
                filled.append((microbatch + [replace(fewest, weight=0.0)] * (size - len(microbatch)), True))
        return filled

    def shape(self, examples: Sequence[TokenizedExample], tokens: int, answers: int) -> tuple[int, int]:
        """Return the bucket's width, and its answers: all if they are short, else the next multiple of a step."""
        bucket = self.buckets[_key(examples[0])]
        long = min(bucket.answers, -(-answers // _ANSWER_STEP) * _ANSWER_STEP)
        return bucket.width, long if bucket.long else bucket.answers


def build_buckets(examples: Sequence[TokenizedExample], steps: Sequence[Sequence[TokenizedExample]]) -> list[Bucket]:
    """Return the buckets that examples need, narrow ones first.

    Args:
        examples: of the whole data set.
        steps: some steps' examples, by which the buckets' sizes are chosen.
    """
    most: dict[Key, int] = {}
    for example in examples:
        key = _key(example)
        most[key] = max(most.get(key, 0), _answers(example))
    counts = [Counter(_key(example) for example in step) for step in steps]
    buckets = []
    for (images, width, long), answers in sorted(most.items()):
        needed = sorted(count[images, width, long] for count in counts)[int(_ENOUGH * (len(counts) - 1))]
        microbatches = max(1, -(-needed * width // BUCKET_TOKENS))
        size = max(1, -(-needed // microbatches))
        buckets.append(Bucket(images, width, long, size, size * answers))
    return buckets


def _answers(example: TokenizedExample) -> int:
    return sum(stop - start for start, stop in example.spans())


def _key(example: TokenizedExample) -> Key:
    length = len(example.token_ids)
    width = next((width for width in _WIDTHS if length <= width), -(-length // 512) * 512)
    return len(example.all_images()), width, _answers(example) > _SHORT
