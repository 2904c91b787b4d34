"""The appearance of a film in a few bits: frame, habitus, posture, and the exposure that equalising leaves.

They choose the wording of training drafts (`reports.py`). A bit is the side of the mean on which a film lies along
one of the principal components of small equalised films.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from aris.tuning.nano.augment import equalize
from aris.tuning.nano.reports import LOOK_BITS

_SIDE = 16


def _small(films: Tensor) -> npt.NDArray[np.float64]:
    """Reduce films (N, S, S) uint8 to (N, 256)."""
    chunks = []
    for chunk in films.split(256):
        reduced = F.avg_pool2d(chunk[:, None].float() / 255, max(films.shape[-1] // 56, 1))
        chunks.append(F.adaptive_avg_pool2d(equalize(reduced), _SIDE))
    return torch.cat(chunks).flatten(1).double().numpy()


@dataclass(frozen=True)
class Looks:
    """Principal components of films.

    Attributes:
        mean: (256,).
        components: (LOOK_BITS, 256).
    """

    mean: npt.NDArray[np.float64]
    components: npt.NDArray[np.float64]

    @classmethod
    def of(cls, films: Tensor) -> Looks:
        """Compute the components of films (N, S, S) uint8, N at least `LOOK_BITS`."""
        small = _small(films)
        mean = small.mean(0)
        components = np.linalg.svd(small - mean, full_matrices=False)[2][:LOOK_BITS]
        # A component's sign is arbitrary: its largest weight is made positive.
        largest = components[np.arange(len(components)), np.abs(components).argmax(1)]
        return cls(mean, components * np.sign(largest)[:, None])

    def bits(self, films: Tensor) -> list[tuple[bool, ...]]:
        """Compute `LOOK_BITS` bits of each film."""
        sides = (_small(films) - self.mean) @ self.components.T > 0
        return [tuple(bool(bit) for bit in row) for row in sides]
