"""DICOM bytes to pydicom's data set, within bounds: pydicom itself takes what time and memory a file asks for.

A few hundred kilobytes of a deflated file may inflate to gigabytes, and a megabyte of zeros is 131,072 elements. So
what is inflated is inflated here, as far as it is read and no further than its header justifies; every read of the
parser is counted; and sequences and long texts, which pydicom would convert when they are first used, are bounded
beforehand in files that could hold much.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from aris.errors import ImageError
from aris.imaging.dicom.values import one_number
from aris.regular import Openable

# An uncompressed image of the largest size that is read, in 32-bit cells, fits.
MAX_INFLATED = 1 << 29
# Of a deflated image's header; its pixels may have what its header says.
MAX_INFLATED_HEADER = 64 << 20
_AFTER_PIXELS = 1 << 20
# The largest image that is decoded.
MAX_PIXELS = 100_000_000
_PIECE = 1 << 20
# Reads of the parser, two or three an element: some seconds. A slide of 100,000 tiles, each with its place, takes three
# millions, but it is large: one read more is given for each 200 bytes.
MAX_READS, _BYTES_A_READ = 1_500_000, 200
_ZEROS, _COST_OF_ZEROS = bytes(8), 50  # no element begins with them, and what a broken transfer leaves behind does
# Up to so many bytes beside the pixels nothing can take long.
_FREE_BYTES = 1 << 20
_LONGEST = 1 << 18  # bytes of one text or list of numbers; a palette or LUT has 131,072
_BULK = ("OB", "OW", "OF", "OD", "OL", "OV", "UN", "SQ", "OB or OW", "US or OW", "US or SS or OW")
_LONG = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN", b"SQ", b"UT", b"UC", b"UR", b"SV", b"UV")
_META = 64 << 10  # bytes in which a meta group ends
_DEFLATED, _PLAIN = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.1\0\0\0"


class ParseError(Exception):
    """The bytes ask for more than any image does."""


class TooLargeError(ParseError):
    """Error of inflated data larger than any image, or than its header justifies."""


class _Budget:
    """Reads that are left."""

    def __init__(self, size: int) -> None:
        self.left = max(MAX_READS, size // _BYTES_A_READ)

    def spend(self, size: int | None, got: bytes) -> bytes:
        self.left -= _COST_OF_ZEROS if got == _ZEROS else 1
        # pydicom reads without a size only to inflate the rest, without a limit.
        if self.left < 0 or size is None or size < 0:
            raise ParseError
        return got


class _CountedBytes(io.BytesIO):
    def __init__(self, data: bytes, budget: _Budget) -> None:
        super().__init__(data)
        self._budget = budget

    def read(self, size: int | None = -1, /) -> bytes:
        return self._budget.spend(size, super().read(size))


class _CountedFile(io.BufferedReader):
    def __init__(self, source: Openable, budget: _Budget) -> None:
        super().__init__(source.raw())
        self._budget = budget

    @property
    def name(self) -> str:
        """The file's path, which pydicom asks for; "" of one that has none."""
        return str(getattr(self.raw, "name", ""))

    def read(self, size: int | None = -1, /) -> bytes:
        return self._budget.spend(size, super().read(size))

    def uncounted(self) -> BinaryIO:
        """The file beneath, from its beginning; what is buffered here is passed over."""
        self.raw.seek(0, io.SEEK_SET)
        return cast(BinaryIO, self.raw)


class _Inflating(io.RawIOBase):
    """A deflated file as if it were not: inflated as far as it is read, and no further than a limit.

    Args:
        head: the file's meta group, of the Explicit VR Little Endian transfer syntax.
        packed: what follows it, deflated.
    """

    def __init__(self, head: bytes, packed: BinaryIO, limit: int) -> None:
        super().__init__()
        self._data = bytearray(head)
        self._packed, self._waiting = packed, b""
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self.limit = limit
        self._at = 0

    def _piece(self) -> bytes:
        """Some more bytes; none at the end.

        Raises:
            ParseError: the stream is damaged or cut off.
        """
        while not self._inflater.eof:
            waiting = self._waiting or self._packed.read(_PIECE)
            try:
                piece = self._inflater.decompress(waiting, _PIECE)
            except zlib.error:
                raise ParseError from None
            self._waiting = self._inflater.unconsumed_tail
            if piece:
                return piece
            if not waiting and not self._inflater.eof:
                raise ParseError
        return b""

    def _fill(self, end: int) -> None:
        while len(self._data) < end and (piece := self._piece()):
            self._data += piece
            if len(self._data) > self.limit:
                raise TooLargeError

    def finish(self) -> int:
        """Inflate what is left, and keep nothing of it.

        Returns:
            the whole length.

        Raises:
            ParseError, TooLargeError: it is damaged, cut off or larger than `MAX_INFLATED`.
        """
        length = len(self._data)
        while piece := self._piece():
            length += len(piece)
            if length > MAX_INFLATED:
                raise TooLargeError
        return length

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if whence == 2:
            self._fill(self.limit + 1)
        self._at = max(0, offset + (0, self._at, len(self._data))[whence])
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        end = self.limit + 1 if size is None or size < 0 else self._at + size
        self._fill(end)
        got = bytes(self._data[self._at : end])
        self._at += len(got)
        return got


class _Counted(_Inflating):
    def __init__(self, head: bytes, packed: BinaryIO, limit: int, budget: _Budget) -> None:
        super().__init__(head, packed, limit)
        self._budget = budget

    def read(self, size: int | None = -1, /) -> bytes:
        return self._budget.spend(size, super().read(size))


def parse(data: bytes, source: str, *, tags: list[str] | None = None, pixels: bool = True) -> Any:
    """The data set of a file's bytes; of a deflated one as if it were not.

    Args:
        data: all of the file.
        source: for errors.
        tags: keywords of the elements that are wanted; all by default.
        pixels: whether Pixel Data and what follows it is wanted.

    Raises:
        ImageError: damaged, or larger inside than any image.
    """
    return _parsed(io.BytesIO(data), len(data), data[:_META], source, tags, pixels=pixels)


def parse_file(file: Openable, source: str, *, pixels: bool = False, defer: int | None = None) -> Any:
    """As `parse`, of a file of which no more is read than is wanted.

    Args:
        defer: values of more bytes than this stay in the file (`is_deferred`).

    Raises:
        ImageError: as `parse`.
        OSError: it cannot be read.
    """
    with io.BufferedReader(file.raw()) as opened:
        head = opened.read(_META)
        opened.seek(0)
        return _parsed(opened, file.size(), head, source, None, pixels=pixels, whole=file, defer=defer)


def is_deferred(element: Any) -> bool:
    """Return whether an element of `parse_file` was left in its file: pydicom would read it when it is used."""
    return type(element).__name__ == "RawDataElement" and element.value is None and element.length > 0


def _parsed(
    file: BinaryIO, size: int, head: bytes, source: str, tags: list[str] | None, *, pixels: bool,
    whole: Openable | None = None, defer: int | None = None, to_end: bool = True,
) -> Any:  # fmt: skip
    from pydicom import dcmread

    budget = _Budget(size)
    syntax, start = meta_of(head)
    try:
        if syntax == _DEFLATED:
            return _of_deflated(file, head[:start], budget, tags, pixels=pixels, to_end=to_end)
        reader: Any = _CountedBytes(file.getvalue(), budget) if isinstance(file, io.BytesIO) else None
        if whole is not None:
            with _CountedFile(whole, budget) as reader:
                dataset = dcmread(
                    reader, force=True, stop_before_pixels=not pixels, specific_tags=tags, defer_size=defer
                )
                end = reader.tell()
            dataset.filename = str(whole.path)
            # pydicom opens the file by this where it reads a value that was left in it.
            dataset.fileobj_type = lambda *_: io.BufferedReader(whole.raw())
            dataset.header_end = end
        else:
            dataset = dcmread(reader, force=True, stop_before_pixels=not pixels, specific_tags=tags)
            end = size
        _bound(dataset, end, budget)
        return dataset
    except TooLargeError:
        raise ImageError(f"{source}: inflated, it is too large for an image; export it uncompressed") from None
    except MemoryError:
        raise ImageError(f"{source}: out of memory while reading; close other programs") from None
    except Exception:  # pydicom raises many kinds on damaged files
        raise _damaged(source) from None


def _of_deflated(
    file: BinaryIO, head: bytes, budget: _Budget, tags: list[str] | None, *, pixels: bool, to_end: bool
) -> Any:
    """A deflated file's data set: first its header, then as much as the header justifies.

    Args:
        to_end: whether what follows a header that is wanted alone is inflated too, which proves that the file is whole.
    """
    from pydicom import dcmread

    plain = head.replace(_DEFLATED, _PLAIN, 1)
    file.seek(len(head))
    reader = _Counted(plain, file, MAX_INFLATED_HEADER if pixels else MAX_INFLATED, budget)
    header = dcmread(reader, force=True, stop_before_pixels=True, specific_tags=None if pixels else tags)
    if not pixels:
        length = reader.tell()
        if to_end:
            reader.finish()
        _bound(header, length, budget)
        return header
    reader.limit = min(MAX_INFLATED, reader.tell() + _declared(header) + _AFTER_PIXELS)
    reader.seek(0)
    dataset = dcmread(reader, force=True, specific_tags=tags)
    if reader.finish() != reader.tell():  # the end of the stream proves that none of it is missing
        raise ParseError
    _bound(dataset, reader.tell(), budget)
    return dataset


def _declared(header: Any) -> int:
    """Bytes of the pixels that a header declares.

    Raises:
        TooLargeError: they are more than are decoded.
    """
    if "Rows" not in header or "Columns" not in header:
        return 0
    pixels = int(header.Rows) * int(header.Columns)
    if pixels > MAX_PIXELS:
        raise TooLargeError
    cells = pixels * int(header.get("SamplesPerPixel") or 1) * int(one_number(header, "NumberOfFrames") or 1)
    return cells * int(header.get("BitsAllocated") or 16) // 8


def parse_header(file: Openable, source: str, tags: list[str], check: Callable[[bytes], None] | None = None) -> Any:
    """As `parse` without pixels, of a file that is opened once and of which no more than the header is read.

    A deflated one is inflated as far as its header; whether the rest is whole is seen where its pixels are read.

    Args:
        check: is given the first bytes, some thousands of them, and raises what shall be raised for a file that is not
            to be parsed.

    Raises:
        ImageError: damaged.
        OSError: it cannot be opened or read.
    """
    from pydicom import dcmread

    size = file.size()
    budget = _Budget(size)
    with _CountedFile(file, budget) as opened:
        head = opened.peek(4096)
        if check is not None:
            check(head)
        if is_deflated(head):
            packed = opened.uncounted()
            start = packed.read(_META)
            packed.seek(0)
            return _parsed(packed, size, start, source, tags, pixels=False, to_end=False)
        try:
            dataset = dcmread(opened, force=True, stop_before_pixels=True, specific_tags=tags)
            _bound(dataset, opened.tell(), budget)
        except Exception:  # pydicom raises many kinds on damaged files
            raise _damaged(source) from None
    return dataset


def _damaged(source: str) -> ImageError:
    return ImageError(f"{source}: the DICOM file is damaged; send or export it again")


def is_deflated(head: bytes) -> bool:
    """Return whether a file's first bytes (4,096 are enough) say that it is in the Deflated transfer syntax."""
    return meta_of(head)[0] == _DEFLATED


def meta_of(data: bytes) -> tuple[bytes, int]:
    """Transfer Syntax UID and where the file's meta group ends (PS3.10 7.1); pydicom does not go by the group's length.

    Returns:
        b"" and 0 where there is no such group.
    """
    at = 132 if data[128:132] == b"DICM" else 0
    syntax = b""
    while data[at : at + 2] == b"\2\0" and at + 12 <= len(data):
        element, vr = data[at + 2 : at + 4], data[at + 4 : at + 6]
        if vr in _LONG:
            start, (length,) = at + 12, struct.unpack_from("<I", data, at + 8)
        else:
            start, (length,) = at + 8, struct.unpack_from("<H", data, at + 6)
        at = start + length
        if element == b"\x10\0":
            syntax = data[start:at].rstrip(b"\0 ")
    return syntax, at


def _bound(dataset: Any, size: int, budget: _Budget) -> None:
    """Parse every sequence now, and leave too long values out, in a data set that is large beside its pixels."""
    pixels = dataset.get_item(0x7FE00010) if 0x7FE00010 in dataset else None
    if size - (len(pixels.value or b"") if pixels is not None else 0) > _FREE_BYTES:
        _walk(dataset, budget)


def _walk(dataset: Any, budget: _Budget) -> None:
    from pydicom.datadict import dictionary_has_tag, dictionary_VR
    from pydicom.dataelem import DataElement, RawDataElement
    from pydicom.filereader import read_sequence

    for tag in list(dataset.keys()):
        element = dataset.get_item(tag, keep_deferred=True)
        known = dictionary_VR(tag) if dictionary_has_tag(tag) else ""
        vr = known if element.VR in (None, "UN") and known else element.VR
        if is_deferred(element):
            if vr in _BULK and vr != "SQ":
                continue
            element = dataset.get_item(tag)
        if isinstance(element, RawDataElement):
            if vr == "SQ" and element.value:
                # What is coded as UN is implicit (PS3.5 6.2.2).
                implicit = element.is_implicit_VR or element.VR == "UN"
                items = read_sequence(
                    _CountedBytes(element.value, budget), implicit, element.is_little_endian, len(element.value),
                    dataset._character_set or "iso8859", 0,
                )  # fmt: skip
                dataset[tag] = element = DataElement(tag, "SQ", items)
            elif vr not in _BULK and len(element.value or b"") > _LONGEST:
                del dataset[tag]
                continue
        if vr == "SQ":
            for item in element.value or ():
                _walk(item, budget)
