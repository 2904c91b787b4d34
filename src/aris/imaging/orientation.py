"""Stored rows and columns to the customary view, and places on the one to places on the other.

An image may be stored turned or mirrored, and says so: slices by Image Orientation (Patient) (PS3.3 C.7.6.2.1.1),
projections by Patient Orientation (C.7.6.1.1.1). Readers look at a patient who faces them: axial slices with the right
at the left and the front above, as from the feet; coronal ones and frontal films with the right at the left and the
head above; sagittal slices with the front at the left and the head above.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aris.imaging.geometry import Plane, orientation_name

Box = tuple[float, float, float, float]
Letters = tuple[str, str]
Direction = tuple[float, float, float]
# Unit vectors of the patient system (x to the left, y to the back, z to the head), and their opposites.
_AXES: dict[str, Direction] = {
    "L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1),
}  # fmt: skip
_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "H": "F", "F": "H"}
# Where rows and columns of the customary view point, by the axis across the slice: x, y, z.
_CUSTOMARY: tuple[Letters, Letters, Letters] = (("P", "F"), ("L", "F"), ("L", "P"))
# Hands and feet are hung with the fingers up, whatever axes of the anatomical position that makes.
_EXTREMITIES = frozenset(
    ("HAND", "FINGER", "THUMB", "WRIST", "FOOT", "TOE", "CALCANEUS", "HEEL", "EXTREMITY", "UP_EXM", "LOW_EXM")
)


@dataclass(frozen=True)
class Turn:
    """A turn by quarters, mirrored or not: rows and columns are exchanged, then their orders reversed.

    Attributes:
        transpose: rows become columns.
        flip_rows: then the last row comes first.
        flip_columns: then the last column comes first.
    """

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def __bool__(self) -> bool:
        return self.transpose or self.flip_rows or self.flip_columns

    def applied(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The customary view (H, W) or (H, W, C) of stored pixels; a view of the same memory."""
        turned = stored.swapaxes(0, 1) if self.transpose else stored
        return turned[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]

    def reversed(self, shown: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Pixels as they are stored, of a view (H, W) or (H, W, C)."""
        turned = shown[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]
        return turned.swapaxes(0, 1) if self.transpose else turned

    def to_stored(self, box: Box, height: int, width: int) -> Box:
        """A box on the view, of `height` and `width` pixels, as a box on the stored pixels."""
        left, top, right, bottom = self._flipped(box, height, width)
        return (top, left, bottom, right) if self.transpose else (left, top, right, bottom)

    def to_shown(self, box: Box, height: int, width: int) -> Box:
        """A box on the stored pixels as a box on the view, of `height` and `width` pixels."""
        left, top, right, bottom = box
        return self._flipped((top, left, bottom, right) if self.transpose else box, height, width)

    def _flipped(self, box: Box, height: int, width: int) -> Box:
        left, top, right, bottom = box
        if self.flip_columns:
            left, right = width - right, width - left
        if self.flip_rows:
            top, bottom = height - bottom, height - top
        return left, top, right, bottom

    def letters(self, stored: Letters) -> Letters:
        """Derive the view's row and column directions from Patient Orientation, which is of the stored ones."""
        row, column = reversed(stored) if self.transpose else stored
        return _turned_letters(row, self.flip_columns), _turned_letters(column, self.flip_rows)


STORED = Turn()


def _turned_letters(letters: str, flip: bool) -> str:
    return "".join(_OPPOSITE.get(each, each) for each in letters) if flip else letters


def nearest_turn(row: Any, column: Any) -> Turn:
    """The turn to the customary view of the axial, coronal or sagittal plane that lies nearest.

    Args:
        row, column: unit vectors along which the column index and the row index of stored pixels grow.
    """
    across = np.abs(np.cross(row, column))
    rightwards, downwards = (np.array(_AXES[letter]) for letter in _CUSTOMARY[int(across.argmax())])
    transpose = abs(float(np.dot(row, rightwards))) < abs(float(np.dot(column, rightwards)))
    first, second = (column, row) if transpose else (row, column)
    return Turn(transpose, bool(np.dot(second, downwards) < 0), bool(np.dot(first, rightwards) < 0))


def turn_of_plane(plane: Plane) -> Turn:
    """The turn to the customary view of a slice; none of an oblique one, which has no such view."""
    return STORED if orientation_name(plane) == "oblique" else nearest_turn(plane.row, plane.column)


def across(plane: Plane) -> npt.NDArray[np.float64]:
    """The normal in the order in which readers go through slices: feet to head, front to back, left to right."""
    normal = plane.normal
    axis = int(np.abs(normal).argmax())
    return normal if normal[axis] * (-1, 1, 1)[axis] > 0 else -normal


def plane_letters(plane: Plane) -> Letters:
    """The directions of rows and columns, by the patient axis nearest to each: ("L", "P") of an axial view."""
    return _letter(plane.row), _letter(plane.column)


def _letter(direction: Direction) -> str:
    return max(_AXES, key=lambda letter: float(np.dot(_AXES[letter], direction)))


def known_letters(orientation: Letters | None) -> Letters | None:
    """The main directions of a Patient Orientation; None where it is none, or rows and columns lie on one axis."""
    if orientation is None:
        return None
    row, column = (each[:1] for each in orientation)
    if row not in _OPPOSITE or column not in _OPPOSITE or row in (column, _OPPOSITE[column]):
        return None
    return row, column


def turn_of_slice_letters(orientation: Letters | None) -> Turn:
    """The turn of a slice that is not placed but has a Patient Orientation."""
    letters = known_letters(orientation)
    return STORED if letters is None else nearest_turn(_AXES[letters[0]], _AXES[letters[1]])


def turn_of_film(orientation: Letters | None, body_part: str | None) -> Turn:
    """The turn to the customary view of a radiograph.

    Frontal films are turned and mirrored as needed: the patient's left at the image's right, the head above. A lateral
    film has no customary side and is only turned until the head is above. Films of hands and feet, and of axial
    projections, stay as they are stored.

    Args:
        orientation: Patient Orientation (0020,0020).
        body_part: Body Part Examined.
    """
    letters = known_letters(orientation)
    if letters is None or (body_part or "") in _EXTREMITIES:
        return STORED
    axes = {"LR" if each in "LR" else "AP" if each in "AP" else "HF" for each in letters}
    if axes == {"LR", "HF"}:
        return nearest_turn(_AXES[letters[0]], _AXES[letters[1]])
    if axes != {"AP", "HF"}:
        return STORED
    row, column = letters
    if column in "HF":
        return STORED if column == "F" else Turn(flip_rows=True, flip_columns=True)
    # A quarter turn, to the left or to the right, which does not mirror.
    return Turn(transpose=True, flip_columns=True) if row == "F" else Turn(transpose=True, flip_rows=True)
