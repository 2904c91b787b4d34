"""Positions and order of slices in the patient: PS3.3 C.7.6.2 (Image Plane), millimetres, patient system LPS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
# Directions that differ by less than this cosine distance (0.8 degrees) are one orientation: headers are rounded.
_SAME_DIRECTION = 1e-4
# Positions closer than this are one place: scanners round to a micrometre, and no slice is as thin.
SAME_POSITION_MM = 0.01


@dataclass(frozen=True)
class Plane:
    """Plane of one slice.

    Attributes:
        position: (x, y, z) of the centre of the first pixel, millimetres; x to the patient's left, y to the back, z to
            the head (Image Position (Patient)).
        row, column: unit vectors along which the column index and the row index grow (Image Orientation (Patient)).
    """

    position: tuple[float, float, float]
    row: tuple[float, float, float]
    column: tuple[float, float, float]

    @property
    def normal(self) -> Vector:
        """Unit vector across the slice: row x column. Of an axial slice it points to the head."""
        across = np.cross(self.row, self.column)
        return across / np.linalg.norm(across)

    @property
    def depth(self) -> float:
        """The position along the normal, in millimetres."""
        return float(np.dot(self.position, self.normal))


def plane(position: Sequence[float], orientation: Sequence[float]) -> Plane | None:
    """A slice's place from the two attributes; None where they say none (absent, not finite, not at right angles)."""
    if len(position) != 3 or len(orientation) != 6 or not np.isfinite([*position, *orientation]).all():
        return None
    row, column = np.asarray(orientation[:3], dtype=np.float64), np.asarray(orientation[3:], dtype=np.float64)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if min(lengths) < 0.9 or max(lengths) > 1.1 or abs(float(row @ column)) > 0.01:
        return None
    row, column = row / lengths[0], column / lengths[1]
    x, y, z = (float(value) for value in position)
    return Plane((x, y, z), tuple(row.tolist()), tuple(column.tolist()))


def same_orientation(one: Plane, other: Plane) -> bool:
    """Return whether rows and columns of two slices point the same ways."""
    return bool(
        np.dot(one.row, other.row) > 1 - _SAME_DIRECTION and np.dot(one.column, other.column) > 1 - _SAME_DIRECTION
    )


def orientation_name(one: Plane) -> str:
    """Name an orientation: "axial", "coronal", "sagittal"; "oblique" where the normal is over 25 degrees off all."""
    across = np.abs(one.normal)
    axis = int(across.argmax())
    return ("sagittal", "coronal", "axial")[axis] if across[axis] > np.cos(np.deg2rad(25)) else "oblique"


@dataclass(frozen=True)
class Spread:
    """Spread of slices along the normal.

    Attributes:
        spacing_mm: the median distance between neighbours; None for one slice.
        gaps: each a pair (place before the gap, from 0; how many slices are missing there).
        uneven: whether distances differ by more than 5 % of the median without amounting to a missing slice.
        sheared: whether the first pixels are not above one another, as with a tilted gantry.
    """

    spacing_mm: float | None
    gaps: tuple[tuple[int, int], ...]
    uneven: bool
    sheared: bool


def spread(planes: Sequence[Plane], across: Vector | None = None) -> Spread:
    """Distances of slices of one orientation that are sorted along `across`, by default the normal."""
    if len(planes) < 2:
        return Spread(None, (), False, False)
    across = planes[0].normal if across is None else across
    depths = np.array([float(np.dot(one.position, across)) for one in planes])
    steps = np.diff(depths)
    # Half of the slices may be missing without the median being wrong; of two slices nothing can be told.
    middle = float(np.median(steps))
    gaps = tuple((int(i), round(float(steps[i]) / middle) - 1) for i in np.flatnonzero(steps > 1.5 * middle))
    whole = np.delete(steps, [i for i, _ in gaps])
    uneven = bool((np.abs(whole - middle) > 0.05 * middle).any())
    origins = np.array([one.position for one in planes])
    aside = origins - origins[0] - np.outer(depths - depths[0], across)
    sheared = bool((np.linalg.norm(aside, axis=1) > max(0.5, 0.1 * middle)).any())
    return Spread(middle, gaps, uneven, sheared)
