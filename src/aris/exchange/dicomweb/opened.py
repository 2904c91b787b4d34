"""A stored object, opened: its header in memory, its pixels and other large values in their file until asked for.

What is read of a file is what an answer needs: of a thousand frames one. Deflated files and those in big endian, which
cannot be cut, are read whole, within the budget that all requests share.
"""

from __future__ import annotations

import struct
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from aris.exchange.dicomweb import frames
from aris.exchange.dicomweb.problems import not_acceptable
from aris.imaging.dicom import fragments
from aris.imaging.dicom.codecs import DecodeError
from aris.imaging.dicom.concatenations import concatenation
from aris.imaging.dicom.frames import offset_tables
from aris.imaging.dicom.parsing import is_deferred, meta_of
from aris.imaging.memory_budget import DECODING
from aris.store.objects import byte_order, parse, read_located

if TYPE_CHECKING:
    from aris.store.files import StoredFile
    from aris.store.store import Store, Stored

# Values of more bytes stay in the file.
DEFERRED = 64 << 10
PIECE = 1 << 20
_PIXELS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
_LONG = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN")
_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_MOST_FRAGMENTS = 1_000_000
_UNDEFINED = 0xFFFFFFFF
_META, _MOST_ELEMENTS = 64 << 10, 5000
# Parsed, small elements take some ten times of their bytes.
_TIMES, _MOST_HEADER = 12, 1 << 30


@dataclass(frozen=True)
class Position:
    """Position of the pixels in a file.

    Attributes:
        keyword: of their element.
        vr: as the file has it; "OW" where it does not say.
        start: of the value's first byte.
        length: of the value; -1 for compressed pixels, which end with a delimiter.
    """

    keyword: str
    vr: str
    start: int
    length: int


@dataclass
class Opened:
    """A stored object. Used in one thread at a time.

    Attributes:
        dataset: its header. Once `frame` was called it has that frame's pixels, as if it had no others.
        file: its file.
        position: of its pixels; None where it has none, or where the dataset holds them all.
    """

    dataset: Any
    file: StoredFile
    position: Position | None
    digest: str
    _per_frame: Any = field(default=None, repr=False)
    _total: int = 0
    _table: _Table | None = field(default=None, repr=False)

    @property
    def has_pixels(self) -> bool:
        """Return whether it has pixels."""
        return self.position is not None or any(name in self.dataset for name in _PIXELS.values())

    @property
    def total(self) -> int:
        """Count the frames.

        Raises:
            WebError: 406, their number is wrong.
        """
        if not self._total:
            self._total = frames.total(self.dataset)
        return self._total

    def frame(self, index: int) -> tuple[Any, int]:
        """A dataset that holds a frame, and the frame's index in it.

        Raises:
            WebError: 406, it cannot be cut out.
        """
        if self.position is None:
            return self.dataset, index
        if not self.total or self._per_frame is None:
            self._per_frame = self.dataset.get("PerFrameFunctionalGroupsSequence") or ()
        try:
            data = self._compressed(index) if self.position.length < 0 else self._plain(index)
        except (DecodeError, OSError, ValueError, TypeError, AttributeError, struct.error):
            raise not_acceptable("the object's pixels are damaged, or in an encoding that is not read") from None
        made = self.dataset
        made.add_new(self.position.keyword, self.position.vr, data)
        made[self.position.keyword].is_undefined_length = self.position.length < 0
        if "NumberOfFrames" in made:
            made.NumberOfFrames = 1
        if self._per_frame:
            # A part of a concatenation may have the groups of all of the object's frames.
            part = concatenation(made) if len(self._per_frame) > self.total else None
            own = index + ((part.offset or 0) if part is not None else 0)
            made.PerFrameFunctionalGroupsSequence = self._per_frame[own : own + 1]
        for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
            if name in made:
                del made[name]
        return made, 0

    def slice(self, start: int, length: int) -> Iterator[bytes]:
        """Bytes of the file, piece by piece."""
        with self.file.open() as file:
            file.seek(start)
            while length > 0 and (piece := file.read(min(PIECE, length))):
                length -= len(piece)
                yield piece

    def _plain(self, index: int) -> bytes:
        assert self.position is not None
        bits = frames.bits_of_frame(self.dataset, self.position.keyword)
        first, last = index * bits, (index + 1) * bits
        if last > self.position.length * 8:
            raise DecodeError
        with self.file.open() as file:
            file.seek(self.position.start + first // 8)
            data = file.read((last + 7) // 8 - first // 8)
        data = frames.shifted(data, first % 8, bits)
        return data + b"\0" * (len(data) % 2)

    def _compressed(self, index: int) -> bytes:
        from pydicom.encaps import encapsulate

        assert self.position is not None
        if self._table is None:
            self._table = _table(self.digest, self.file, self.position.start, self.total, self.dataset)
        table = self._table
        if index + 1 >= len(table.bounds):
            raise DecodeError
        with self.file.open() as file:
            parts = []
            for number in range(table.bounds[index], table.bounds[index + 1]):
                file.seek(table.starts[number])
                parts.append(file.read(table.lengths[number]))
        return encapsulate([b"".join(parts)], has_bot=False)


def opened(store: Store, each: Stored) -> Opened:
    """Open a stored object.

    Raises:
        StoreError: its file is gone or damaged.
        MemoryBusyError: it must be read whole, and there is no memory for it in time.
    """
    file = store.files.verified(each.digest)
    with DECODING.holding(header_memory(file)):
        dataset, end = read_located(file, "object", defer=DEFERRED)
    if end is None or byte_order(dataset) == ">":
        with DECODING.holding(4 * file.size()):
            return Opened(parse(file.read(), "object"), file, None, each.digest)
    return Opened(dataset, file, position_of(file, end, implicit=bool(dataset.original_encoding[0])), each.digest)


def header_memory(stored: StoredFile) -> int:
    """Bytes that a file's header takes once it is parsed, or about so many.

    Some times what is in the file, without the large values that stay there.
    """
    with stored.open() as file:
        head = file.read(_META)
        size = stored.size()
        return min(_TIMES * _header_bytes(file, head, size), _MOST_HEADER) + (1 << 20)


def _header_bytes(file: BinaryIO, head: bytes, size: int) -> int:
    """Up to the pixels; all of the file where that is not to be seen from its first elements' lengths."""
    syntax, at = meta_of(head)
    explicit = syntax == b"1.2.840.10008.1.2.1" or syntax.startswith(b"1.2.840.10008.1.2.4")
    if not explicit and syntax != b"1.2.840.10008.1.2":
        return size
    left = 0
    for _ in range(_MOST_ELEMENTS):
        file.seek(at)
        element = file.read(12)
        if len(element) < 8 or element[:2] == b"\xe0\x7f":
            return at - left
        large = not explicit or element[4:6] in _LONG or element[4:6] in (b"SQ", b"UT", b"UC", b"UR", b"SV", b"UV")
        if not explicit:
            start, (length,) = 8, struct.unpack_from("<I", element, 4)
        elif large and len(element) == 12:
            start, (length,) = 12, struct.unpack_from("<I", element, 8)
        else:
            start, (length,) = 8, struct.unpack_from("<H", element, 6)
        if length == _UNDEFINED:
            return size
        if explicit and length > DEFERRED and element[4:6] in _LONG:
            left += length
        at += start + length
    return size


def deferred(dataset: Any, tag: int) -> Any | None:
    """The element as it was left in the file: its `VR`, `length` and `value_tell`; None where it is in memory."""
    raw = dataset.get_item(tag, keep_deferred=True)
    return raw if is_deferred(raw) else None


def position_of(stored: StoredFile, end: int, *, implicit: bool) -> Position | None:
    """Position of a file's pixels; None where it has none there.

    Args:
        end: where its header ends.
        implicit: its VRs are not written.
    """
    with stored.open() as file:
        file.seek(end)
        head = file.read(12)
    if len(head) < 8:
        return None
    group, element = struct.unpack_from("<HH", head)
    keyword = _PIXELS.get(group << 16 | element)
    if keyword is None:
        return None
    if implicit:
        vr, start, (length,) = "OW", end + 8, struct.unpack_from("<I", head, 4)
    elif head[4:6] in _LONG and len(head) == 12:
        vr, start, (length,) = head[4:6].decode("ascii"), end + 12, struct.unpack_from("<I", head, 8)
    else:
        return None
    there = -1 if length == _UNDEFINED else min(length, max(0, stored.size() - start))
    return Position(keyword, vr, start, there)


@dataclass(frozen=True)
class _Table:
    """The fragments of compressed pixels that are not empty.

    Where each starts, how long it is, and with which one each frame begins; behind the last frame's the first that is
    none of its.
    """

    starts: array[int]
    lengths: array[int]
    bounds: array[int]


_TABLES: OrderedDict[str, _Table] = OrderedDict()
_TABLES_LOCK = threading.Lock()


def _table(digest: str, stored: StoredFile, start: int, total: int, dataset: Any) -> _Table:
    """The fragments, read once of an object: its file never changes.

    Raises:
        DecodeError: they are too many, or they do not tell the frames apart.
    """
    with _TABLES_LOCK:
        if digest in _TABLES:
            _TABLES.move_to_end(digest)
            return _TABLES[digest]
    try:
        found = _read_table(stored, start, total, offset_tables(dataset))
    except ValueError:
        raise DecodeError from None
    with _TABLES_LOCK:
        _TABLES[digest] = found
        while len(_TABLES) > 16:
            _TABLES.popitem(last=False)
    return found


def _read_table(stored: StoredFile, start: int, total: int, extended: tuple[bytes, bytes] | None) -> _Table:
    starts, lengths = array("Q"), array("Q")
    offsets: Sequence[int] = ()
    base, at, first, items = -1, start, True, 0
    with stored.open() as file:

        def begins(position: int, length: int) -> bool:
            file.seek(position)
            return fragments.begins(file.read(min(length, fragments.HEAD)))

        while True:
            file.seek(at)
            head = file.read(8)
            if head[:4] != _ITEM or len(head) < 8:
                if head[:4] == _END or not first:
                    break
                raise DecodeError
            (length,) = struct.unpack_from("<I", head, 4)
            items += 1
            if length == _UNDEFINED or items > _MOST_FRAGMENTS:
                raise DecodeError
            # Some writers leave the item of the offset table out.
            if first and not begins(at + 8, length):
                if length > 4 * _MOST_FRAGMENTS:
                    raise DecodeError
                file.seek(at + 8)
                offsets = fragments.numbers(file.read(length), 4)
            else:
                base = at if base < 0 else base
                if length:
                    starts.append(at + 8)
                    lengths.append(length)
            at += 8 + length
            first = False
        bounds = fragments.bounds(
            starts, total, base, fragments.offsets_of(extended, offsets),
            lambda index: begins(starts[index], lengths[index]),
        )  # fmt: skip
    return _Table(starts, lengths, array("Q", bounds))
