"""ICC profiles: colours of a camera or a slide scanner to sRGB, which is what models are trained on."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms


def to_srgb(pixels: npt.NDArray[np.uint8], profile: bytes | None) -> tuple[npt.NDArray[np.uint8], str | None]:
    """Apply an ICC profile (ICC.1; DICOM PS3.3 C.11.15), with its own rendering intent's relative colours.

    Args:
        pixels: uint8 (H, W, 3).
        profile: an input, display or colour space profile of RGB; None for none.

    Returns:
        the pixels, and a warning if the profile could not be followed.
    """
    if not profile:
        return pixels, None
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(bytes(profile)))
        if given.profile.xcolor_space.strip() != "RGB":
            return pixels, "its colour profile is not for RGB and was not used"
        made = ImageCms.profileToProfile(Image.fromarray(pixels), given, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return pixels, "its colour profile is damaged and was not used"
    assert made is not None
    return np.ascontiguousarray(made), None
