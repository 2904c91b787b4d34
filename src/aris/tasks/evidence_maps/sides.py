"""Side of the patient of an image position: image left is the patient's right, unless the file says otherwise.

Patient Orientation (0020,0020) tells where rows and columns point (PS3.3 C.7.6.1.1.1): ("L", "F") of a frontal film
means that columns run to the patient's left.
"""

from __future__ import annotations

from typing import Literal

Side = Literal["left", "right", "midline"]
_MIDDLE = 0.05  # of the width: a box whose centre is this close to the middle is on neither side
_CROSSES = 0.1  # of the width: a box that reaches this far over the middle on both sides is on neither


def side_of(
    box: tuple[float, float, float, float], width: float, orientation: tuple[str, str] | None, *, whole: bool = False
) -> Side | None:
    """The patient's side of a box on a frontal or axial image; None where the file does not say, or has no sides.

    "midline" where the box lies in the middle or reaches over it: no one side is that of all that it holds.

    Args:
        box: left, top, right, bottom in pixels.
        width: of the image in pixels.
        orientation: where rows and columns point, as ("L", "F"); the first letter of each counts.
        whole: name a side only where all of the box lies on it, as of evidence, which has no middle of its own.
    """
    if orientation is None or orientation[0][:1] not in ("L", "R"):
        return None
    centre = (box[0] + box[2]) / 2 / width - 0.5
    crosses = box[0] < width * (0.5 - _CROSSES) and box[2] > width * (0.5 + _CROSSES)
    if whole:
        crosses = box[0] < width / 2 < box[2]
    if abs(centre) < _MIDDLE or crosses:
        return "midline"
    towards_left = (centre > 0) == (orientation[0][:1] == "L")
    return "left" if towards_left else "right"
