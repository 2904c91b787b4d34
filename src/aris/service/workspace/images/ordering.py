"""The order in which a series is shown: along the body where its images are slices, else by their numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aris.imaging.geometry import SAME_POSITION_MM, Plane, same_orientation

# Images that may be slices of a volume.
_VOLUMES = ("CT", "MR", "PT", "NM", "OPT")
_NO_NUMBER = 1 << 40


@dataclass(frozen=True, eq=False)
class Position:
    """Position of a frame in its series.

    Attributes:
        modality: of the object.
        plane: None where it is not placed in the patient.
        number: Instance Number; None where there is none.
        part: its place among the files of one object (concatenation).
        frame: from 1.
        acquisition: what tells acquisitions apart (`slices.acquisition_of`).
        arrival: its place in the order of arrival.
    """

    modality: str
    plane: Plane | None
    number: int | None
    part: int
    frame: int
    acquisition: tuple[str | None, ...]
    arrival: int

    @property
    def by_number(self) -> tuple[int, int, int, int]:
        """Sort by Instance Number, then part and frame; what has no number comes last, as it arrived."""
        return (_NO_NUMBER if self.number is None else self.number, self.part, self.frame, self.arrival)


def order(positions: Sequence[Position]) -> list[int]:
    """Indices of the frames in the order of display.

    Slices of one orientation go along their normal, in the direction in which the scanner numbered them, or from the
    head down, from the front back, from the right to the left where it numbered them in neither. Time points, echoes
    and other acquisitions at the same positions follow one another. All else goes by Instance Number and frame.
    """
    left = sorted(range(len(positions)), key=lambda at: positions[at].by_number)
    found: list[int] = []
    for group in _groups(positions, left):
        found += _along(positions, group) if positions[group[0]].plane is not None else group
    return found


def _groups(positions: Sequence[Position], left: Sequence[int]) -> list[list[int]]:
    """Frames of one orientation each, in the order of the first of them."""
    groups: list[list[int]] = []
    unplaced: list[int] | None = None
    for at in left:
        plane = positions[at].plane
        if plane is None or positions[at].modality not in _VOLUMES:
            if unplaced is None:
                unplaced = []
                groups.append(unplaced)
            unplaced.append(at)
            continue
        for group in groups:
            first = positions[group[0]].plane
            if group is not unplaced and first is not None and same_orientation(first, plane):
                group.append(at)
                break
        else:
            groups.append([at])
    return groups


def _along(positions: Sequence[Position], group: list[int]) -> list[int]:
    first = positions[group[0]].plane
    if first is None or positions[group[0]].modality not in _VOLUMES or len(group) < 2:
        return group
    normal = first.normal
    depths = {at: float(np.dot(plane.position, normal)) for at in group if (plane := positions[at].plane) is not None}
    parts = _told_apart(positions, group, depths)
    if parts is None:
        return group
    sign = _direction(positions, max(parts, key=len), depths, normal)
    return [at for part in parts for at in sorted(part, key=lambda at: (sign * depths[at], positions[at].by_number))]


def _told_apart(positions: Sequence[Position], group: list[int], depths: dict[int, float]) -> list[list[int]] | None:
    """Parts of which each has one frame at a position; None where nothing tells them apart."""
    if _is_one_stack(group, depths):
        return [group]
    count = len(positions[group[0]].acquisition)
    for at in range(count):
        parts = _parts(group, lambda each, at=at: positions[each].acquisition[at])  # type: ignore[misc]
        if len(parts) > 1 and all(_is_one_stack(part, depths) for part in parts):
            return parts
    # Together they may tell what none of them tells alone, as echoes of several time points.
    parts = _parts(group, lambda each: positions[each].acquisition)
    return parts if len(parts) > 1 and all(_is_one_stack(part, depths) for part in parts) else None


def _parts(group: list[int], key: Callable[[int], Any]) -> list[list[int]]:
    found: dict[Any, list[int]] = {}
    for each in group:
        found.setdefault(key(each), []).append(each)
    return list(found.values())


def _is_one_stack(group: Sequence[int], depths: dict[int, float]) -> bool:
    steps = np.diff(sorted(depths[at] for at in group))
    return bool((steps > SAME_POSITION_MM).all())


def _direction(positions: Sequence[Position], part: Sequence[int], depths: dict[int, float], normal: Any) -> float:
    """1 to go along the normal, -1 against it."""
    numbers = [(positions[at].by_number[:3], depths[at]) for at in part]
    if all(positions[at].number is not None for at in part):
        ordered = np.array([depth for _, depth in sorted(numbers)])
        rising = float(np.sign(np.diff(ordered)).mean()) if len(ordered) > 1 else 0.0
        if abs(rising) > 0.5:
            return 1.0 if rising > 0 else -1.0
    axis = int(np.abs(normal).argmax())
    # To the patient's left, to the back, and to the feet.
    wanted = (1.0, 1.0, -1.0)[axis]
    return wanted * float(np.sign(normal[axis]))
