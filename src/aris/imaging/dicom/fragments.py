"""Encapsulated pixels cut into frames (PS3.5 A.4), also where their offset tables are wrong: such files are common.

A table is a hint. Each frame has at least one fragment, so as many fragments as frames are one each; the streams of all
codecs but video begin with a mark that tells where a frame starts; only what neither tells is looked up in a table.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import pairwise

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
# How a frame's stream begins: JPEG and JPEG-LS, JPEG 2000 and HTJ2K bare and in boxes, JPEG XL bare and in boxes.
_MARKS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ", b"\xff\x0a", b"\0\0\0\x0cJXL ")
_RLE_HEADER, _RLE_SEGMENTS = 64, 15  # bytes; at most (PS3.5 G.5)
# Bytes of a fragment that tell whether a frame begins with it.
HEAD = _RLE_HEADER

Span = tuple[int, int]


def frames(data: bytes, total: int, extended: tuple[bytes, bytes] | None = None) -> list[tuple[Span, ...]]:
    """Locate each frame's fragments in a Pixel Data value; fewer frames than declared where the rest is cut off.

    Args:
        data: the value, without the delimiter of its sequence or with it.
        total: Number of Frames.
        extended: Extended Offset Table and Extended Offset Table Lengths.

    Raises:
        ValueError: it is not encapsulated, or neither its fragments nor its tables tell the frames apart.
    """
    table, every = _items(data)
    spans = [span for span in every if span[0] < span[1]]
    if not spans:
        raise ValueError("no fragments")
    found = bounds(
        [start for start, _ in spans], total, every[0][0] - 8, offsets_of(extended, table),
        lambda index: begins(data[spans[index][0] : min(spans[index][1], spans[index][0] + HEAD)]),
    )  # fmt: skip
    made = [tuple(spans[start:end]) for start, end in pairwise(found)]
    return _trimmed(made, extended) if len(spans) == total > 1 else made


def bounds(
    positions: Sequence[int],
    total: int,
    base: int,
    tables: Sequence[Sequence[int]],
    starts_frame: Callable[[int], bool],
) -> list[int]:
    """The number of each frame's first fragment, and behind the last frame that of the first that is none of its.

    Args:
        places: where the fragments' bytes begin, without those of empty ones.
        total: Number of Frames.
        base: where the item of the first fragment begins: offset 0 of the tables.
        tables: offset tables, the one to be believed first before others.
        starts_frame: whether a fragment begins as a frame's stream does.

    Raises:
        ValueError: neither the fragments nor the tables tell the frames apart.
    """
    count = len(positions)
    if total == 1 and count:
        return [0, count]
    if count == total:
        return list(range(total + 1))
    starts = [index for index in range(count) if starts_frame(index)]
    marked = bool(starts) and starts[0] == 0
    if marked and len(starts) == total:
        return [*starts, count]
    numbered = {position - 8 - base: index for index, position in enumerate(positions)}
    for offsets in tables:
        if len(offsets) != total:
            continue
        indices = [index for offset in offsets if (index := numbered.get(offset)) is not None]
        if len(indices) == total and indices[0] == 0 and sorted(set(indices)) == indices:
            return [*indices, count]
    # A file that was cut off, or that declares too few: what is marked as frames are the first ones.
    if marked and (len(starts) > total or len(starts) == count < total):
        return [*starts, count][: total + 1]
    raise ValueError("frames cannot be told apart")


def offsets_of(extended: tuple[bytes, bytes] | None, table: Sequence[int]) -> list[Sequence[int]]:
    """The offsets of the Extended and of the Basic Offset Table."""
    return [numbers(extended[0], 8) if extended is not None else (), table]


def joined(data: bytes, spans: Sequence[Span]) -> bytes:
    """A frame's stream from its fragments."""
    return b"".join(data[start:end] for start, end in spans)


def _items(data: bytes) -> tuple[Sequence[int], list[Span]]:
    """The Basic Offset Table and the fragments; some writers leave the table's item out."""
    spans: list[Span] = []
    at = 0
    while at + 8 <= len(data) and data[at : at + 4] != _END:
        if data[at : at + 4] != _ITEM:
            raise ValueError("not an item")
        (length,) = struct.unpack_from("<I", data, at + 4)
        if length == 0xFFFFFFFF:
            raise ValueError("an item of undefined length")
        spans.append((at + 8, min(len(data), at + 8 + length)))
        at += 8 + length
    if not spans:
        raise ValueError("no items")
    start, end = spans[0]
    if begins(data[start : min(end, start + HEAD)]):
        return (), spans
    return numbers(data[start:end], 4), spans[1:]


def numbers(data: bytes, size: int) -> Sequence[int]:
    """The offsets in a table of so many bytes each; what is left behind the last whole one is none."""
    whole = len(data) // size
    return struct.unpack_from(f"<{whole}{'I' if size == 4 else 'Q'}", data)


def begins(head: bytes) -> bool:
    """Return whether a fragment begins as a frame's stream does.

    Args:
        head: its first `HEAD` bytes, or all of a shorter one.
    """
    if head.startswith(_MARKS):
        return True
    if len(head) < _RLE_HEADER:
        return False
    segments, first = struct.unpack_from("<II", head)
    return 1 <= segments <= _RLE_SEGMENTS and first == _RLE_HEADER


def _trimmed(found: list[tuple[Span, ...]], extended: tuple[bytes, bytes] | None) -> list[tuple[Span, ...]]:
    """Without the byte that made a fragment's length even, where a table of lengths tells it."""
    lengths = numbers(extended[1], 8) if extended is not None else ()
    if len(lengths) != len(found):
        return found
    return [
        ((start, start + length),) if end - start - 1 == length else ((start, end),)
        for (((start, end),), length) in zip(found, lengths, strict=True)
    ]
