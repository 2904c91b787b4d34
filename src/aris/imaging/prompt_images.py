"""Images in the order and with the labels that MedGemma's prompts have: CT, MR, slides' patches go in like this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aris.errors import ImageError
from aris.imaging.orientation import STORED, Letters, Turn
from aris.imaging.volumes.sampling import MAX_SLICES, slice_indices
from aris.imaging.volumes.volume import Volume
from aris.imaging.volumes.windows import Version, ct_rgb, stretched


@dataclass(frozen=True, eq=False)
class PromptImage:
    """Image of a prompt.

    Attributes:
        pixels: uint8 (H, W, 3).
        label: the text that follows it, as "SLICE 1", counted from 1 in the prompt.
        index: of the slice in its volume, or of the patch in its slide, from 0.
        turn: from the pixels that the file stores to these: boxes in a document are of the stored ones.
        orientation: where rows and columns point, as ("L", "F"); None where the file does not say.
    """

    pixels: npt.NDArray[np.uint8]
    label: str
    index: int
    turn: Turn = STORED
    orientation: Letters | None = None


def volume_images(volume: Volume, version: Version = "1.5", limit: int = MAX_SLICES) -> tuple[PromptImage, ...]:
    """The slices that a model sees, first and last included, with their labels, in the customary view.

    CT: three windows of Hounsfield units as red, green and blue (`windows.CT_WINDOWS`). MR: least to greatest value of
    the whole acquisition to 0..255, grey in three channels; never slice by slice, which would hide what differs
    between them. The reference takes the same for MR. Where low values are to be shown bright (MONOCHROME1), it is
    inverted last.

    Args:
        volume: CT in Hounsfield units, or MR.
        version: of MedGemma: decides the CT windows.
        limit: slices at most; 85 is what 1.5 was trained with.

    Raises:
        ImageError: another modality, CT without Hounsfield units, or a limit under 1.
    """
    indices = slice_indices(len(volume.voxels), limit)
    chosen: npt.NDArray[Any] = volume.voxels[list(indices)]
    if volume.modality == "CT":
        if volume.unit != "HU":
            raise ImageError("ct: the values are not Hounsfield units; the windows need them")
        pixels = ct_rgb(chosen, version)
    elif volume.modality == "MR":
        grey = stretched(chosen, *volume.value_range)
        grey = 255 - grey if volume.inverted else grey
        pixels = np.repeat(grey[..., None], 3, axis=-1)
    else:
        raise ImageError("volume: only CT and MR have a form in MedGemma's prompts; say which it is")
    return tuple(
        PromptImage(
            np.ascontiguousarray(volume.turn.applied(pixels[position])), f"SLICE {position + 1}", index, volume.turn,
            volume.lying,
        )
        for position, index in enumerate(indices)
    )
