"""Objects that were cut into several files, each with some of its frames: concatenations (PS3.3 C.7.6.16.2.2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

_NUMBERS = ("InConcatenationNumber", "InConcatenationTotalNumber", "ConcatenationFrameOffsetNumber")
TAGS = ("ConcatenationUID", "SOPInstanceUIDOfConcatenationSource", *_NUMBERS)


@dataclass(frozen=True)
class Concatenation:
    """Concatenation that a file states to be a part of.

    Attributes:
        uid: Concatenation UID, else the UID of the object that was cut; parts of one share it. "" where neither is.
        number: In-concatenation Number, from 1; None where it is absent.
        total: In-concatenation Total Number; None where it is absent: it may be (type 3).
        offset: Concatenation Frame Offset Number, the frames before this part; None where it is absent.
    """

    uid: str
    number: int | None
    total: int | None
    offset: int | None


class Part(Protocol):
    """A file with frames."""

    @property
    def frames(self) -> int: ...

    @property
    def concatenation(self) -> Concatenation | None: ...


P = TypeVar("P", bound=Part)


def concatenation(dataset: Any) -> Concatenation | None:
    """Read the concatenation that a data set is a part of; None for a whole object."""
    uid = str(dataset.get("ConcatenationUID") or dataset.get("SOPInstanceUIDOfConcatenationSource") or "")
    number, total, offset = (_whole(dataset, keyword) for keyword in _NUMBERS)
    if not uid and not offset and (total or 1) < 2:
        return None
    return Concatenation(uid, number, total, offset)


def joined(parts: Sequence[P]) -> list[tuple[P, int]]:
    """The parts of one object in the order of their frames, each with the number of frames that lie before it.

    A part that does not say its offset lies behind those of lower number, if these are all here.

    Raises:
        ValueError: a part does not say where it lies.
    """
    placed = {id(part): offset for part in parts if (offset := _offset(part)) is not None}
    for part in sorted((part for part in parts if id(part) not in placed), key=_number):
        before = [other for other in parts if _number(other) < _number(part)]
        if {_number(other) for other in before} != set(range(1, _number(part))):
            raise ValueError
        placed[id(part)] = sum(other.frames for other in before)
    return sorted(((part, placed[id(part)]) for part in parts), key=lambda pair: (pair[1], _number(pair[0])))


def missing(parts: Sequence[Part]) -> str:
    """Name the missing parts of an object, in a few words; "" where all of it is there, as far as the parts say."""
    numbers = {part.concatenation.number for part in parts if part.concatenation is not None}
    known = {number for number in numbers if number is not None}
    total = max((part.concatenation.total or 0 for part in parts if part.concatenation is not None), default=0)
    absent = sorted(set(range(1, max([total, *known, 0]) + 1)) - known) if known and total < 100_000 else []
    if absent:
        listed = ", ".join(map(str, absent[:5])) + ("..." if len(absent) > 5 else "")
        one = len(absent) == 1
        return f"{'part' if one else 'parts'} {listed} of {max([total, *known])} {'is' if one else 'are'} missing"
    try:
        end = gap = 0
        for part, offset in joined(parts):
            gap += max(0, offset - end)
            end = max(end, offset + part.frames)
    except ValueError:
        return ""
    return f"{gap} frames are missing" if gap else ""


def groups(parts: Sequence[P]) -> list[list[P]]:
    """Files by the object that they are parts of, in the order of each one's first; whole objects alone.

    Parts that name no object are of one, unless two of them are the same part.
    """
    found: dict[object, list[P]] = {}
    for part in parts:
        said = part.concatenation
        key: object = id(part) if said is None else said.uid or ("", said.total)
        found.setdefault(key, []).append(part)
    made: list[list[P]] = []
    for named, group in found.items():
        same = isinstance(named, tuple) and len({(_number(part), _offset(part)) for part in group}) < len(group)
        made += [[part] for part in group] if same else [group]
    return made


def _number(part: Part) -> int:
    return 0 if part.concatenation is None else part.concatenation.number or 0


def _offset(part: Part) -> int | None:
    said = part.concatenation
    if said is None or (said.offset is None and said.number in (None, 1) and said.total in (None, 1)):
        return 0
    return said.offset if said.offset is not None or said.number != 1 else 0


def _whole(dataset: Any, keyword: str) -> int | None:
    try:
        value = int(dataset.get(keyword))
    except Exception:  # absent, empty, several or no number
        return None
    return value if value >= 0 else None
