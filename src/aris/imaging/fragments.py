"""Encapsulated pixels cut into frames (PS3.5 A.4), also where their offset tables are wrong: such files are common.

A table is a hint. Each frame has at least one fragment, so as many fragments as frames are one each; the streams of all
codecs but video begin with a mark that tells where a frame starts; only what neither tells is looked up in a table.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
# How a frame's stream begins: JPEG and JPEG-LS, JPEG 2000 and HTJ2K bare and in boxes, JPEG XL bare and in boxes.
_MARKS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ", b"\xff\x0a", b"\0\0\0\x0cJXL ")
_RLE_HEADER, _RLE_SEGMENTS = 64, 15  # bytes; at most (PS3.5 G.5)

Span = tuple[int, int]


def frames(data: bytes, total: int, extended: tuple[bytes, bytes] | None = None) -> list[tuple[Span, ...]]:
    """Where each frame's fragments lie in a Pixel Data value; fewer frames than declared where the rest is cut off.

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
    if total == 1:
        return [tuple(spans)]
    if len(spans) == total:
        return _trimmed([(span,) for span in spans], extended)
    starts = [index for index, span in enumerate(spans) if _begins(data, span)]
    marked = bool(starts) and starts[0] == 0
    if marked and len(starts) == total:
        return _grouped(spans, starts)
    first = every[0][0] - 8
    places = {span[0] - 8 - first: index for index, span in enumerate(spans)}
    for offsets in (_numbers(extended[0], 8) if extended is not None else (), table):
        found = [places.get(offset) for offset in offsets]
        indices = [index for index in found if index is not None]
        if len(found) == len(indices) == total and indices[0] == 0 and sorted(set(indices)) == indices:
            return _grouped(spans, indices)
    # A file that was cut off, or that declares too few: what is marked as frames are the first ones.
    if marked and (len(starts) > total or len(starts) == len(spans) < total):
        return _grouped(spans, starts)[:total]
    raise ValueError("frames cannot be told apart")


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
    if spans[0][0] < spans[0][1] and _begins(data, spans[0]):
        return (), spans
    return _numbers(data[spans[0][0] : spans[0][1]], 4), spans[1:]


def _numbers(data: bytes, size: int) -> Sequence[int]:
    whole = len(data) // size
    return struct.unpack_from(f"<{whole}{'I' if size == 4 else 'Q'}", data)


def _begins(data: bytes, span: Span) -> bool:
    """Whether a fragment begins as a frame's stream does."""
    start, end = span
    if data.startswith(_MARKS, start, end):
        return True
    if end - start < _RLE_HEADER:
        return False
    segments, first = struct.unpack_from("<II", data, start)
    return 1 <= segments <= _RLE_SEGMENTS and first == _RLE_HEADER


def _grouped(spans: list[Span], starts: list[int]) -> list[tuple[Span, ...]]:
    return [tuple(spans[start:end]) for start, end in zip(starts, [*starts[1:], len(spans)], strict=True)]


def _trimmed(found: list[tuple[Span, ...]], extended: tuple[bytes, bytes] | None) -> list[tuple[Span, ...]]:
    """Without the byte that made a fragment's length even, where a table of lengths tells it."""
    lengths = _numbers(extended[1], 8) if extended is not None else ()
    if len(lengths) != len(found):
        return found
    return [
        ((start, start + length),) if end - start - 1 == length else ((start, end),)
        for (((start, end),), length) in zip(found, lengths, strict=True)
    ]
