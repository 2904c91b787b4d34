"""Sampling of slices: the ones of many that a model sees."""

from __future__ import annotations

from aris.errors import ImageError

MAX_SLICES = 85  # MedGemma 1.5, model card and CT notebook


def slice_indices(count: int, limit: int = MAX_SLICES) -> tuple[int, ...]:
    """Evenly spaced indices from 0 to count - 1, each once, ascending, the first and the last among them.

    The published sampler takes round(i / limit * (count - 1)) for i = 1..limit and so never the first slice; here
    i = 0..limit - 1 over limit - 1. At most `limit` slices are all taken.

    Raises:
        ImageError: there is no slice, or the limit is under 1.
    """
    if count < 1 or limit < 1:
        raise ImageError(f"sampling: {count} slices, {limit} at most; both must be at least 1")
    if count <= limit:
        return tuple(range(count))
    if limit == 1:
        return ((count - 1) // 2,)
    return tuple(round(i / (limit - 1) * (count - 1)) for i in range(limit))
