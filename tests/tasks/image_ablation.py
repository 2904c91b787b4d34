"""Does a model look at the image? Its scores on the film against those on noise and on a blank of the same size.

A model that answers alike whatever it is shown has learnt its labels' frequencies, and no figure of it means anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aris.backends import Backend
from aris.imaging import Film
from aris.prompting import Image, user
from aris.tasks.findings import require_images
from aris.tasks.text.prompts import ANSWERS, FINDING_QUESTION


@dataclass(frozen=True)
class Ablation:
    """A finding's answer logit, log p("Yes") - log p("No"), by what was shown."""

    finding: str
    film: float
    noise: float
    blank: float

    @property
    def change(self) -> float:
        """How far the logit moves at least when the film is taken away."""
        return min(abs(self.film - self.noise), abs(self.film - self.blank))


def image_ablation(model: Backend, film: Film, names: Sequence[str], *, seed: int = 0) -> tuple[Ablation, ...]:
    """Score findings on a film, on noise and on a blank of its size; neither scope nor gate is asked.

    Raises:
        ModelError: the model reads no images, or gives no log-probabilities.
    """
    require_images(model)
    noise = np.random.default_rng(seed).integers(0, 256, film.pixels.shape, dtype=np.uint8)
    blank = np.full_like(film.pixels, 128)
    questions = [(FINDING_QUESTION.format(finding=name), ANSWERS) for name in names]
    columns = [
        [yes - no for yes, no in model.score_many([user(Image(pixels))], questions)]
        for pixels in (film.pixels, noise, blank)
    ]
    return tuple(Ablation(name, *logits) for name, logits in zip(names, zip(*columns, strict=True), strict=True))
