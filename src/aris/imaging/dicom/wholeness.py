"""DICOM files that end before what they announce: their elements' lengths are followed, and no value is read.

Half an image would stand in the way of the whole one, which has the same UID. What cannot be followed, as it is in no
form that the standard knows, is not called cut off: whoever parses it says what is wrong.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

_UNDEFINED = 0xFFFFFFFF
_LONG = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN", b"SQ", b"UT", b"UC", b"UR", b"SV", b"UV")
_SHORT = (b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL",
          b"SS", b"ST", b"TM", b"UI", b"UL", b"US")  # fmt: skip
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXELS = 0x7FE00010
# Elements and items that are followed, and how deep: parsers have bounds of their own.
_MOST, _DEEPEST = 500_000, 64


class _CutOffError(Exception):
    pass


class _UnknownFormError(Exception):
    pass


def is_cut_off(file: BinaryIO, size: int, start: int, *, implicit: bool, little: bool, frames: int = 0) -> bool:
    """Return whether a file surely ends too early.

    Args:
        size: of the file.
        start: of its dataset, behind the meta group.
        implicit, little: how it is encoded. A deflated file is not looked at here: the end of its stream proves it.
        frames: of compressed pixels: fewer fragments without a delimiter behind them are cut off.
    """
    walk = _Walk(file, size, "<" if little else ">", frames)
    try:
        walk.dataset(start, implicit=implicit, inside=False, depth=0)
    except _CutOffError:
        return True
    except _UnknownFormError:
        return False
    return False


class _Walk:
    def __init__(self, file: BinaryIO, size: int, order: str, frames: int) -> None:
        self._file, self._size, self._order, self._frames = file, size, order, frames
        self._left = _MOST

    def dataset(self, at: int, *, implicit: bool, inside: bool, depth: int) -> int:
        """Follow elements up to the file's end, or `inside` an item of undefined length to its delimiter."""
        while at < self._size:
            tag, vr, length, value = self._element(at, implicit=implicit)
            if tag == _ITEM_END and inside:
                return value
            if length == _UNDEFINED:
                fragments = vr in (b"OB", b"OW") or (implicit and tag == _PIXELS)
                # What is of unknown representation is implicit inside (PS3.5 6.2.2).
                at = self._fragments(value) if fragments else self._items(
                    value, implicit=implicit or vr == b"UN", depth=depth + 1
                )  # fmt: skip
            else:
                at = self._behind(value, length)
        if inside:
            raise _CutOffError
        return at

    def _element(self, at: int, *, implicit: bool) -> tuple[int, bytes, int, int]:
        head = self._head(at, 12)
        if len(head) < 8:
            # What a program filled the file up with is no part of an element.
            raise _UnknownFormError if not head.strip(b"\0") else _CutOffError
        group, element = struct.unpack_from(f"{self._order}HH", head)
        tag = group << 16 | element
        if tag in (_ITEM, _ITEM_END, _SEQUENCE_END) or implicit:
            if tag == 0:
                raise _UnknownFormError
            return tag, b"", struct.unpack_from(f"{self._order}I", head, 4)[0], at + 8
        vr = head[4:6]
        if vr in _LONG:
            if len(head) < 12:
                raise _CutOffError
            return tag, vr, struct.unpack_from(f"{self._order}I", head, 8)[0], at + 12
        if vr not in _SHORT:
            raise _UnknownFormError
        return tag, vr, struct.unpack_from(f"{self._order}H", head, 6)[0], at + 8

    def _items(self, at: int, *, implicit: bool, depth: int) -> int:
        """Follow a sequence of undefined length to its delimiter."""
        if depth > _DEEPEST:
            raise _UnknownFormError
        while True:
            tag, length, value = self._item(at)
            if tag == _SEQUENCE_END:
                return value
            if tag != _ITEM:
                raise _UnknownFormError
            at = (
                self.dataset(value, implicit=implicit, inside=True, depth=depth)
                if length == _UNDEFINED
                else self._behind(value, length)
            )

    def _fragments(self, at: int) -> int:
        count = -1  # the first is the table of offsets
        while True:
            if at == self._size and count >= max(self._frames, 1):
                return at  # some writers leave the delimiter out
            tag, length, value = self._item(at)
            if tag == _SEQUENCE_END:
                return value
            if tag != _ITEM or length == _UNDEFINED:
                raise _UnknownFormError
            at = self._behind(value, length)
            count += 1

    def _item(self, at: int) -> tuple[int, int, int]:
        head = self._head(at, 8)
        if len(head) < 8:
            raise _CutOffError
        group, element, length = struct.unpack(f"{self._order}HHI", head)
        return group << 16 | element, length, at + 8

    def _behind(self, value: int, length: int) -> int:
        if value + length > self._size:
            raise _CutOffError
        return value + length

    def _head(self, at: int, length: int) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise _UnknownFormError
        self._file.seek(at)
        return self._file.read(length)
