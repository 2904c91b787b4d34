"""The learning rate over the steps: a linear warm-up, then a half cosine."""

from __future__ import annotations

import math

# The cosine ends here, not at 0: the last steps still learn.
FLOOR = 0.02


def warmup_cosine(step: int, steps: int, warmup: int) -> float:
    """Return the factor on the peak learning rate at `step`, counted from 0, of `steps`.

    Rises to 1 at step `warmup - 1`, falls to `FLOOR` at the last step.
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = (step + 1 - warmup) / max(1, steps - warmup)
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
