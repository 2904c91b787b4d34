"""Micro-batches of examples of like length, so that little padding is computed."""

from __future__ import annotations

from collections.abc import Sequence

# Cost of one more micro-batch on a GPU (kernel launches), in padded tokens that could have been computed instead.
MICROBATCH_OVERHEAD = 1500


def pack(lengths: Sequence[int], max_tokens: int, overhead: int = MICROBATCH_OVERHEAD) -> list[list[int]]:
    """Split examples into micro-batches at the least cost: padded tokens, and `overhead` for each micro-batch.

    Args:
        lengths: of the examples, in tokens.
        max_tokens: padded tokens of a micro-batch; an example that alone is longer makes a micro-batch of its own.

    Returns:
        Indices into `lengths`, each in one micro-batch.
    """
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    # The least cost of the n shortest examples, and the start of their last micro-batch.
    cost = [0.0] + [float("inf")] * len(order)
    start_of = [0] * (len(order) + 1)
    for stop in range(1, len(order) + 1):
        longest = lengths[order[stop - 1]]
        for start in range(stop - 1, -1, -1):
            padded = longest * (stop - start)
            if padded > max_tokens and stop - start > 1:
                break
            if cost[start] + padded + overhead < cost[stop]:
                cost[stop], start_of[stop] = cost[start] + padded + overhead, start
    microbatches = []
    stop = len(order)
    while stop:
        microbatches.append(order[start_of[stop] : stop])
        stop = start_of[stop]
    return microbatches[::-1]
