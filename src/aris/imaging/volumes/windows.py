"""Voxels to the 8-bit images that MedGemma was trained on: CT windows by model version, MR over the acquisition."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from aris.errors import ImageError

Version = Literal["1.0", "1.5"]
Window = tuple[float, float]

# Hounsfield units (low, high) of the red, green and blue channel. 1.5: Google's notebook
# high_dimensional_ct_hugging_face. 1.0: the earlier guidance, width/level 2250/-100, 350/40 and 80/40.
CT_WINDOWS: dict[Version, tuple[Window, Window, Window]] = {
    "1.5": ((-1024, 1024), (-135, 215), (0, 80)),
    "1.0": ((-1225, 1025), (-135, 215), (0, 80)),
}


def ct_rgb(hu: npt.NDArray[Any], version: Version = "1.5") -> npt.NDArray[np.uint8]:
    """Hounsfield units to RGB, one window a channel, rounded to 8 bits.

    Args:
        hu: (..., H, W), a signed or floating type.
        version: of MedGemma.

    Returns:
        uint8 (..., H, W, 3).

    Raises:
        ImageError: the type is unsigned, in which air at -1000 would be bright, or the version is unknown.
    """
    if hu.dtype.kind not in "if":
        raise ImageError(f"ct: Hounsfield units came as {hu.dtype}; they need a signed type")
    if version not in CT_WINDOWS:
        raise ImageError(f"ct: no windows for version {version!r}; use one of {', '.join(CT_WINDOWS)}")
    shown = np.empty((*hu.shape, 3), dtype=np.uint8)
    if hu.dtype == np.int16:  # each of 65,536 values once, at the place that its bits name as an unsigned number
        values = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.float32)
        table = np.stack([_windowed(values, low, high) for low, high in CT_WINDOWS[version]], axis=-1)
        np.take(table, hu.view(np.uint16), axis=0, out=shown, mode="clip")
        return shown
    for channel, (low, high) in enumerate(CT_WINDOWS[version]):
        shown[..., channel] = _windowed(hu.astype(np.float32), low, high)
    return shown


def _windowed(values: npt.NDArray[np.float32], low: float, high: float) -> npt.NDArray[np.uint8]:
    # The reference's order of float32 steps: clip, shift, divide, times 255, round half to even.
    unit = (np.clip(values, low, high) - np.float32(low)) / np.float32(high - low)
    return np.rint(np.nan_to_num(unit) * np.float32(255)).astype(np.uint8)


def stretched(voxels: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.uint8]:
    """`low`..`high` to 0..255, rounded; all 0 where they are equal. For MR they are those of the whole acquisition.

    Args:
        voxels: any shape and real type.

    Returns:
        uint8 in the same shape.
    """
    if not high > low:
        return np.zeros(voxels.shape, dtype=np.uint8)
    unit = (voxels.astype(np.float64) - low) / (high - low)
    return np.rint(np.clip(np.nan_to_num(unit), 0, 1) * 255).astype(np.uint8)
