"""Films for tests: pixels that pass for a film, and facts as a DICOM file would give them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from aris.imaging import Film


def filmlike(height: int = 300, width: int = 280, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Two dark fields in a bright body on black, with grain: smooth, wide in grey levels, as a film is."""
    y, x = np.mgrid[0:height, 0:width]
    y, x = y / height, x / width
    picture = 30 + 150 * np.exp(-(((x - 0.5) / 0.42) ** 4))
    for centre in (0.3, 0.7):
        picture -= 110 * np.exp(-(((x - centre) / 0.13) ** 2) - ((y - 0.5) / 0.3) ** 2)
    picture += np.random.default_rng(seed).normal(0, 4, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def film(pixels: npt.NDArray[np.uint8] | None = None, **facts: Any) -> Film:
    """A PNG without facts, unless they are given."""
    given: dict[str, Any] = {"source": "film.png", "format": "png", "warnings": (), **facts}
    return Film(pixels=filmlike() if pixels is None else pixels, **given)


def child(**facts: Any) -> Film:
    """A DICOM film inside aris-nano's kind of scope."""
    known = {
        "source": "child.dcm",
        "format": "dicom",
        "modality": "DX",
        "body_part": "CHEST",
        "view_position": "AP",
        "patient_age_years": 3.0,
    }
    return film(**(known | facts))
